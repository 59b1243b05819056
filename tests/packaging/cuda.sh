#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs, then builds a consumer with CUDA the way users do: plain find_package first, the component cuda after it, some of
# the kernels with the consumer's nvcc, host code and a kernel of its own over them; then a kernel over the sources, by
# add_subdirectory. Usage: cuda.sh SOURCE_DIR
set -euo pipefail
source_dir=$1
PATH="${CUDA_HOME:-/usr/local/cuda}/bin:$PATH"
command -v nvcc >/dev/null || { echo "skipped: no nvcc"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
quietly cmake -S "$source_dir" -B "$work/stofm" -DSTOFM_DEVELOPER=OFF -DCMAKE_INSTALL_PREFIX="$work/prefix"
quietly cmake --install "$work/stofm"
quietly cmake -S "$source_dir/tests/packaging/cuda_consumer" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix"
quietly cmake --build "$work/build"
"$work/build/host_only"
"$work/build/device_ops"
launcher=$(command -v ccache || true)
quietly cmake -S "$source_dir/tests/packaging/cuda_subdirectory" -B "$work/subdirectory" -DCMAKE_BUILD_TYPE=Release \
  -DSTOFM_SOURCE="$source_dir" -DCMAKE_CUDA_COMPILER_LAUNCHER="$launcher"
quietly cmake --build "$work/subdirectory"
"$work/subdirectory/consumer"
