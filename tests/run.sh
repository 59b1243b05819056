#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing (Debian, apt), builds, runs every test.
#
#   bash tests/run.sh            everything: Release, ASan + UBSan, fuzzing, 20,000 flipped files, scanpy, Python package
#   bash tests/run.sh --quick    Release build and its tests only
#
# Environment: STOFM_GOLDEN, STOFM_FORMATS, STOFM_DATA: directories with more cases of the same layout;
# STOFM_FUZZ_SECONDS (60), STOFM_FLIPS (20000), STOFM_MUTATIONS (2000), STOFM_JOBS (all cores), STOFM_BUILD (build);
# STOFM_QUICK_TO_BUILD (OFF; ON: --quick builds in few large units, sooner from nothing).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
quick=no
for argument in "$@"; do
  case "$argument" in
    --quick) quick=yes ;;
    -h | --help) sed -n '3,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "run.sh: unknown option $argument (try --help)" >&2; exit 2 ;;
  esac
done
jobs=${STOFM_JOBS:-$(nproc)} build=${STOFM_BUILD:-build}
export STOFM_FLIPS=${STOFM_FLIPS:-20000}
[ "$quick" = yes ] || export STOFM_MUTATIONS=${STOFM_MUTATIONS:-2000}
passed=() failed=() skipped=()
started=$SECONDS
step() { printf '\n=== %s (%d s)\n' "$1" "$((SECONDS - started))"; }
verdict() { if [ "$1" -eq 0 ]; then passed+=("$2"); else failed+=("$2"); fi; }

step "what is installed"
# shellcheck source=../cmake/install-dependencies.sh
source cmake/install-dependencies.sh
stofm_install_dependencies tests || exit 1

PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
cuda=OFF kernels="Release build (NDEBUG)"
if [ "$quick" = no ] && command -v nvcc >/dev/null; then
  cuda=ON kernels="Release build (NDEBUG), CUDA kernels for sm_80 and sm_90a with warnings as errors"
fi
build_release() {  # STOFM_CUDA
  # Everything, mostly from nothing: build what is quick to build. The kernels run on the host once, under the sanitizers.
  local options=(-DSTOFM_CUDA="$1" -DSTOFM_QUICK_TO_BUILD=ON -DSTOFM_EMULATED_TESTS=OFF) said="/tmp/stofm-configure.$$"
  [ "$quick" = no ] ||
    options=(-DSTOFM_CUDA="$1" -DSTOFM_QUICK_TO_BUILD="${STOFM_QUICK_TO_BUILD:-OFF}" -DSTOFM_EMULATED_TESTS=ON)
  cmake --preset cpu -B "$build" "${options[@]}" >"$said" 2>&1 || { cat "$said"; rm -f "$said"; return 1; }
  rm -f "$said"
  cmake --build "$build" -j "$jobs"
}
step "$kernels"
if ! build_release "$cuda"; then
  [ "$cuda" = ON ] || { echo "run.sh: the build failed"; exit 1; }
  failed+=("$kernels")
  step "Release build (NDEBUG) without CUDA"
  build_release OFF || { echo "run.sh: the build failed"; exit 1; }
  cuda=OFF
fi

step "tests, Release"
ctest --test-dir "$build" -j "$jobs" --output-on-failure --no-tests=error -LE cuda
verdict $? "tests (Release)"
if [ "$cuda" = ON ]; then
  passed+=("CUDA kernels compile")
  step "tests on a device (each says that it is skipped without one)"
  ctest --test-dir "$build" -L cuda --output-on-failure --no-tests=error
  tests_on_device=$?
  if [ "$tests_on_device" -eq 0 ] && ! nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then
    skipped+=("tests on a device: there is none")
  else
    verdict "$tests_on_device" "tests on a device"
  fi
fi
if [ "$cuda" = ON ]; then
  step "instructions and registers of the compiled kernels"
  bash tests/kernels/static_counts.sh "$build"
  case $? in 0) passed+=("kernels within their bounds") ;; 77) skipped+=("kernels within their bounds: no cuobjdump and nvdisasm") ;; *) failed+=("kernels within their bounds") ;; esac
fi
if [ -n "${STOFM_GOLDEN:-}" ]; then
  step "golden tests again, on the small cases of the repository"
  STOFM_GOLDEN='' ctest --test-dir "$build" -j "$jobs" --output-on-failure -R golden --no-tests=error
  verdict $? "golden tests (repository)"
fi

if [ "$quick" = no ]; then
  step "scanpy opens the result"
  bash tests/program/scanpy_opens.sh "$build"
  case $? in 0) passed+=("scanpy opens the result") ;; 77) skipped+=("scanpy opens the result: Python packages can not be installed here") ;; *) failed+=("scanpy opens the result") ;; esac

  step "the Python package: sdist, wheel, tests beside the program"
  bash tests/python/run.sh "$build"
  case $? in 0) passed+=("Python package") ;; 77) skipped+=("Python package: Python packages can not be installed here") ;; *) failed+=("Python package") ;; esac

  step "ASan + UBSan build"
  sanitizer_compiler=g++  # clang where it is there, so that both compilers build and pass the whole suite
  command -v clang++ >/dev/null && sanitizer_compiler=clang++
  if cmake --preset asan -B "$build-asan" -DCMAKE_CXX_COMPILER="$sanitizer_compiler" -DSTOFM_QUICK_TO_BUILD=ON >/dev/null && cmake --build "$build-asan" -j "$jobs"; then
    step "tests, ASan + UBSan"
    STOFM_FLIPS=500 STOFM_MUTATIONS=200 ctest --test-dir "$build-asan" -j "$jobs" --output-on-failure --no-tests=error -LE packaging
    verdict $? "tests (ASan + UBSan)"
  else
    failed+=("ASan + UBSan build")
  fi

  step "fuzzing, ${STOFM_FUZZ_SECONDS:-60} s a target"
  if command -v clang++ >/dev/null; then
    bash tests/fuzz/run.sh "${STOFM_FUZZ_SECONDS:-60}"
    verdict $? "fuzzing"
  else
    skipped+=("fuzzing: clang++ is not installed")
  fi
fi

step "summary"
command -v nvcc >/dev/null || skipped+=("CUDA kernels: no toolkit (nvcc) found")
command -v mpirun >/dev/null || skipped+=("MPI: no mpirun found")
for name in "${passed[@]}"; do echo "passed:  $name"; done
for name in "${skipped[@]}"; do echo "skipped: $name"; done
for name in "${failed[@]}"; do echo "FAILED:  $name"; done
echo "took $((SECONDS - started)) s"
echo "${#passed[@]} passed, ${#failed[@]} failed, ${#skipped[@]} skipped"
[ "${#failed[@]}" -eq 0 ]
