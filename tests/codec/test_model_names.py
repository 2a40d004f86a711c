import pytest

from jaxcorr import model_names
from jaxcorr.bitstream import sections
from jaxcorr.errors import UserError
from jaxcorr.model_set import short_name

pytestmark = pytest.mark.fast
MARK = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("mine", "mine"),
        ("m" * 30, "m" * 24),
        ("m" * 30 + "@12", "m" * 21 + "@12"),
        ("é" * 13, "é" * 12),  # Two bytes each.
        ("e" + "é" * 12, "e" + "é" * 11),  # No letter is cut.
        ("a\nb\x1b[2J", f"a{MARK}b{MARK}[2J"),
        ("a/b\udcff", f"a{MARK}b{MARK}"),  # A byte of a path that is not text.
    ],
)
def test_a_name_has_at_most_24_printable_bytes_and_keeps_its_member(name, short):
    assert model_names.shorten(name) == short
    assert sections.unpack_model_name(sections.pack_model_name(name)) == short
    if name != short:
        with pytest.raises(UserError, match="must be 1 to 24 bytes of printable text"):
            model_names.check(name)


def test_a_name_in_a_file_never_disturbs_a_terminal():
    for content, shown in {
        b"\x1b]0;title\x07": f"{MARK}]0;title{MARK}",
        b"caf\xc3": f"caf{MARK}",
        b"x" * 99: "x" * 24,
    }.items():
        assert sections.unpack_model_name({6: content}) == shown
    assert sections.unpack_model_name({6: b""}) is None
    assert sections.unpack_model_name({2: b""}) is None
    assert sections.pack_model_name(None) == {}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("demo", "demo"),
        ("/home/me/runs/mine", "mine"),
        ("/home/me/runs/mine@2", "mine@2"),
        ("runs/mine/checkpoints/100/models/3", "mine@3"),
        ("models/7", "models@7"),
        ("models/photos", "photos"),
    ],
)
def test_a_model_is_named_by_its_folder_or_run_alone(path, name):
    assert short_name(path) == name
