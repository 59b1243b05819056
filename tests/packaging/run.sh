#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds a consumer project the way users do and runs it.
# Usage: run.sh SOURCE_DIR find_package|subdirectory|fetch_content|pkg_config|rounding|compiled BUILD_DIR
set -euo pipefail
source_dir=$1 kind=$2 build=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here="$source_dir/tests/packaging"
configure() { cmake -S "$1" -B "$2" -DCMAKE_BUILD_TYPE=None "${@:3}" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }

case "$kind" in
  find_package | pkg_config)
    configure "$source_dir" "$work/stofm" -DSTOFM_DEVELOPER=OFF
    cmake --install "$work/stofm" --prefix "$work/prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    ;;
esac
if [ "$kind" = pkg_config ]; then
  export PKG_CONFIG_PATH="$work/prefix/share/pkgconfig:${PKG_CONFIG_PATH:-}"
  # shellcheck disable=SC2046
  "${CXX:-c++}" -std=c++20 $(pkg-config --cflags stofm) "$here"/consumer/{main,other,rounding}.cpp -o "$work/consumer" \
    $(pkg-config --libs stofm)
  "$work/consumer"
  if pkg-config --exists stofm-hdf5; then  # in a standard that the user chose, which the flags must not take back
    # shellcheck disable=SC2046
    "${CXX:-c++}" -std=c++23 -DSTANDARD=202100L $(pkg-config --cflags stofm-hdf5) "$here/consumer/embeds.cpp" \
      -o "$work/embeds" $(pkg-config --libs stofm-hdf5)
    "$work/embeds" "$source_dir/tests/data/formats/csr_f32_gzip.h5ad"
  fi
  exit 0
fi
if [ "$kind" = compiled ]; then  # installed and from the sources: linked, by pkg-config, missing
  configure "$source_dir" "$work/stofm" -DSTOFM_DEVELOPER=OFF
  cmake --install "$work/stofm" --prefix "$work/headers" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  if cmake -S "$here/compiled" -B "$work/without" -DCMAKE_PREFIX_PATH="$work/headers" >"$work/log" 2>&1 ||
    ! grep -q 'STOFM_COMPILED=ON' "$work/log"; then  # headers alone: the component says what to do
    cat "$work/log"
    exit 1
  fi
  # The library is this build's, minutes of compiling; from the sources one of its units is compiled, and everything is but linked.
  { cmake --build "$build" --target stofm_compiled stofm_program stofm_demo && cmake --install "$build" --prefix "$work/prefix"; } \
    >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  quick=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O0)  # whether it links, not how fast it runs
  configure "$here/compiled" "$work/installed" -DCMAKE_PREFIX_PATH="$work/prefix" "${quick[@]}"
  cmake --build "$work/installed" -j 2 >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  "$work/installed/consumer"  # a line each: what is left of && may fail under set -e
  "$work/installed/embeds" "$source_dir/tests/data/formats/csr_f32_gzip.h5ad"
  configure "$here/compiled" "$work/sources" -DSTOFM_SOURCE="$source_dir" "${quick[@]}"
  commands=$(ninja -C "$work/sources" -t commands consumer)
  for source in "$source_dir"/src/*/*.cpp; do
    grep -q "$source" <<<"$commands" || { echo "from the sources $source is not part of stofm::compiled"; exit 1; }
  done
  unit=$(ninja -C "$work/sources" -t targets all | sed -nE 's/^([^ ]*core\/text\.cpp\.o): .*/\1/p')
  cmake --build "$work/sources" --target "${unit:?core/text.cpp is not compiled}" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  export PKG_CONFIG_PATH="$work/prefix/share/pkgconfig:${PKG_CONFIG_PATH:-}"
  # shellcheck disable=SC2046
  "${CXX:-c++}" -std=c++20 $(pkg-config --cflags stofm-compiled) "$here/consumer/embeds.cpp" -o "$work/embeds" \
    $(pkg-config --libs stofm-compiled)
  "$work/embeds" "$source_dir/tests/data/formats/csr_f32_gzip.h5ad"
  exit 0
fi
if [ "$kind" = rounding ]; then  # what is promised to the bit, with flags that consumers like
  eigen=$(pkg-config --cflags eigen3 2>/dev/null || echo -I/usr/include/eigen3)
  for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null || continue
    for flags in -O2 "-O2 -march=native" "-O3 -march=native"; do
      # shellcheck disable=SC2086
      "$compiler" $flags -x c++ -fsyntax-only /dev/null 2>/dev/null || continue  # clang 14 on ARM knows no native
      # shellcheck disable=SC2086
      "$compiler" -std=c++20 $flags -pthread -DSTOFM_ROUNDING_ALONE "-I$source_dir/include" $eigen \
        "$here/consumer/rounding.cpp" -o "$work/rounding"
      "$work/rounding" || { echo "compiled by $compiler $flags"; exit 1; }
    done
  done
  exit 0
fi
if [ "$kind" = find_package ]; then  # a component that does not exist is named
  if cmake -S "$here/find_package" -B "$work/unknown" -DCMAKE_PREFIX_PATH="$work/prefix" -DSTOFM_COMPONENT=hdf6 >"$work/log" 2>&1 ||
    ! grep -q 'no component "hdf6"' "$work/log"; then
    cat "$work/log"
    exit 1
  fi
fi
configure "$here/$kind" "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DSTOFM_SOURCE="$source_dir"
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/build/consumer"
