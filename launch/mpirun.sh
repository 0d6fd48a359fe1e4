#!/usr/bin/env bash
# Runs a regatta command on N ranks of this machine or of a Slurm allocation:
#   launch/mpirun.sh N train CONFIG [--set key=value ...]
# Ctrl-C lets the training finish its step, save and end; a second Ctrl-C ends it at once.
# MPIRUN_OPTIONS adds options of mpirun, such as "--hostfile hosts". DRY_RUN=1 prints the command.
set -euo pipefail
if [[ ! ${1:-} =~ ^[1-9][0-9]*$ || $# -lt 2 ]]; then
    echo "usage: $0 N COMMAND [ARGUMENT ...], N the number of ranks; for example" >&2
    echo "       $0 2 train configs/digits_quickstart.yaml" >&2
    exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v regatta >/dev/null || PATH=$root/.venv/bin:$PATH
if ! command -v mpirun >/dev/null || ! command -v regatta >/dev/null; then
    echo "regatta or mpirun is not installed: run launch/quickstart.sh, or activate its environment" >&2
    exit 4
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
read -ra options <<<"${MPIRUN_OPTIONS:-}"
command=(mpirun -n "$1" --oversubscribe --bind-to none "${options[@]}" regatta "${@:2}")
if [[ ${DRY_RUN:-0} == 1 ]]; then printf '%q ' "${command[@]}" && echo && exit 0; fi
# A rank always sees a terminal, of unknown width; tell it about the real one.
if [[ -t 1 ]]; then COLUMNS=$(tput cols) && export COLUMNS; else export TTY_COMPATIBLE=0; fi
# mpirun answers Ctrl-C by killing its ranks half a second later, and no setting changes that. In
# a session of its own it does not see Ctrl-C, and it passes SIGUSR1 on to the ranks.
setsid "${command[@]}" </dev/null &
job=$!
trap 'kill -USR1 "$job"; trap "kill -TERM $job" INT TERM HUP' INT TERM HUP USR1
while kill -0 "$job" 2>/dev/null; do wait "$job" || true; done
wait "$job"
