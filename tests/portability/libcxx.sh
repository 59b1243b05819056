#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compiles every header with clang and libc++, the standard library of macOS and FreeBSD. See README.md here.
#
#   bash tests/portability/libcxx.sh [--clang CLANG++] [--alone]
#
# All headers in one unit (10 s); --alone: one at a time (10 CPU minutes), which finds includes that libstdc++ made
# superfluous. --clang: the compiler (default: clang++). Needs libc++-dev of the same version (apt-get install libc++-dev) and
# the libraries of a build: Eigen, nlohmann/json, libhdf5. Syntax and warnings only: nothing is linked or run. No root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
clang=clang++ alone=no
while [ $# -gt 0 ]; do
  case "$1" in
    --clang) clang=${2:?--clang needs a compiler}; shift ;;
    --alone) alone=yes ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "libcxx.sh: unknown option $1 (try --help)" >&2; exit 2 ;;
  esac
  shift
done
command -v "$clang" >/dev/null || { echo "libcxx.sh: no $clang (apt-get install clang libc++-dev)" >&2; exit 2; }
version=$(printf '#include <version>\n_LIBCPP_VERSION\n' | "$clang" -stdlib=libc++ -x c++ -E -P - 2>/dev/null | tail -1)
case "$version" in
  [0-9]*) ;;
  *) echo "libcxx.sh: $clang finds no libc++ (apt-get install libc++-dev)" >&2; exit 2 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
libraries=(-isystem/usr/include/eigen3 -isystem/usr/include/hdf5/serial)
if found=$(pkg-config --cflags eigen3 hdf5 2>/dev/null); then read -ra libraries <<<"${found//-I/-isystem}"; fi
flags=(-std=c++20 -stdlib=libc++ -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -Iinclude "${libraries[@]}")

mapfile -t headers < <(cd include && find stofm -name '*.hpp' ! -name 'mpi_*' | sort)  # MPI is not part of this check
if [ "$alone" = yes ]; then
  for header in "${headers[@]}"; do
    printf '#include "%s"\n' "$header" >"$work/$(echo "$header" | tr / _).cpp"
  done
  printf '%s\0' "$work"/*.cpp | xargs -0 -n 1 -P "$(nproc)" "$clang" "${flags[@]}"
else
  printf '#include "%s"\n' "${headers[@]}" >"$work/all.cpp"
  "$clang" "${flags[@]}" "$work/all.cpp"
fi
echo "${#headers[@]} headers compile with $("$clang" --version | head -1), libc++ $version"
