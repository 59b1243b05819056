#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes every target with clang's libFuzzer, ASan and UBSan, and the pickle and zip reader of the converter.
#
#   bash tests/fuzz/run.sh SECONDS [TARGET...]
#
# One line per target: executions, executions per second, findings. Fails on a finding; the inputs that showed it are kept
# in the build directory (STOFM_FUZZ_BUILD, default build-fuzz). The stored corpus is read, not changed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
seconds=${1:-}
if ! [[ "$seconds" =~ ^[0-9]+$ ]] || [ "$seconds" -eq 0 ]; then
  sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
shift
build=${STOFM_FUZZ_BUILD:-build-fuzz}
command -v clang++ >/dev/null || { echo "fuzz: clang++ is not installed (apt-get install clang)" >&2; exit 1; }

generator=()
if [ ! -f "$build/CMakeCache.txt" ] && command -v ninja >/dev/null; then generator=(-G Ninja); fi
cmake -S . -B "$build" "${generator[@]}" -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=None -DSTOFM_FUZZ=ON \
  >"/tmp/stofm-fuzz-configure.$$" 2>&1 || { cat "/tmp/stofm-fuzz-configure.$$" >&2; exit 1; }
rm -f "/tmp/stofm-fuzz-configure.$$"
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cpp; do
    name=${source##*/}
    targets+=("${name%_fuzz.cpp}")
  done
  [ -f tests/fuzz/pickle_zip_fuzz.py ] && targets+=(pickle_zip)
fi

build_targets=()
for target in "${targets[@]}"; do [ "$target" = pickle_zip ] || build_targets+=("fuzz_$target"); done
if [ ${#build_targets[@]} -gt 0 ]; then
  cmake --build "$build" --target "${build_targets[@]}" >"/tmp/stofm-fuzz-build.$$" 2>&1 ||
    { tail -50 "/tmp/stofm-fuzz-build.$$" >&2; exit 1; }
  rm -f "/tmp/stofm-fuzz-build.$$"
fi

# One target: its line, and the output of a finding. Runs in the background, two at a time.
fuzz() {
  local target=$1
  if [ "$target" = pickle_zip ]; then
    local python='' candidate
    for candidate in ${STOFM_PYTHON:-} python3 /usr/bin/python3; do
      if "$candidate" -c 'import numpy' 2>/dev/null; then python=$candidate && break; fi
    done
    if [ -z "$python" ]; then
      echo 'pickle_zip   skipped: no python3 with numpy (apt-get install python3-numpy, or set STOFM_PYTHON)'
      return 0
    fi
    "$python" -B tests/fuzz/pickle_zip_fuzz.py --seconds "$seconds"
    return
  fi
  local work="$build/fuzz/work-$target" log="$build/fuzz/$target.log" found="$build/fuzz/findings-$target"
  mkdir -p "$work" "$found"
  local dictionary=()
  [ -f "tests/fuzz/$target.dict" ] && dictionary=("-dict=tests/fuzz/$target.dict")
  "$build/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=8192 \
    -print_final_stats=1 -artifact_prefix="$found/" "${dictionary[@]}" "$work" "tests/fuzz/corpus/$target" >"$log" 2>&1
  local status=$? executions speed findings
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  findings=$(find "$found" -type f | wc -l)
  if [ $status -ne 0 ] && [ "$findings" -eq 0 ]; then findings=1; fi
  printf '%-12s %12s executions %9s a second %3d findings\n' "$target" "${executions:-?}" "${speed:-?}" "$findings"
  [ "$findings" -eq 0 ] && return 0
  tail -40 "$log" >&2
  find "$found" -type f >&2
  return 1
}

failed=0
running=()
for target in "${targets[@]}"; do
  fuzz "$target" &
  running+=($!)
  if [ ${#running[@]} -eq "${STOFM_JOBS:-$(nproc)}" ]; then
    wait "${running[0]}" || failed=1
    running=("${running[@]:1}")
  fi
done
for process in "${running[@]}"; do wait "$process" || failed=1; done
exit $failed
