#!/usr/bin/env bash
# Installs Regatta into .venv and trains a small residual network on handwritten digits, on two
# virtual boards. Arguments go to `regatta train`, for example: --set train.epochs=2
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/launch/environment.sh"
make_environment
install_package
cd "$root"
exec launch/mpirun.sh 2 train configs/digits_quickstart.yaml "$@"
