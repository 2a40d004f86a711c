#!/usr/bin/env bash
# Runs a command again as long as it exits with status 75 ("stopped, start me again"), or
# is killed, as by the system when memory runs out.
#
#   examples/launch/restart.sh jaxcorr train CONFIG --workdir DIR …
#
# SIGTERM, Ctrl-C and SIGUSR1 go to the command and end the loop after it. RESTARTS is the
# highest number of restarts (default 100), PAUSE the seconds before each (default 10).
set -uo pipefail
readonly AGAIN=75

stopping=
child=
stop() {
    stopping=yes
    [[ -z $child ]] || kill -TERM "$child" 2>/dev/null
}
trap stop TERM INT USR1

for ((restart = 0; ; restart++)); do
    "$@" &
    child=$!
    wait "$child"
    status=$?
    # A signal ends the first `wait`, while the command still saves its checkpoint.
    while kill -0 "$child" 2>/dev/null; do
        wait "$child"
        status=$?
    done
    child=
    if ((status != AGAIN && status <= 128)) || [[ -n $stopping ]]; then
        exit "$status"
    fi
    if ((restart >= ${RESTARTS:-100})); then
        echo "restart.sh: status $status after $restart restarts: giving up" >&2
        exit "$status"
    fi
    echo "restart.sh: status $status, restart $((restart + 1))" >&2
    sleep "${PAUSE:-10}"
done
