"""The files of `examples/launch`: their form, the restart loop, and Slurm faked."""

import os
import re
import signal
import subprocess
import sys

import pytest
from support import compilation
from support.paths import ROOT
from support.processes import free_port, wait_for_step
from support.training_runs import Runs
from support.waiting import PATIENCE, wait_until

from jaxcorr.errors import START_AGAIN

LAUNCH = ROOT / "examples" / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))


def restart(tmp_path, program, **variables):
    return subprocess.Popen(
        ["bash", str(LAUNCH / "restart.sh"), sys.executable, "-c", program],
        env=os.environ | {"PAUSE": "0"} | variables,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_scripts_can_be_started():
    """The linters check them; see `noxfile.py`."""
    assert len(SCRIPTS) == 2 and all(os.access(path, os.X_OK) for path in SCRIPTS)


COUNT = """
import os, pathlib, sys
starts = pathlib.Path("starts")
starts.write_text((starts.read_text() if starts.exists() else "") + "x")
sys.exit({last} if len(starts.read_text()) > {again} else 75)
"""


@pytest.mark.parametrize(
    ("again", "last", "restarts", "status", "starts"),
    [
        (2, 0, 9, 0, 3),
        (1, 2, 9, 2, 2),
        (9, 0, 1, START_AGAIN, 2),
        (0, "os.kill(os.getpid(), 9)", 3, 128 + signal.SIGKILL, 4),
    ],
)
def test_the_loop_restarts_after_75_and_kills_alone(
    tmp_path, again, last, restarts, status, starts
):
    program = COUNT.format(again=again, last=last)
    process = restart(tmp_path, program, RESTARTS=str(restarts))
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, errors
    assert len((tmp_path / "starts").read_text()) == starts


SAVE = """
import pathlib, signal, sys, time
def stop(*_):
    time.sleep(0.5)
    pathlib.Path("saved").touch()
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("ready").touch()
time.sleep(600)
"""


def test_a_signal_to_the_loop_reaches_the_command_and_ends_both(tmp_path):
    process = restart(tmp_path, SAVE)
    wait_until((tmp_path / "ready").exists, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == START_AGAIN
    assert (tmp_path / "saved").exists()


def test_the_job_set_has_the_form_that_kubernetes_and_jax_need():
    """Its structure alone; JobSet's own schema refuses unknown fields besides."""
    yaml = pytest.importorskip("yaml")
    documents = list(yaml.safe_load_all((LAUNCH / "jobset.yaml").read_text()))
    assert all(
        document["apiVersion"] and document["metadata"]["name"]
        for document in documents
    )
    by_kind = {document["kind"]: document for document in documents}
    job_set = by_kind["JobSet"]
    assert job_set["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    (workers,) = job_set["spec"]["replicatedJobs"]
    job = workers["template"]["spec"]
    assert job["completionMode"] == "Indexed"  # By which JAX numbers the processes.
    assert job["parallelism"] == job["completions"] == 2
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # JobSet starts all pods again together.
    (container,) = pod["containers"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert START_AGAIN not in rule["onExitCodes"]["values"]
    # JAX lists pods and services, and reads a job.
    account = by_kind["ServiceAccount"]["metadata"]["name"]
    assert pod["serviceAccountName"] == account
    assert by_kind["RoleBinding"]["subjects"][0]["name"] == account
    allowed = {
        (kind, verb)
        for rule in by_kind["Role"]["rules"]
        for kind in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {("pods", "list"), ("services", "list"), ("jobs", "get")} <= allowed


def test_the_image_starts_the_command_without_a_shell():
    lines = (LAUNCH / "Dockerfile").read_text().splitlines()
    assert 'ENTRYPOINT ["jaxcorr"]' in lines
    (extras,) = re.findall(r"\.\[(.*?)\]", "\n".join(lines))
    assert {"train", "gcs", "k8s"} <= set(extras.split(","))
    assert sum(line.startswith("FROM ") for line in lines) == 1


JOB = "4711"


def fake_commands(folder, **lines):
    """Writes commands of one line each, and returns a PATH that begins with them."""
    programs = folder / "programs"
    programs.mkdir()
    lines["scontrol"] = f'echo "$@" >> {folder}/scontrol'
    for name, line in lines.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


def run_job(folder, status, **variables):
    """Runs the script of Slurm with tasks that end with a status."""
    variables["PATH"] = fake_commands(folder, srun=f"exit {status}")
    return subprocess.run(
        [LAUNCH / "slurm.sh", "quickstart"],
        env=os.environ | variables | {"SLURM_JOB_ID": JOB},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("status", "restarts", "queues"),
    [
        (0, 0, False),
        (2, 0, False),
        (START_AGAIN, 0, True),
        (START_AGAIN, 100, False),
        (128 + signal.SIGKILL, 99, True),
        (START_AGAIN, None, True),
    ],
)
def test_a_job_of_slurm_queues_again_after_75_and_kills_alone(
    tmp_path, status, restarts, queues
):
    count = {} if restarts is None else {"SLURM_RESTART_COUNT": str(restarts)}
    done = run_job(tmp_path, status, **count)
    assert done.returncode == status
    assert (tmp_path / "scontrol").exists() == queues
    assert ("giving up" in done.stderr) == (restarts == 100)


def test_a_job_of_slurm_without_restarts_gives_up_at_once(tmp_path):
    done = run_job(tmp_path, START_AGAIN, RESTARTS="0")
    assert done.returncode == START_AGAIN
    assert "after 0 restarts: giving up" in done.stderr
    assert not (tmp_path / "scontrol").exists()


@pytest.fixture
def slurm(tmp_path):
    """Runs the script of Slurm with fakes of its commands. Returns the process."""
    runs = Runs(tmp_path)
    fake_srun = ROOT / "tests" / "support" / "scripts" / "fake_srun.py"
    variables = {
        "PATH": fake_commands(
            tmp_path,
            srun=f'exec {sys.executable} {fake_srun} "$@"',
            jaxcorr=f'shift; exec {sys.executable} {ROOT}/train.py "$@"',
        ),
        "SLURM_JOB_ID": JOB,
        "FAKE_SRUN_PIDS": str(tmp_path / "pids"),
        "XLA_FLAGS": compilation.flags(devices=2),
        "JAX_COORDINATOR_PORT": str(free_port()),
    }

    def start(*arguments):
        settings = ("--data.batch-size", "4", "--workdir", tmp_path / "run")
        return subprocess.Popen(
            [LAUNCH / "slurm.sh", runs.config, *settings, *arguments],
            env=runs.environment | variables,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.mark.slow
def test_a_job_of_slurm_stops_queues_again_and_ends(slurm, tmp_path):
    start = slurm
    script = start("--steps", "100000")
    wait_for_step(tmp_path / "run" / "metrics.jsonl", 3, [script])
    for pid in (tmp_path / "pids").read_text().split():
        os.kill(int(pid), signal.SIGTERM)
    output, errors = script.communicate(timeout=PATIENCE)
    assert script.returncode == START_AGAIN, errors
    for index in range(2):
        assert f"process {index} of 2 on " in output
    assert ", by Slurm; process 0 is at localhost:" in output
    assert (tmp_path / "scontrol").read_text() == f"requeue {JOB}\n"
    steps = max(int(x.name) for x in (tmp_path / "run" / "checkpoints").iterdir())
    script = start("--steps", str(steps + 2))
    output, errors = script.communicate(timeout=PATIENCE)
    assert script.returncode == 0, errors
    assert f"Resuming from step {steps} of {steps + 2}" in output
    assert (tmp_path / "scontrol").read_text() == f"requeue {JOB}\n"
    script = start("--steps", "100000")
    wait_for_step(tmp_path / "run" / "metrics.jsonl", steps + 4, [script])
    killed, _ = (tmp_path / "pids").read_text().split()
    os.kill(int(killed), signal.SIGKILL)
    output, errors = script.communicate(timeout=PATIENCE)
    assert script.returncode == 128 + signal.SIGKILL, errors
    assert (tmp_path / "scontrol").read_text() == f"requeue {JOB}\n" * 2
