#!/usr/bin/env bash
# Trains on two hosts with four GPUs each, for as many jobs of twelve hours as it takes.
#
#   sbatch examples/launch/slurm.sh ali2023:cheng_charm --workdir /shared/runs/charm \
#       --data.source folder:/shared/photographs --data.held-out folder:/shared/validation
#
# JAX gives each task one GPU. Five minutes before the time is up, all tasks get SIGTERM
# and save a checkpoint. The job then queues itself again, as after a preemption or a task
# that was killed, until the run has ended. RESTARTS is the highest number of restarts
# (default 100).
#SBATCH --job-name=jaxcorr
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
readonly AGAIN=75
readonly restarts=${SLURM_RESTART_COUNT:-0}

# From Slurm 22.05 on, srun does not take over the cores of a task by itself.
if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then
    export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
fi

# If a task fails, the others say so and end by themselves. The status is the highest of
# all tasks: of one that was killed it is 128 and the number of the signal.
srun --kill-on-bad-exit=0 jaxcorr train "$@"
status=$?
if ((status == AGAIN || status > 128)); then
    if ((restarts >= ${RESTARTS:-100})); then
        echo "slurm.sh: status $status after $restarts restarts: giving up" >&2
    else
        echo "slurm.sh: stopped with status $status; job $SLURM_JOB_ID queues again" >&2
        scontrol requeue "$SLURM_JOB_ID"
    fi
fi
exit "$status"
