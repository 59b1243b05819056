#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything that needs a CUDA device, in one command, on a bare machine (no network) from a copied tree.
#
#   bash tests/gpu/run.sh                      all stages: build test bench peers million sanitize
#   bash tests/gpu/run.sh build test           some of them; what earlier calls found stays in the report
#   bash tests/gpu/run.sh --budget 570 --continue
#                                              ends in time where a call may last ten minutes only; the same command again
#                                              goes on where it ended
#
# build     Release with the kernels in build-gpu/ (STOFM_GPU_BUILD)
# test      every tests/gpu/*_gpu_test.cpp twice: both must pass and leave the same bits; `stofm verify` on the golden cases
# bench     every bench/**/*_gpu_bench.cpp; those that the target figures need come first
# peers     stofm_torch.py in STOFM_PEERS (.carry/peers), eager and compiled, by STOFM_PEER_PYTHON (python3)
# million   `stofm adapt`, `pretrain` and `embed` on the device: 1,000,000 cells (STOFM_GPU_CELLS) from .h5ad to .h5ad
# sanitize  the tests under compute-sanitizer: memcheck, racecheck, initcheck, synccheck; four at once
#
# --budget SECONDS   begins nothing that the time left is too short for, and cuts off what outlasts it
# --continue         leaves out what passed in an earlier call at the same commit on the same kind of device
#
# Writes one JSON, $OUT/gpu.json (build-gpu/report/gpu.json without OUT): device, driver, commit, every result and figure, and
# the target figures beside what was found. Earlier results come from build-gpu/gpu.json, or .carry/gpu.json on a fresh machine.
# Headers and libraries that the machine lacks come from .carry/, made by tests/gpu/carry.sh before the tree is copied.
# Exit code: 0 all good; 1 something failed; 3 nothing failed, but the budget ended first; 77 no CUDA device (`build` alone
# runs without one).
# Environment: STOFM_GPU_JOBS, STOFM_GPU_ARCHITECTURES (default: of the device, else 80;90a-real), STOFM_GPU_TIMEOUT (s a
# program, 300), STOFM_GPU_SANITIZE_JOBS, STOFM_GOLDEN, STOFM_WEIGHTS (a bundle, for `million`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH="${CUDA_HOME:-/usr/local/cuda}/bin:$PATH"
stages=() options=() budget=0
while [ "$#" -gt 0 ]; do
  case "$1" in
    build | test | bench | peers | million | sanitize) stages+=("$1") ;;
    --continue) options+=(--continue) ;;
    --budget)
      [[ "${2:-}" =~ ^[0-9]+$ ]] || { echo "run.sh: --budget takes seconds" >&2; exit 2; }
      budget=$2
      shift
      ;;
    -h | --help) sed -n '3,29s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "run.sh: unknown stage $1 (try --help)" >&2; exit 2 ;;
  esac
  shift
done
[ "${#stages[@]}" -gt 0 ] || stages=(build test bench peers million sanitize)
build=${STOFM_GPU_BUILD:-build-gpu}
device=yes
nvidia-smi -L 2>/dev/null | grep '^GPU' >/dev/null || device=no
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
  # Warnings of a host compiler that nobody has tried must not cost the time on the device.
  configure=(-DCMAKE_BUILD_TYPE=Release -DSTOFM_CUDA=ON "-DSTOFM_CUDA_ARCHITECTURES=${architectures:-80;90a-real}"
    -DSTOFM_WARNINGS_AS_ERRORS=OFF -DCMAKE_CUDA_FLAGS=-lineinfo)  # what compute-sanitizer finds has a line
  command -v ninja >/dev/null && configure+=(-G Ninja)
  if [ -d .carry ]; then
    carry=$PWD/.carry usr=$PWD/.carry/usr
    configure+=(-DCMAKE_POLICY_VERSION_MINIMUM=3.5)  # the carried packages' files, for CMake 4
    configure+=("-DCMAKE_PREFIX_PATH=$usr" "-DEigen3_DIR=$usr/share/eigen3/cmake" "-DSTOFM_CLI11_INCLUDE_DIR=$usr/include"
      "-Dnlohmann_json_DIR=$usr/share/cmake/nlohmann_json" "-Ddoctest_DIR=$usr/lib/cmake/doctest"
      "-Dbenchmark_DIR=$(dirname "$(find "$usr/lib" -name benchmarkConfig.cmake)")"
      "-DSTOFM_HDF5_INCLUDE_DIR=$usr/include/hdf5/serial" "-DSTOFM_HDF5_LIBRARY=$carry/lib/libhdf5_serial.so"
      "-DSTOFM_ZLIB_LIBRARY=$carry/lib/libz.so" "-DCMAKE_CXX_FLAGS=-isystem $usr/include"
      "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags,-rpath,$carry/lib,-rpath-link,$carry/lib")
  fi
  toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
  if ! compgen -G "$toolkit/lib64/libcublasLt.so*" >/dev/null && ! compgen -G "$toolkit/targets/*/lib/libcublasLt.so*" >/dev/null; then
    wheel=$(python3 -c 'import glob, nvidia
print(*[path for folder in nvidia.__path__ for path in glob.glob(folder + "/*/lib/libcublasLt.so.*")][:1])' 2>/dev/null || true)
    if [ -n "$wheel" ]; then  # the cuBLAS that PyTorch brings; only its own headers, the toolkit has the others
      mkdir -p "$build/cublas"
      ln -sf "$(dirname "$(dirname "$wheel")")"/include/cublas*.h "$build/cublas/"
      configure+=("-DCUDA_cublasLt_LIBRARY=$wheel" "-DCUDA_cublas_LIBRARY=${wheel/cublasLt/cublas}"
        "-DCMAKE_CUDA_FLAGS=-lineinfo -isystem $(cd "$build/cublas" && pwd)")
      echo "cuBLAS: $wheel"
    fi
  fi
  cmake -S . -B "$build" "${configure[@]}" >"/tmp/stofm-gpu-configure.$$" 2>&1 || { cat "/tmp/stofm-gpu-configure.$$"; exit 1; }
  rm -f "/tmp/stofm-gpu-configure.$$"
  compile=(cmake --build "$build" -j "${STOFM_GPU_JOBS:-$(nproc)}" --target stofm_gpu)
  [ "$budget" -eq 0 ] || compile=(timeout -s INT -k 10 "$((budget > SECONDS ? budget - SECONDS : 1))" "${compile[@]}")
  code=0
  "${compile[@]}" || code=$?
  if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then
    echo "run.sh: the budget ended before the build did; the same command goes on with it" >&2
    exit 3
  fi
  [ "$code" -eq 0 ] || { echo "run.sh: the build failed" >&2; exit 1; }
  echo "built in $SECONDS s"
  [ "${stages[*]}" != build ] || exit 0
fi
if [ "$budget" -gt 0 ]; then options+=(--budget "$((budget > SECONDS ? budget - SECONDS : 1))"); fi
exec python3 tests/gpu/run.py "${options[@]}" "$build" "${OUT:-$build/report}" "${stages[@]}"
