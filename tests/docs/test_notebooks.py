"""The notebooks run from top to bottom, and print what they describe."""

import importlib.metadata
import re
import sys
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from support.paths import ROOT

NOTEBOOKS = sorted((ROOT / "colab").glob("*.ipynb"))
NUMBER = r"(\d+(?:\.\d+)?)"


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.fast
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_holds_no_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in code_cells(notebook):
        assert cell.outputs == [] and cell.execution_count is None, cell.id


@pytest.mark.fast
def test_every_notebook_opens_with_the_same_install_cell():
    names = {"quickstart", "port_the_loss", "scale_up"}
    assert {path.stem for path in NOTEBOOKS} == names
    first = [code_cells(read(path))[0] for path in NOTEBOOKS]
    assert {cell.id for cell in first} == {"install"}
    assert len({cell.source for cell in first}) == 1


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Runs the install cell in a folder; returns its calls of pip and its names."""
    source = TransformerManager().transform_cell(
        code_cells(read(NOTEBOOKS[0]))[0].source
    )

    def run(folder):
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.path", [*sys.path])
        calls = []
        shell = SimpleNamespace(run_line_magic=lambda *magic: calls.append(magic))
        names = {"get_ipython": lambda: shell}
        exec(source, names)
        return calls, names

    return run


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [])


@pytest.mark.fast
def test_install_cell_does_nothing_where_jaxcorr_is_installed(install, tmp_path):
    calls, _ = install(tmp_path)
    assert calls == []


@pytest.mark.fast
@pytest.mark.parametrize("folder", [ROOT, ROOT / "colab"])
@pytest.mark.usefixtures("nothing_installed")
def test_install_cell_installs_the_clone_that_it_lies_in(install, folder):
    calls, names = install(folder)
    assert calls == [("pip", 'install -q -e "{clone}[{EXTRAS}]"')]
    assert (names["clone"], names["EXTRAS"]) == (ROOT, "notebooks")


@pytest.mark.fast
@pytest.mark.usefixtures("nothing_installed")
def test_install_cell_asks_for_an_address_elsewhere(install, tmp_path):
    with pytest.raises(ValueError, match=r"^REPOSITORY is empty: give an address"):
        install(tmp_path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook in an empty folder; returns the output of each cell by id."""

    def run(name, **settings):
        for setting, value in settings.items():
            monkeypatch.setenv(f"JAXCORR_NOTEBOOK_{setting}", str(value))
        # Halves the time to compile; a few steps take hardly longer.
        monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        before = files()
        notebook = read(ROOT / "colab" / f"{name}.ipynb")
        NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=600,
            resources={"metadata": {"path": str(tmp_path)}},
        ).execute()
        assert files() == before
        return {cell.id: printed(cell) for cell in code_cells(notebook)}

    return run


def files():
    """Returns the paths of the repository where a notebook could leave files."""
    paths = {*ROOT.iterdir(), *(ROOT / "colab").rglob("*")}
    return {path for path in paths if path.name != "__pycache__"}


def printed(cell):
    """Returns what a cell printed, with "picture" for each picture."""
    lines = []
    for output in cell.outputs:
        if output.output_type == "stream":
            assert output.name == "stdout", output.text
            lines.append(output.text)
        elif "image/png" in output.data:
            lines.append("picture")
    return "".join(lines)


def numbers(pattern, text):
    """Returns the groups of a pattern as numbers; the pattern must match."""
    match = re.search(pattern, text)
    assert match, (pattern, text)
    return [float(group.replace(",", "")) for group in match.groups()]


@pytest.mark.slow
def test_quickstart_trains_and_codes_a_photograph_to_a_file(run, tmp_path):
    printed_by = run("quickstart", STEPS=20, WIDTH=8)
    assert "step 20: held out" in printed_by["train"]
    assert printed_by["curve"] == printed_by["look"] == "picture"
    pixels, size = numbers(
        r"([\d,]+) bytes of pixels, ([\d,]+) bytes in", printed_by["code"]
    )
    file = tmp_path / "runs/quickstart/chelsea.jxc"
    assert (pixels, size) == (300 * 451 * 3, file.stat().st_size)
    (psnr,) = numbers(f"PSNR {NUMBER} dB", printed_by["code"])
    # The table measures the same file by itself.
    row = next(
        row for row in printed_by["evaluate"].split("\n") if "chelsea" in row
    ).split()
    assert (float(row[1]), float(row[7])) == (size, psnr)
    assert printed_by["refused"].startswith("chelsea.jxc is damaged")


@pytest.mark.slow
def test_ported_loss_is_the_same_in_every_framework(run):
    printed_by = run("port_the_loss", STEPS=60)
    white, expected = numbers(
        f"white: loss {NUMBER}, expected about {NUMBER}", printed_by["plain"]
    )
    assert white == pytest.approx(expected, rel=0.3)
    in_equinox, in_linen = numbers(
        f"Equinox: loss {NUMBER}, Linen: {NUMBER}", printed_by["equinox"]
    )
    (unmoved,) = numbers(f"left where it was: {NUMBER}", printed_by["equinox"])
    assert in_equinox == pytest.approx(in_linen, rel=1e-5)
    assert abs(unmoved - in_linen) > 0.01
    assert re.findall(f"norm {NUMBER}, printed {NUMBER}", printed_by["published"]) == [
        ("0.0452", "0.0454"),
        ("0.0107", "0.0107"),
    ]
    columns = f"{NUMBER} +" * 4 + NUMBER
    before, without, with_loss = (
        numbers(f"{name} +{columns}", printed_by["compare"])
        for name in ("before training", "without the loss", "with the loss")
    )
    assert with_loss[3] < 0.7 * without[3] < 0.7 * before[3]
    assert without[2] < before[2]
    assert printed_by["maps"] == "picture"
    whole, of_mean_map, mean_of_losses = numbers(
        rf"batch +{NUMBER}\n.* {NUMBER}\n.* {NUMBER}", printed_by["averaging"]
    )
    assert of_mean_map == pytest.approx(whole, rel=0.01)
    assert mean_of_losses == pytest.approx(16 * whole, rel=0.3)


@pytest.mark.slow
def test_scale_up_trains_a_sweep_and_resumes_on_another_mesh(run):
    printed_by = run("scale_up", STEPS=4, WIDTH=4)
    assert printed_by["devices"] == "8 devices: cpu\n"
    assert "{'sweep': 1, 'data': 4, 'fsdp': 2}" in printed_by["mesh"]
    assert (
        "mesh.data 9 x" in printed_by["mesh"] and "the 8 devices" in printed_by["mesh"]
    )
    assert "fsdp 2: each device holds (5, 5, 192, 160)" in printed_by["place"]
    assert "for each of 4 members" in printed_by["sweep"]
    members = re.findall(
        r"runs/sweep@(\d) \(.* (\S+), .* (\S+)\): ", printed_by["members"]
    )
    assert members == [
        ("0", "0.005", "0.0"),
        ("1", "0.005", "0.1"),
        ("2", "0.025", "0.0"),
        ("3", "0.025", "0.1"),
    ]
    assert printed_by["members"].endswith("picture")
    steps = re.findall(r"newest checkpoint: (\d+)", printed_by["resume"])
    assert steps == ["4", "6"] and "Resuming from step 4 of 6" in printed_by["resume"]
    assert "was started with data.batch-size 8, not 16" in printed_by["refused"]
