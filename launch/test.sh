#!/usr/bin/env bash
# Installs what the tests need and runs the whole suite: format, lint, types, tests. Arguments go
# to pytest and then only the tests run, for example: launch/test.sh tests/collectives -k planner
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/launch/environment.sh"

# Each as package:command, the command telling whether it is there.
system_packages=(slurm-wlm:slurmctld munge:munged g++:g++ qemu-user:qemu-aarch64
    gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc libc6-dev-arm64-cross:aarch64-linux-gnu-gcc
    gcc-arm-none-eabi:arm-none-eabi-gcc)

install_system_packages() {
    local entry missing=()
    for entry in "${system_packages[@]}"; do
        PATH=$PATH:/usr/sbin command -v "${entry#*:}" >/dev/null || missing+=("${entry%:*}")
    done
    if [[ ${#missing[@]} -eq 0 ]]; then return; fi
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        say "Installing system packages: ${missing[*]}"
        if apt-get -qq update >/dev/null && DEBIAN_FRONTEND=noninteractive \
            apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null; then
            return
        fi
    fi
    say "Missing system packages, whose tests are skipped: ${missing[*]}"
    say "Get them with: sudo apt-get install ${missing[*]}"
}

make_environment
install_system_packages
install_package test
"$root/launch/install_horovod.sh" || say "Without Horovod its tests are skipped."
"$root/launch/spalloc_server.sh" --install || say "Without spalloc_server its tests are skipped."
cd "$root"
if [[ $# -eq 0 ]]; then
    ruff format --check .
    ruff check .
    mypy
fi
exec python -m pytest "$@"
