#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything that needs a CUDA device, in one command, on a bare machine (no network) from a copied tree.
#
#   bash tests/gpu/run.sh                      all stages: build test sanitize bench
#   bash tests/gpu/run.sh build test           some of them; what earlier calls found stays in the report
#
# build     Release with the kernels in build-gpu/ (STOFM_GPU_BUILD)
# test      every tests/gpu/*_gpu_test.cpp twice: both must pass and leave the same bits; `stofm verify` on the golden cases
# sanitize  the same tests under compute-sanitizer: memcheck, racecheck, initcheck, synccheck
# bench     every bench/**/*_gpu_bench.cpp
#
# Writes one JSON, $OUT/gpu.json (build-gpu/report/gpu.json without OUT): device, driver, commit, every result and figure.
# Headers and libraries that the machine lacks come from .carry/, made by tests/gpu/carry.sh before the tree is copied.
# Exit code: 0 all good; 1 something failed; 77 no CUDA device (`build` alone runs without one).
# Environment: STOFM_GPU_JOBS, STOFM_GPU_ARCHITECTURES (default: of the device, else 80;90a-real), STOFM_GPU_TIMEOUT (s a
# test, 300), STOFM_GOLDEN, STOFM_WEIGHTS (a bundle for the benchmarks).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH="${CUDA_HOME:-/usr/local/cuda}/bin:$PATH"
stages=("$@")
[ "${#stages[@]}" -gt 0 ] || stages=(build test sanitize bench)
for stage in "${stages[@]}"; do
  case "$stage" in
    build | test | sanitize | bench) ;;
    -h | --help) sed -n '3,20s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "run.sh: unknown stage $stage (try --help)" >&2; exit 2 ;;
  esac
done
build=${STOFM_GPU_BUILD:-build-gpu}
device=yes
nvidia-smi -L 2>/dev/null | grep -q '^GPU' || device=no
if [ "$device" = no ] && [ "${stages[*]}" != build ]; then
  echo "skipped: no CUDA device (nvidia-smi lists none); nothing was run"
  exit 77
fi

if [[ " ${stages[*]} " == *" build "* ]]; then
  command -v nvcc >/dev/null || { echo "run.sh: no nvcc (CUDA_HOME?)" >&2; exit 1; }
  architectures=${STOFM_GPU_ARCHITECTURES:-}
  if [ -z "$architectures" ] && [ "$device" = yes ]; then
    case "$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1)" in
      9.0) architectures=90a-real ;;
      *) architectures=80 ;;
    esac
  fi
  options=(-DCMAKE_BUILD_TYPE=Release -DSTOFM_CUDA=ON "-DSTOFM_CUDA_ARCHITECTURES=${architectures:-80;90a-real}")
  command -v ninja >/dev/null && options+=(-G Ninja)
  if [ -d .carry ]; then
    carry=$PWD/.carry usr=$PWD/.carry/usr
    options+=("-DCMAKE_PREFIX_PATH=$usr" "-DEigen3_DIR=$usr/share/eigen3/cmake" "-DSTOFM_CLI11_INCLUDE_DIR=$usr/include"
      "-Dnlohmann_json_DIR=$usr/share/cmake/nlohmann_json" "-Ddoctest_DIR=$usr/lib/cmake/doctest"
      "-Dbenchmark_DIR=$(dirname "$(find "$usr/lib" -name benchmarkConfig.cmake)")"
      "-DSTOFM_HDF5_INCLUDE_DIR=$usr/include/hdf5/serial" "-DSTOFM_HDF5_LIBRARY=$carry/lib/libhdf5_serial.so"
      "-DSTOFM_ZLIB_LIBRARY=$carry/lib/libz.so" "-DCMAKE_CXX_FLAGS=-isystem $usr/include"
      "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags,-rpath,$carry/lib,-rpath-link,$carry/lib")
  fi
  started=$SECONDS
  cmake -S . -B "$build" "${options[@]}" >"/tmp/stofm-gpu-configure.$$" 2>&1 || { cat "/tmp/stofm-gpu-configure.$$"; exit 1; }
  rm -f "/tmp/stofm-gpu-configure.$$"
  cmake --build "$build" -j "${STOFM_GPU_JOBS:-$(nproc)}" --target stofm_gpu || { echo "run.sh: the build failed"; exit 1; }
  echo "built in $((SECONDS - started)) s"
  [ "${stages[*]}" != build ] || exit 0
fi
exec python3 tests/gpu/run.py "$build" "${OUT:-$build/report}" "${stages[@]}"
