# Sourced by the scripts beside it: makes and activates the environment .venv at the top of the
# checkout. After `root` is set by the caller, `install_package [EXTRA]` installs the package into
# it and does nothing when nothing that matters has changed since.

say() { printf '%s\n' "$*" >&2; }

missing_tool() { # what it is, how to get it
    say "$1 is missing: $2"
    exit 4
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    missing_tool "Python 3.11 or newer" "apt-get install python3 (on an older system: python3.11)"
}

# shellcheck disable=SC2154  # root comes from the caller
make_environment() {
    local python
    if ! "$root/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            missing_tool "Python's venv module" "apt-get install python3-venv"
        say "Making the environment $root/.venv"
        "$python" -m venv --clear "$root/.venv"
    fi
    command -v "${CC:-gcc}" >/dev/null ||
        missing_tool "a C compiler" "apt-get install gcc libc6-dev"
    export VIRTUAL_ENV=$root/.venv PATH=$root/.venv/bin:$PATH
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export PIP_DISABLE_PIP_VERSION_CHECK=1
}

install_package() { # [EXTRA]
    local extra=${1:-} stamp=$root/.venv/installed-${1:-plain} state
    state=$(cd "$root" && find pyproject.toml setup.py board_kernels -type f -exec sha256sum {} + | sort)
    if [[ -f $stamp && $(<"$stamp") == "$state" ]] &&
        compgen -G "$root/orchestrator/boards/_kernels_*.so" >/dev/null; then
        return
    fi
    say "Installing regatta${extra:+ with what its $extra extra needs} (a few minutes the first time)"
    rm -f "$stamp"
    python -m pip install --quiet --editable "$root${extra:+[$extra]}"
    printf '%s\n' "$state" >"$stamp"
}
