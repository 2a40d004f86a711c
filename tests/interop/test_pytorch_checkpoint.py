"""Files of torch are read without torch, and nothing that they name is run."""

import fractions
import os
import pickle
import random
import re
import sys
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from support.paths import REFERENCES

from jaxcorr.errors import UserError
from jaxcorr.interop.pytorch_checkpoint import read_checkpoint

pytestmark = pytest.mark.fast

SAVED = REFERENCES / "pytorch_checkpoint.pth"
DAMAGED = "cannot be read: torch did not write it, or it is damaged"


@pytest.fixture(autouse=True)
def without_torch(request, monkeypatch):
    """Makes importing torch fail, apart from tests that need it."""
    if "torch" not in request.fixturenames:
        monkeypatch.setitem(sys.modules, "torch", None)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="the extra `compressai` is missing")


def rewrite(path, **changes: Any):
    """Writes the saved file with other contents of some entries, named by their ends.

    A change is bytes, a function of bytes, or None to leave the entry out.
    """
    with zipfile.ZipFile(SAVED) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            change = changes.get(name.rpartition("/")[2].replace(".", "_"), data)
            change = change(data) if callable(change) else change
            if change is not None:
                new.writestr(name, change)
    return path


def write_pickle(path, data):
    return rewrite(path, data_pkl=data)


def shapes_replaced(data, old, new):
    """Replaces a pickled shape, of one-byte numbers."""
    before, after = (b"".join(b"K" + bytes([n]) for n in x) for x in (old, new))
    assert data.count(before) >= 1
    return data.replace(before, after)


def test_values_are_those_that_torch_reads():
    content = read_checkpoint(SAVED)
    with np.load(REFERENCES / "pytorch_checkpoint.npz") as expected:
        assert sorted(content["state_dict"]) == sorted(expected)
        for name, array in content["state_dict"].items():
            own = "float8" in name or name == "bfloat16"
            assert array.dtype == (name if own else expected[name].dtype)
            assert array.shape == expected[name].shape
            np.testing.assert_array_equal(
                array.astype(expected[name].dtype), expected[name]
            )
    assert {key: x for key, x in content.items() if key != "state_dict"} == {
        "epoch": 3,
        "large": 2**70,
        "loss": 0.25,
        "name": "λ",
        "flags": [True, False, None, (), ("a", 1, -70_000), b"bytes".hex()],
        "shape": (2, 3),
        "device": "cpu",
    }


def test_tensors_of_a_storage_share_memory():
    state = read_checkpoint(SAVED)["state_dict"]
    assert np.shares_memory(state["transposed"], state["slice"])
    assert not np.shares_memory(state["transposed"], state["parameter"])
    with pytest.raises(ValueError, match="read-only"):
        state["slice"][0, 0] = 1


def test_a_file_of_a_big_endian_machine_has_the_same_values(tmp_path):
    state = read_checkpoint(SAVED)["state_dict"]
    names = "float16", "bfloat16", "float32", "float64", "complex64", "int16", "uint32"
    # The storages are numbered in the order of the tensors.
    keys = {name: str(list(state).index(name)) for name in names}

    def swapped(width):
        return lambda data: np.frombuffer(data, f"u{width}").byteswap().tobytes()

    changes = {
        keys[name]: swapped(4 if name == "complex64" else state[name].itemsize)
        for name in names
    }
    other = rewrite(tmp_path / "big.pth", byteorder=b"big", **changes)
    for name in names:
        found = read_checkpoint(other)["state_dict"][name]
        np.testing.assert_array_equal(found, state[name])
    unmarked = rewrite(tmp_path / "unmarked.pth", **changes)
    found = read_checkpoint(unmarked)["state_dict"]["float32"]
    assert not np.array_equal(found, state["float32"])


def test_files_without_a_byte_order_are_little_endian(tmp_path):
    found = read_checkpoint(rewrite(tmp_path / "old.pth", byteorder=None))
    expected = read_checkpoint(SAVED)["state_dict"]["float64"]
    np.testing.assert_array_equal(found["state_dict"]["float64"], expected)


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    ("content", "name"),
    [
        (Calls(os.system, "touch ran"), f"{os.name}.system"),
        (Calls(eval, "open('ran', 'w')"), "eval"),
        ({"state_dict": {"a": Calls(fractions.Fraction, "1/2")}}, "fractions.Fraction"),
        (Calls(getattr, 1, "real"), "getattr"),
        ({"numpy": np.float64(1)}, "scalar"),
        (fractions.Fraction, "fractions.Fraction"),
    ],
    ids=["system", "eval", "nested", "getattr", "numpy", "class"],
)
def test_pickled_code_is_refused_by_name(
    tmp_path, monkeypatch, content, name, protocol
):
    monkeypatch.chdir(tmp_path)
    path = write_pickle(tmp_path / "code.pth", pickle.dumps(content, protocol))
    message = r"code\.pth contains pickled code \((\S*)\), which is not run: save only"
    with pytest.raises(UserError, match=message) as caught:
        read_checkpoint(path)
    refused = re.search(message, str(caught.value))
    assert refused and refused[1].endswith(name)
    assert "\n" not in str(caught.value)
    assert os.listdir() == ["code.pth"]


