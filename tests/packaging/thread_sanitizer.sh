#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# C11: builds the tests that use several threads with ThreadSanitizer and runs them.
# Usage: thread_sanitizer.sh SOURCE_DIR COMPILER [FLAG ...]. Exit 77: ThreadSanitizer does not run here.
set -uo pipefail
source_dir=$1 compiler=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-std=c++20 -O1 -g1 -fsanitize=thread -pthread "-I$source_dir" "-I$source_dir/include"
  "-DSTOFM_SOURCE_DIR=\"$source_dir\"" "$@")
echo 'int main() { return 0; }' >"$work/probe.cpp"
if ! "$compiler" "${flags[@]}" "$work/probe.cpp" -o "$work/probe" 2>/dev/null || ! "$work/probe"; then
  echo "ThreadSanitizer does not run here"
  exit 77
fi
"$compiler" "${flags[@]}" -c "$source_dir/tests/support/main.cpp" -o "$work/main.o" || exit 1
for test in core/parallel_random model/shared_between_threads; do
  "$compiler" "${flags[@]}" "$source_dir/tests/${test}_test.cpp" "$work/main.o" -o "$work/test" || exit 1
  # ThreadSanitizer ends a child of fork() that starts threads.
  TSAN_OPTIONS=halt_on_error=1 "$work/test" --test-case-exclude='*child of fork*' || exit 1
done
