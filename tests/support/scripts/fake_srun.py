"""Starts two tasks on this host, with the variables of Slurm.

The status is the highest one. As with srun, it is 128 + n of a task that was ended by
signal n.

The numbers of the processes are written to the file that `FAKE_SRUN_PIDS` names.
"""

import os
import subprocess
import sys
from pathlib import Path

command = [argument for argument in sys.argv[1:] if not argument.startswith("--kill")]
tasks = []
for index in range(2):
    variables = {
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
    }
    tasks.append(subprocess.Popen(command, env=os.environ | variables))
pids = Path(os.environ["FAKE_SRUN_PIDS"])
pids.with_suffix(".new").write_text(" ".join(str(task.pid) for task in tasks))
pids.with_suffix(".new").rename(pids)
statuses = [task.wait() for task in tasks]
sys.exit(max(128 - status if status < 0 else status for status in statuses))
