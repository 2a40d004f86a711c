import ast
import subprocess
import sys

import pytest
from support.containers import header_of_a_file
from support.paths import ROOT

from jaxcorr.cli import main

pytestmark = pytest.mark.fast

IMPORTED = """
import sys
from jaxcorr.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
names = "jax", "jaxlib", "flax", "numpy", "scipy", "PIL", "tqdm"
print([name for name in names if name in sys.modules])
"""


def last_line(*arguments, cwd):
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["compress", "--help"], ["prepare", "--list"], ["info"]]
)
def test_a_command_that_computes_nothing_starts_without_jax(arguments, tmp_path):
    (tmp_path / "a.jxc").write_bytes(header_of_a_file())
    if arguments == ["info"]:
        arguments = ["info", "a.jxc", "--json", "a.json"]
    assert last_line("-c", IMPORTED, *arguments, cwd=tmp_path) == "[]"


def test_reading_headers_needs_no_jax(tmp_path):
    code = "import sys, jaxcorr.bitstream.container; print('jax' in sys.modules)"
    assert last_line("-c", code, cwd=tmp_path) == "False"


def test_the_package_runs_as_a_module(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "jaxcorr"],
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0
    assert process.stdout.startswith("usage: jaxcorr ")


@pytest.mark.parametrize("name", main.COMMANDS)
def test_the_summary_of_a_command_begins_its_docstring(name):
    command = main.COMMANDS[name]
    source = (ROOT / "jaxcorr" / "cli" / f"{command.module}.py").read_text()
    functions = {
        node.name: node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }
    docstring = ast.get_docstring(functions[main.function_name(name)]) or ""
    assert docstring.splitlines()[0] == command.summary


def test_train_without_a_config_lists_the_configs(jaxcorr):
    status, out, err = jaxcorr("train")
    assert (status, err) == (0, "")
    for name in ("quickstart", "ali2023", "study"):
        assert f"\n  {name} " in out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_script_completes_commands(jaxcorr, shell):
    status, out, _ = jaxcorr("--tyro-print-completion", shell)
    assert status == 0
    for name in ("compress", "evaluate", "doctor", "--checkpoint"):
        assert name in out
