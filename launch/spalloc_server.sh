#!/usr/bin/env bash
# Starts spalloc_server, the public allocation server, for a virtual machine that is being served:
#   launch/spalloc_server.sh CONFIG [--port PORT]
# CONFIG is that of `regatta machine serve`, or a configuration of spalloc_server's own (*.py). It
# runs in an environment of its own, .venv-spalloc, because it needs an older spinnman than we do;
# `launch/spalloc_server.sh --install` only makes that. The BMPs must answer before it starts.
set -euo pipefail
version='1!7.0.0'
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/launch/environment.sh"
server=$root/.venv-spalloc/bin/spalloc-server

install_server() {
    if [[ -x $server ]]; then return; fi
    local python
    python=$(find_python)
    say "Installing spalloc_server $version into $root/.venv-spalloc"
    "$python" -m venv --clear "$root/.venv-spalloc"
    env -u PYTHONPATH "$root/.venv-spalloc/bin/python" -m pip install --quiet "spalloc_server==$version"
}

if [[ $# -eq 0 ]]; then
    say "usage: $0 CONFIG [--port PORT], CONFIG that of the virtual machine; for example"
    say "       $0 machine.yaml --port 22244"
    exit 2
fi
if [[ $1 == --install ]]; then
    install_server
    exit
fi
config=$1
shift
if [[ ! -f $config ]]; then
    say "there is no file $config"
    exit 2
fi
install_server
# The server writes its log and state beside its configuration.
work=${REGATTA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/regatta}/spalloc
mkdir -p "$work"
copy=$work/$(basename "${config%.*}").py
if [[ $config == *.py ]]; then
    cp "$config" "$copy"
else
    command -v regatta >/dev/null || PATH=$root/.venv/bin:$PATH
    PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} \
        python3 -m orchestrator.virtual.spalloc_configuration "$config" >"$copy"
fi
cd "$work"
unset PYTHONPATH
exec "$server" --cold-start "$@" "$copy"
