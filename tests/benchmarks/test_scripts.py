"""The names of jaxcorr that benchmarks use from outside still exist."""

import importlib
import re

import pytest
import stopwatch
from support.paths import ROOT

from jaxcorr.bitstream import networks
from jaxcorr.bitstream.range_coder import RangeEncoder
from jaxcorr.context import autoregressive, pass_coding

pytestmark = pytest.mark.fast

# Importing `tpu_programs` sets the environment of a TPU; its tests start processes.
SCRIPTS = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if not path.stem.startswith("tpu_")
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_imported(name):
    importlib.import_module(name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_replaces_exists(name):
    source = (ROOT / "benchmarks" / f"{name}.py").read_text()
    for module, attribute in re.findall(r'patch\.object\((\w+), "(\w+)"', source):
        assert hasattr(getattr(importlib.import_module(name), module), attribute)


@pytest.mark.parametrize("name", ["cold_start", "start_up"])
def test_the_imports_of_child_processes_exist(name):
    """The children's programs are text, which no other test reads."""
    stages = importlib.import_module(name).STAGES
    compile(stages, name, "exec")
    lines = [line for line in stages.splitlines() if line.startswith("from jaxcorr")]
    assert lines
    for line in lines:
        exec(line, {})


def test_the_functions_that_are_timed_exist_and_are_restored():
    assert {pass_coding.__name__, autoregressive.__name__} == {
        kind.__module__ for kind in stopwatch.CODING_STATES
    }
    before = (networks.analyze, RangeEncoder.encode)
    with stopwatch.timed() as seconds:
        assert set(seconds) == {"transforms", "context", "coder"}
        assert networks.analyze is not before[0]
    assert (networks.analyze, RangeEncoder.encode) == before


def test_the_time_of_an_inner_call_counts_to_the_inner_part():
    class Work:
        def outer(self):
            return self.inner()

        def inner(self):
            return sum(range(100_000))

    parts = {"outer": [(Work, "outer")], "inner": [(Work, "inner")]}
    with stopwatch.timed(parts) as seconds:
        Work().outer()
    assert 0 <= seconds["outer"] < seconds["inner"]
