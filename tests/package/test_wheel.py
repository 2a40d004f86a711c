"""The built distributions work, and are complete, without the repository."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import BytesParser

import numpy as np
import pytest
from support.paths import ROOT

from jaxcorr import images

pytestmark = pytest.mark.slow

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ADDRESS = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
SMALL = """--codec.transforms.width 4 --codec.transforms.channels 4 --steps 5
    --loss.window 3 --data.crop-size 64 --data.batch-size 2 --data.held-out-crops 2
""".split()


def run(*command, cwd, status=0):
    """Runs a command without what the tests set; returns its output and its errors."""
    kept = {"XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "PYTHONPATH", "PYTHONWARNINGS"}
    done = subprocess.run(
        [*map(str, command)],
        env={name: value for name, value in os.environ.items() if name not in kept},
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def install(built, tmp_path_factory):
    """Installs the wheel in a fresh environment; returns its folder of commands."""

    def make(extra=""):
        folder = tmp_path_factory.mktemp("environment")
        run(sys.executable, "-m", "venv", folder, cwd=folder)
        run(
            *(folder / "bin" / "python", "-m", "pip", "install", "-q"),
            *("-c", ROOT / "constraints.txt", f"{built[1]}{extra}"),
            cwd=folder,
        )
        return folder / "bin"

    return make


@pytest.fixture
def photograph(tmp_path):
    """A picture with odd sides."""
    rows, columns = np.mgrid[:97, :131]
    pixels = np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)
    images.write_image(tmp_path / "photograph.png", pixels)
    return "photograph.png"


def check_round_trip(command, model, photograph, folder):
    run(command, "compress", photograph, *model, cwd=folder)
    run(command, "decompress", "photograph.jxc", *model, "-o", "out.png", cwd=folder)
    pixels, _ = images.read_image(folder / "out.png")
    assert pixels.shape == (97, 131, 3)


def test_the_wheel_trains_in_an_empty_folder_and_codes_with_the_run(
    install, photograph, tmp_path
):
    command = install("[train]") / "jaxcorr"
    out, err = run(command, "train", "quickstart:scratch", *SMALL, cwd=tmp_path)
    assert err == ""
    assert "comparison.png, are in runs/quickstart_scratch/held_out" in out
    assert (tmp_path / "runs" / "quickstart_scratch" / "checkpoints" / "5").is_dir()
    check_round_trip(command, ["-m", "runs/quickstart_scratch"], photograph, tmp_path)


def test_the_core_codes_and_names_missing_extras(install, photograph, tmp_path):
    command = install() / "jaxcorr"
    check_round_trip(command, [], photograph, tmp_path)
    run(command, "--help", cwd=tmp_path)
    out, _ = run(command, "info", "photograph.jxc", cwd=tmp_path)
    assert "97" in out and "131" in out
    out, _ = run(
        *(command, "evaluate", photograph, "-m", "demo", "--json", "-"), cwd=tmp_path
    )
    assert json.loads(out)
    for arguments, extra in {
        "train quickstart": "train",
        "prepare . --data-dir data --name photographs": "tfds",
        f"show {photograph} -m demo": "plots",
        "report runs -o report": "plots",
    }.items():
        out, err = run(command, *arguments.split(), cwd=tmp_path, status=2)
        assert re.fullmatch(
            rf"jaxcorr: error: .+: pip install 'jaxcorr\[{extra}\]'\n", err
        )
        assert out == ""


def test_pip_keeps_the_packages_of_a_colab_runtime(built, tmp_path):
    pins = (ROOT / "constraints-colab.txt").read_text().splitlines()
    runtime = [
        pin
        for pin in pins
        if pin.partition("==")[0] in {"jax", "jaxlib", "flax", "numpy"}
    ]
    assert len(runtime) == 4
    run(sys.executable, "-m", "venv", "runtime", cwd=tmp_path)
    pip = (tmp_path / "runtime" / "bin" / "python", "-m", "pip", "install")
    run(*pip, "-q", *runtime, cwd=tmp_path)
    out, _ = run(*pip, "--dry-run", f"{built[1]}[notebooks]", cwd=tmp_path)
    (line,) = re.findall(r"^Would install (.+)$", out, re.MULTILINE)
    added = {name.rpartition("-")[0].lower() for name in line.split()}
    assert "jaxcorr" in added and "grain" in added
    assert not added & {pin.partition("==")[0] for pin in runtime}


def test_the_source_distribution_holds_the_repository(built):
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    # Files that git ignores, such as runs, are not in it.
    assert names == {*listed.stdout.splitlines(), "PKG-INFO"}
    # The four codecs of the demo take 19 MB.
    assert built[0].stat().st_size < 32e6


def test_the_wheel_holds_the_package_and_its_configs_only(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
    configs = {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert {f"jaxcorr/configs/{name}.py" for name in configs} <= names
    assert "jaxcorr/py.typed" in names
    folders = {name.partition("/")[0] for name in names}
    assert len(folders) == 2 and "jaxcorr" in folders


def test_links_of_the_readme_are_absolute_in_the_metadata(built):
    with zipfile.ZipFile(built[1]) as archive:
        (name,) = (x for x in archive.namelist() if x.endswith(".dist-info/METADATA"))
        metadata = BytesParser().parsebytes(archive.read(name))
    readme = str(metadata.get_payload())
    targets = re.findall(r"\]\(([^)\s]+)", readme)
    assert targets and all(re.match(r"https?://|#", target) for target in targets)
    prefix = rf"{re.escape(ADDRESS)}/(?:blob|raw)/v{re.escape(metadata['Version'])}/"
    own = [re.sub(prefix, "", x) for x in targets if x.startswith(ADDRESS)]
    assert len(own) > 5
    assert [x for x in own if not (ROOT / x.partition("#")[0]).exists()] == []
    urls = [line.partition(", ")[2] for line in metadata.get_all("Project-URL") or []]
    assert len(urls) == 4 and all(url.startswith(ADDRESS) for url in urls)
