"""Programs for TPUs, compiled without a TPU."""

import importlib.util
import json
import subprocess
import sys

import program_traffic
import pytest
import roofline
import tpu_operations
from support.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "tpu_aot.py"

PROGRAM = """
HloModule step

FileNames
1 "/site/jaxcorr/codec.py"
2 "/site/jaxcorr/layers/gdn.py"
3 "/site/jax/numpy.py"

FunctionNames
1 "_forward.<locals>.crop"
2 "GDN.__call__"
3 "square"

FileLocations
1 {file_name_id=1 function_name_id=1 line=6 end_line=6 column=2 end_column=22}
2 {file_name_id=2 function_name_id=2 line=6 end_line=6 column=2 end_column=22}
3 {file_name_id=3 function_name_id=3 line=6 end_line=6 column=2 end_column=22}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}
3 {file_location_id=3 parent_frame_id=3}
4 {file_location_id=3 parent_frame_id=2}

fused_computation {
  ROOT a.1 = f32[8,128]{1,0:T(8,128)} add(b, c)
}

ENTRY main {
  %param.0 = f32[4,192]{1,0:T(8,128)} parameter(0)
  %in.1 = (f32[4,192]{1,0:T(8,128)S(1)}, f32[4,192]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%param.0)
  %here.1 = f32[4,192]{1,0:T(8,128)S(1)} copy-done(%in.1)
  %fusion.1 = bf16[4,192]{1,0:T(8,128)(2,1)} fusion(%here.1, %param.0), kind=kLoop, metadata={op_name="jit(step)/mul" stack_frame_id=3}, backend_config={"window_config":{"estimated_cycles":"70"}}
  ROOT %all-reduce.1 = (f32[100]{0}, f32[28]{0}) all-reduce(%fusion.1), replica_groups={}, metadata={op_name="jit(step)/add" stack_frame_id=4}
}
"""  # noqa: E501  # Operations are one line each.
TILES = 8 * 256
"""Elements that an array of 4 x 192 occupies in tiles of 8 x 128."""


def test_traffic_counts_transfers_to_memory_in_whole_tiles():
    transfer, fusion, reduction = program_traffic.operations(PROGRAM)
    assert (transfer.kind, transfer.memory) == ("copy-start", 4 * TILES)
    assert (fusion.array, fusion.origin) == ("bf16[4,192]", "GDN")
    assert reduction.origin == "_forward"
    # One operand is on the chip already; the result has two bytes an element.
    assert (fusion.memory, fusion.name) == (4 * TILES + 2 * TILES, "jit(step)/mul")
    assert reduction.memory == 2 * TILES + 4 * 128
    cycles = [operation.cycles for operation in (transfer, fusion, reduction)]
    assert cycles == [0, 70, 0]


def test_the_dearest_operations_are_printed_first(tmp_path, capsys):
    text = tmp_path / "program.txt"
    text.write_text(PROGRAM)
    tpu_operations.main(program_text=text, top=1)
    kinds, dearest = capsys.readouterr().out.split("\n\n")[1:]
    expected = f"{1e3 * 70 / roofline.CLOCK:7.2f}"
    assert kinds.splitlines()[1].startswith(expected)
    assert kinds.splitlines()[1].endswith("forward GDN")
    assert dearest.split()[-3:] == ["bf16[4,192]", "forward", "GDN"]


def test_collectives_are_counted_with_the_bytes_of_their_results():
    collectives = program_traffic.collectives(program_traffic.operations(PROGRAM))
    assert collectives == {"all-reduce": {"count": 1, "bytes": 4 * 128}}


def test_an_open_row_of_chips_sends_at_half_the_rate_of_a_ring():
    result = {"flops": 197e12, "memory_traffic": 819e9, "chips": 256}
    result["collectives"] = {"all-reduce": {"count": 1, "bytes": 100e9}}
    assert roofline.bounds(result) == (1.0, 1.0, 1.0)
    assert roofline.bounds(result | {"chips": 8}) == (1.0, 1.0, 2.0)


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="needs libtpu: pip install -c constraints.txt -e '.[tpu-aot]'",
)
@pytest.mark.parametrize("sharding", ["data", "fsdp"])
def test_the_step_compiles_for_eight_chips(sharding):
    program = {"model": "tiny", "batch": 1, "crop": 64, "sharding": sharding}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--compile-one", json.dumps(program)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert "all-reduce" in result["collectives"]
    assert ("all-gather" in result["collectives"]) == (sharding == "fsdp")
    assert result["flops"] > 0 and result["memory_traffic"] > 0
    assert result["temporary_bytes"] > 0
