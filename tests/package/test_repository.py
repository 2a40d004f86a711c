"""Rules that hold for every file of the repository."""

import re
import tomllib
from pathlib import Path

import pytest
from support.paths import ROOT

FOLDERS = ("jaxcorr", "configs", "benchmarks", "examples", "results", "tests", "docs")
SUFFIXES = {".py", ".md", ".ipynb"}
SAVED = ROOT / "tests" / "references" / "saved"
FILES = [
    *(path for path in ROOT.iterdir() if path.suffix in SUFFIXES),
    *(path for folder in (*FOLDERS, "colab") for path in (ROOT / folder).rglob("*")),
]
TEXTS = [
    path for path in FILES if path.suffix in SUFFIXES and SAVED not in path.parents
]

RETIRED = re.compile(
    r"""(?<!stored\(")\b(told|Cadence|findings|Findings|Recipe|anatomy|showcase|Spot|MeshShape
    |CodecSettings|IndependentContext|NearBoundary|likelihood_floor|scale_floor
    |decoder_input|model_folder|run_folder|keep_freed|all_agree|correspondence)\b
    |(?<![.\w])walks?\b""",
    re.VERBOSE,
)
"""Words and names that the glossary replaced."""
KEEPS_OLD_NAMES = {
    "CHANGELOG.md": "lists what was renamed",
    "jaxcorr/run_directory.py": "reads the settings of earlier versions",
    "jaxcorr/codec.py": "keeps a name in files",
    "tests/package/test_repository.py": "lists the retired words",
    "tests/codec/test_saved_model.py": "changes a file by its own names",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.fast
def test_retired_words_are_gone():
    stumbles = [
        f"{name_of(path)}:{number}: {match[0]}"
        for path in TEXTS
        if name_of(path) not in KEEPS_OLD_NAMES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in RETIRED.finditer(line)
    ]
    assert not stumbles, "\n".join(stumbles)


@pytest.mark.fast
def test_files_that_keep_old_names_hold_one():
    for name in KEEPS_OLD_NAMES:
        assert RETIRED.search((ROOT / name).read_text()), name


@pytest.mark.fast
def test_no_python_file_has_more_than_300_lines():
    lengths = {
        name_of(path): len(path.read_text().splitlines())
        for path in TEXTS
        if path.suffix == ".py"
    }
    assert {name: n for name, n in lengths.items() if n > 300} == {}


@pytest.mark.fast
def test_names_of_test_files_are_unique():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(set(names)) == len(names)


@pytest.mark.fast
def test_the_readme_runs_the_recipe_of_the_tests():
    command = "python -m pip install -c constraints.txt -e '.[test]' && "
    command += "python -m pytest -n 2\n"
    assert f"<!-- test command -->\n```bash\n{command}```" in (
        ROOT / "README.md"
    ).read_text().replace("\n\n", "\n")
    recipe = (ROOT / "noxfile.py").read_text()
    assert 'session.install("-q", "-c", "constraints.txt", "-e", ".[test]")' in recipe
    assert 'session.run("python", "-m", "pytest", "-n", "2", *session.posargs' in recipe


@pytest.mark.fast
def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"## {project['version']}\n" in (ROOT / "CHANGELOG.md").read_text()
    assert "\nversion:" not in (ROOT / "CITATION.cff").read_text()
    assert "version = {" not in (ROOT / "README.md").read_text()
