#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compares what the compiled attention kernels are made of with bench/kernels/static_bounds.json.
# Usage: static_counts.sh BUILD_DIR. Exit 77: no cuobjdump and nvdisasm, and none to be installed here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
build=$(cd "$1" && pwd) || exit 1
PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
if ! command -v cuobjdump >/dev/null || ! command -v nvdisasm >/dev/null; then
  venv="$build/cuobjdump-venv"
  if [ ! -f "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >/dev/null 2>&1 &&
      "$venv/bin/pip" install -q --disable-pip-version-check nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm >/dev/null 2>&1 || {
      echo "cuobjdump and nvdisasm are not there and could not be installed"
      rm -rf "$venv"
      exit 77
    }
    touch "$venv/ready"
  fi
  tools=$(dirname "$(find "$venv" -type f -name cuobjdump | head -n 1)")
  PATH="$PATH:$tools"
fi
exec python3 bench/kernels/static_counts.py --objects "$build/CMakeFiles/stofm_kernels.dir" --only attention \
  --bounds bench/kernels/static_bounds.json