def test_only_known_functions_of_torch_are_called(tmp_path):
    code = b"\x80\x02ctorch.serialization\nload\nX\x01\x00\x00\x00a\x85R."
    path = write_pickle(tmp_path / "code.pth", code)
    with pytest.raises(UserError, match=r"pickled code \(torch\.serialization\.load\)"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02ctorch\nFloatStorage\nK\x01\x85R.",  # A type is not a function.
        b"\x80\x02X\x01\x00\x00\x00aK\x01\x85R.",  # Nor is a string.
        b"\x80\x02K\x01",
        b"\x80\x02.",
        b"\x80\x02h\x05.",
        b"\x80\x02}K\x01K\x02u.",
        b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
        b"\x80\x02r\xff\xff\xff\xff.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",
        b"\x80\x02X\xff\xff\xff\x7fa.",
        b"\x80\x02K\x01K\x02a.",
        b"I1\n(i__main__\nCalls\n.",
        b"",
    ],
)
def test_other_pickles_are_damaged(tmp_path, code):
    path = write_pickle(tmp_path / "damaged.pth", code)
    with pytest.raises(UserError, match=DAMAGED):
        read_checkpoint(path)


def test_a_tensor_must_lie_in_its_storage(tmp_path):
    # The shape of `transposed`, of 60 elements.
    for new in ((5, 3, 5), (6, 3, 4), (255, 255, 255)):
        path = rewrite(
            tmp_path / "shape.pth",
            data_pkl=lambda data, new=new: shapes_replaced(data, (5, 3, 4), new),
        )
        with pytest.raises(UserError, match=DAMAGED):
            read_checkpoint(path)


def test_claimed_sizes_are_not_allocated(tmp_path):
    # The shape of `expanded`, whose last stride is 0: it may have any length.
    path = rewrite(
        tmp_path / "expanded.pth",
        data_pkl=lambda data: data.replace(
            b"K\x02K\x03\x86", b"K\x02J\xff\xff\xff\x7f\x86"
        ),
    )
    content = path.read_bytes()
    claims = tmp_path / "claims.pth"
    at = content.rindex(b"PK\x01\x02")
    claims.write_bytes(
        content[: at + 24] + b"\xff\xff\xff\x7f" + content[at + 28 :]
    )  # The size of the last entry.
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("a/data.pkl", bytes(10**7))
    tracemalloc.start()
    for each in (path, claims, packed):
        with pytest.raises(UserError, match=DAMAGED):
            read_checkpoint(each)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_damaged_files_give_one_line_or_their_contents(tmp_path):
    data = SAVED.read_bytes()
    with zipfile.ZipFile(SAVED) as archive:
        content = archive.read("pytorch_checkpoint/data.pkl")
    generator = random.Random(0)

    def damaged(data):
        changed = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            changed[generator.randrange(len(data))] = generator.randrange(256)
        return bytes(changed)

    path, refused = tmp_path / "damaged.pth", 0
    for trial in range(300):
        if trial < 100:
            path.write_bytes(damaged(data))
        elif trial < 150:
            path.write_bytes(data[: generator.randrange(len(data))])
        else:  # Checksums do not protect the pickle.
            write_pickle(path, damaged(content))
        try:
            read_checkpoint(path)
        except UserError as error:
            assert str(error).startswith(f"{path} ") and "\n" not in str(error)
            refused += 1
    assert refused > 150


def test_files_of_earlier_torch_need_torch():
    message = (
        r"pytorch_legacy\.pth, in the format of torch before 1\.6, needs torch, which "
        r"is not installed: pip install 'jaxcorr\[compressai\]'"
    )
    with pytest.raises(UserError, match=message):
        read_checkpoint(REFERENCES / "pytorch_legacy.pth")


def test_files_of_earlier_torch_are_read_by_torch(torch):
    content = read_checkpoint(REFERENCES / "pytorch_legacy.pth")
    expected = read_checkpoint(SAVED)["state_dict"]["transposed"]
    np.testing.assert_array_equal(content["state_dict"]["weight"], expected)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_files_of_the_installed_torch_are_read(torch, tmp_path, protocol):
    generator = torch.Generator().manual_seed(protocol)
    state = {
        "weight": torch.randn(3, 4, 5, generator=generator).transpose(0, 2)[1:],
        "counts": torch.arange(7, dtype=torch.int16)[::2],
        "half": torch.randn(9, generator=generator).bfloat16(),
    }
    layer = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 5), torch.nn.BatchNorm2d(3))
    state |= layer.state_dict()
    path = tmp_path / "new.pth"
    torch.save({"state_dict": state}, path, pickle_protocol=protocol)
    found = read_checkpoint(path)["state_dict"]
    assert list(found) == list(state)
    for name, tensor in state.items():
        expected = tensor.float().numpy()
        np.testing.assert_array_equal(found[name].astype(np.float32), expected)
