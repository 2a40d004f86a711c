"""Recipes that contributors, hooks and CI share.

    nox -s setup     makes `.venv` with everything to develop, and installs the hooks
    nox              runs the linters and the test command of the README
    nox --list       names the other recipes

`.ci/run` runs all that a change must pass in fresh environments.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "tests"]

GROUPS = nox.project.load_toml("pyproject.toml")
DEFAULT = "3.11"
LATER = ("3.12", "3.13")
NOTEBOOKS = "tests/docs/test_notebooks.py"
EVERYTHING = ".[test,compressai,prepare,onnx,gcs,s3,wandb,jpegxl,heif]"
PEERS = (
    "tests/bitstream/test_portability.py",
    "tests/docs",
    "tests/files",
    "tests/interop",
    "tests/loss",
    "tests/quantization",
)
"""Tests against torch, TensorFlow, TensorFlow Compression, CoDeX and ONNX Runtime, and
of images in formats of extras."""
COMPUTING = tuple(
    f"tests/{name}"
    for name in (
        "bitstream",
        "codec",
        "context",
        "entropy",
        "interop",
        "layers",
        "loss",
        "quantization",
        "training",
        "transforms",
    )
)
"""Tests of what computes with JAX, and so depends on its version."""
FULL_EFFORT = (
    "--xla_backend_optimization_level=3 --xla_llvm_disable_expensive_passes=false"
)
"""Compiler flags that users have; the tests compile with little effort by default."""


@nox.session(venv_backend="none")
def setup(session: nox.Session) -> None:
    """Makes `.venv` with everything to develop, and installs the hooks."""
    session.run("python3", "-m", "venv", ".venv")
    groups = nox.project.dependency_groups(GROUPS, "dev")
    pip = (".venv/bin/python", "-m", "pip", "install", "-c", "constraints.txt")
    session.run(*pip, "-e", ".[test]", *groups)
    session.run(".venv/bin/pre-commit", "install")


@nox.session(python=DEFAULT)
def lint(session: nox.Session) -> None:
    """Checks format, style, types, layers, workflows and shell scripts."""
    groups = nox.project.dependency_groups(GROUPS, "lint")
    session.install("-q", "-c", "constraints.txt", "-e", ".[test]", *groups)
    workflows = sorted(map(str, Path(".github/workflows").glob("*.yml")))
    scripts = sorted(map(str, Path("examples/launch").glob("*.sh")))
    _run_all(
        session,
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["pyright"],
        ["lint-imports"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows],
        ["shellcheck", ".ci/run", *scripts],
    )


@nox.session(python=DEFAULT)
def docs(session: nox.Session) -> None:
    """Checks the figures of all pages, and builds the site into `runs/site`."""
    groups = nox.project.dependency_groups(GROUPS, "docs")
    session.install("-q", "-c", "constraints.txt", "-e", ".[test]", *groups)
    session.run("python", "docs/_site/figures.py", "--check")
    # MkDocs 1 is kept: a warning announces that its version 2 has no plugins.
    session.run("mkdocs", "build", "--quiet", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(python=DEFAULT)
def tests(session: nox.Session) -> None:
    """Runs the test command of the README."""
    session.install("-q", "-c", "constraints.txt", "-e", ".[test]")
    others = _pythons_of(session, "fast_jax_0_11")
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs, env=others)


@nox.session(python="3.12")
def fast_jax_0_11(session: nox.Session) -> None:
    """Runs the fast tests of what computes on Python 3.12 with jax 0.11.

    The other recipes run all fast tests with jax before and after it.
    """
    session.install("-q", "-c", "constraints-jax-0.11.txt", "-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "-n", "2", "-m", "fast", *COMPUTING)


@nox.session(python=LATER)
def fast(session: nox.Session) -> None:
    """Runs the fast tests on a later Python, compiled as users have it."""
    session.install("-q", "-c", "constraints.txt", "-e", ".[test]")
    flags = {"XLA_FLAGS": FULL_EFFORT}
    session.run("python", "-m", "pytest", "-q", "-n", "2", "-m", "fast", env=flags)


@nox.session(python="3.13")
def fast_colab(session: nox.Session) -> None:
    """Runs the fast tests and the notebooks with the lowest versions, as in Colab."""
    session.install("-q", "-c", "constraints-colab.txt", "-e", ".[test]")
    pytest = ["python", "-m", "pytest", "-q", "-n", "2"]
    _run_all(session, [*pytest, "-m", "fast"], [*pytest, "-m", "slow", NOTEBOOKS])


@nox.session(python=DEFAULT)
def slow(session: nox.Session) -> None:
    """Runs tests of minutes, and those against other frameworks."""
    session.install("-q", "-c", "constraints.txt", "-e", EVERYTHING)
    try:
        emulators = nox.project.dependency_groups(GROUPS, "buckets")
        session.install("-q", "-c", "constraints.txt", *emulators)
    except nox.command.CommandFailed:
        session.warn("emulators of buckets cannot be installed: their tests skip")
    # It asks for versions of long ago.
    session.install("-q", "--no-deps", "jax-codex==0.0.1")
    env = _tensorflow_compression(session)
    env |= _pythons_of(session, "fast-3-12", "fast_colab")
    env |= _emulated_python(session)
    pytest = ["python", "-m", "pytest", "-q", "-rs", "-n", "2"]  # Says what skips.
    slow = [*pytest, "-m", "slow", f"--ignore={NOTEBOOKS}"]
    _run_all(session, slow, [*pytest, *PEERS], env=env)


@nox.session(python=DEFAULT)
def beam(session: nox.Session) -> None:
    """Prepares images with Apache Beam, which does not allow the versions of others."""
    session.install("-q", "apache-beam>=2.77", "pillow<13", "-e", ".[test,prepare]")
    session.run(
        *("python", "-m", "pytest", "-q", "-rs", "-m", "slow", "-k", "beam"),
        "tests/data/test_prepare.py",
    )


@nox.session(python=DEFAULT)
def resolve(session: nox.Session) -> None:
    """Resolves every extra on each Python and platform."""
    session.install("-q", "-c", "constraints.txt", "uv")
    session.run("python", ".ci/resolve.py")


@nox.session(python=DEFAULT)
def build(session: nox.Session) -> None:
    """Builds the wheel and the source distribution into `dist`, and checks both."""
    session.install("-q", "-c", "constraints.txt", "build", "twine")
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--outdir", folder)
        files = sorted(map(str, Path(folder).iterdir()))
        session.run("twine", "check", "--strict", *files)
        shutil.copytree(folder, "dist", dirs_exist_ok=True)


@nox.session(python=DEFAULT)
def size(session: nox.Session) -> None:
    """Installs the core in a fresh environment, and prints its size on the disk."""
    session.install("-q", "-c", "constraints.txt", ".")
    session.run("python", "benchmarks/installed_size.py")


def _run_all(
    session: nox.Session,
    *commands: Sequence[str],
    env: dict[str, str] | None = None,
) -> None:
    """Runs every command, and fails at the end if one of them failed."""
    failed = []
    for command in commands:
        try:
            session.run(*command, env=env)
        except nox.command.CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error(f"failed: {'; '.join(failed)}")


def _pythons_of(session: nox.Session, *names: str) -> dict[str, str]:
    """Returns the variable by which tests find the Pythons of other sessions."""
    folder = Path(session.virtualenv.location).parent
    pythons = [folder / name / "bin" / "python" for name in names]
    found = [str(python) for python in pythons if python.exists()]
    return {"JAXCORR_OTHER_PYTHONS": os.pathsep.join(found)} if found else {}


def _tensorflow_compression(session: nox.Session) -> dict[str, str]:
    """Makes an environment with TensorFlow Compression; returns its variable.

    TensorFlow Compression needs TensorFlow 2.14 and Python 3.11, and cannot share an
    environment with a current JAX. The wheel is installed there without dependencies.
    """
    folder = Path(session.create_tmp()) / "tensorflow-compression"
    python = str(folder / "bin" / "python")
    install = (python, "-m", "pip", "install", "-q")
    try:
        session.run("python", "-m", "venv", str(folder))
        packages = ("tensorflow-compression==2.14.1", "setuptools<70")
        session.run(*install, *packages, external=True)
        session.run(*install, "--no-deps", ".", external=True)
    except nox.command.CommandFailed:
        session.warn("TensorFlow Compression cannot be installed: its tests skip")
        return {}
    return {"JAXCORR_TFC_PYTHON": python}


def _emulated_python(session: nox.Session) -> dict[str, str]:
    """Makes an emulated Python of another instruction set; returns its variable."""
    folder = Path(session.create_tmp()) / "aarch64"
    try:
        session.run(".ci/aarch64", str(folder), "python", external=True)
    except nox.command.CommandFailed:
        session.warn("an emulated aarch64 cannot be made: its test skips")
        return {}
    return {"JAXCORR_EMULATED_PYTHON": str(folder / "bin" / "python")}
