#!/usr/bin/env bash
# Trains on two hosts with four GPUs each, for as many jobs of twelve hours as it takes.
#
#   sbatch examples/launch/slurm.sh ali2023:cheng_charm --workdir /shared/runs/charm \
#       --data.source folder:/shared/photographs --data.held-out folder:/shared/validation
#
# JAX gives each task one GPU. Five minutes before the time is up, all tasks get SIGTERM
# and save a checkpoint. The job then queues itself again, as after a preemption, until
# the run has ended.
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

# If a task fails, the others say so and end by themselves.
srun --kill-on-bad-exit=0 jaxcorr train "$@"
status=$?
if ((status == AGAIN)); then
    echo "slurm.sh: stopped with a checkpoint; job $SLURM_JOB_ID queues again" >&2
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
