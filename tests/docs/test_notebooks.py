"""The notebooks run from top to bottom, and print what they describe."""

import importlib.metadata
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from support.paths import ROOT

from jaxcorr.bitstream import sections
from jaxcorr.bitstream.container import Container

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
    names = {"compress_photographs", "port_the_loss", "quickstart", "scale_up"}
    assert {path.stem for path in NOTEBOOKS} == names
    first = [code_cells(read(path))[0] for path in NOTEBOOKS]
    assert {cell.id for cell in first} == {"install"}
    assert len({cell.source for cell in first}) == 1


@pytest.fixture
def install_cell(capsys):
    """Runs the install cell where jaxcorr is installed; returns the cell's names."""
    del capsys  # Captures what the cell prints.
    names = {}
    exec(code_cells(read(NOTEBOOKS[0]))[0].source, names)
    return names


@pytest.mark.fast
@pytest.mark.usefixtures("install_cell")
def test_install_cell_says_versions_and_device(capsys):
    assert re.search(r"^jaxcorr \S+, JAX \d\S+, \S+", capsys.readouterr().out)


@pytest.mark.fast
def test_install_cell_finds_a_clone_or_a_wheel(install_cell, tmp_path, monkeypatch):
    sources = {}
    for folder in (ROOT, ROOT / "colab", tmp_path):
        monkeypatch.chdir(folder)
        sources[folder] = install_cell["find_source"]()
    assert sources == {ROOT: str(ROOT), ROOT / "colab": str(ROOT), tmp_path: "jaxcorr"}
    wheel = tmp_path / "jaxcorr-1.0-py3-none-any.whl"
    wheel.touch()
    assert install_cell["find_source"]() == str(wheel)


@pytest.mark.slow
def test_install_cell_keeps_jax_and_numpy(tmp_path, monkeypatch):
    kept = {name: importlib.metadata.version(name) for name in ("jax", "numpy")}
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = str(environment / "bin" / "python")
    pip = [python, "-m", "pip", "-q"]
    pins = [f"{name}=={version}" for name, version in kept.items()]
    subprocess.run([*pip, "install", *pins], check=True)
    cell = tmp_path / "cell.py"
    cell.write_text(
        code_cells(read(NOTEBOOKS[0]))[0].source
        + "\nimport numpy\nprint(jax.__version__, numpy.__version__)"
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    offline = subprocess.run(
        [python, cell], cwd=tmp_path, capture_output=True, text=True
    )
    last = offline.stderr.splitlines()[-1]
    assert last.startswith("RuntimeError: jaxcorr cannot be installed: write a wheel")
    monkeypatch.delenv("PIP_NO_INDEX")
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True)
    result = subprocess.run(
        [python, cell], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == f"{kept['jax']} {kept['numpy']}"


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
            # Commands say on standard error how far they are; a warning is neither.
            if output.name == "stderr":
                notes = output.text.split("\n")
                assert all(note.startswith("jaxcorr: ") or not note for note in notes)
            else:
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
    # The table measures the same file by itself, without the name of the model.
    named = Container.from_bytes(file.read_bytes(), file.name).sections
    assert set(named) == {sections.Section.MODEL}
    size -= len(sections.pack_sections(named))
    row = next(
        row for row in printed_by["evaluate"].split("\n") if "chelsea" in row
    ).split()
    assert (float(row[1]), float(row[7])) == (size, psnr)
    assert printed_by["refused"].startswith("chelsea.jxc is damaged")


@pytest.mark.slow
def test_photographs_are_compressed_and_decoded(run, tmp_path):
    printed_by = run("compress_photographs")
    assert printed_by["choose"] == "chelsea.png\ncoffee.png\n"
    sizes = {
        path.stem: path.stat().st_size for path in (tmp_path / "compressed").iterdir()
    }
    for name, size in sizes.items():
        assert f"{name}.jxc: {size:,} bytes" in printed_by["compress"]
    assert printed_by["decompress"] == "picture" * len(sizes)
    latents, side = numbers(
        r"([\d,]+) bytes of latents, ([\d,]+) bytes of side", printed_by["bits"]
    )
    # The rest is the header, and a section with the name of the model.
    assert 0 < sizes["chelsea"] - latents - side <= 48 + sections.SECTION.size + 24
    decoded = {path.name for path in (tmp_path / "decoded").iterdir()}
    assert decoded == {"chelsea.png", "coffee.png"}


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
    assert printed_by["devices"] == "8 devices: cpu\n", printed_by
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
