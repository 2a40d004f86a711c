"""What vectorizing a train step over members of a sweep costs on TPUs, without one.

    pip install -c constraints.txt -e '.[test,tpu-aot]'
    python benchmarks/tpu_sweep.py

Compiles the step of four members of a sweep for eight chips of TPU v5e, all members on
every chip and one member on every pair of chips, and sets it beside the step of a run
by itself on the same batch (`tpu_aot.py`). Results are kept in the folder `tpu_aot`.
"""

import dataclasses
import json
import time

import roofline
import tpu_aot
import tpu_programs
from tpu_programs import Program

MEMBERS = 4
ALONE = Program(model="minnen 192/320")


def main() -> None:
    """Compiles what is missing, and prints a line for each way."""
    if not ALONE.path.exists():
        tpu_aot.compile_to_file(ALONE)
    rows = {"a run by itself": (1, json.loads(ALONE.path.read_text()))}
    for groups in (1, MEMBERS):
        name = f"{MEMBERS} members, {groups} groups"
        rows[name] = (MEMBERS, measured(groups))
    images = ALONE.batch * ALONE.chips
    print(f"{ALONE.model}, {ALONE.dtype}, {images} images on {ALONE.chips} chips")
    print("of one chip, divided by the members:")
    print(
        f"{'':22}{'GFLOP':>8}{'MB':>8}{'ms by':>9}{'MB':>7}  collectives\n"
        f"{'':22}{'':>8}{'memory':>8}{'compiler':>9}{'links':>7}"
    )
    for name, (members, result) in rows.items():
        milliseconds = 1e3 * (roofline.compiler_seconds(result) or 0.0) / members
        links = sum(each["bytes"] for each in result["collectives"].values())
        counts = {kind: each["count"] for kind, each in result["collectives"].items()}
        print(
            f"{name:22}{result['flops'] / members / 1e9:8.0f}"
            f"{result['memory_traffic'] / members / 1e6:8.0f}{milliseconds:9.1f}"
            f"{links / members / 1e6:7.0f}  {counts}"
        )


def measured(groups: int) -> dict:
    """The facts of a step of all members, compiled if they are not there."""
    path = tpu_programs.RESULTS / f"{ALONE.path.stem}-sweep-{MEMBERS}-{groups}.json"
    if not path.exists():
        start = time.perf_counter()
        compiled = tpu_programs.compile_sweep(ALONE, MEMBERS, groups)
        described = dataclasses.asdict(ALONE) | {"members": MEMBERS, "groups": groups}
        described["seconds_to_compile"] = round(time.perf_counter() - start)
        path.write_text(
            json.dumps(described | tpu_programs.facts(compiled), indent=1) + "\n"
        )
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
