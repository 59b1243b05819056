#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds a consumer project the way users do and runs it.
# Usage: run.sh SOURCE_DIR find_package|subdirectory|fetch_content|pkg_config
set -euo pipefail
source_dir=$1 kind=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here="$source_dir/tests/packaging"
configure() { cmake -S "$1" -B "$2" -DCMAKE_BUILD_TYPE=None "${@:3}" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }

case "$kind" in
  find_package | pkg_config)
    configure "$source_dir" "$work/stofm" -DSTOFM_DEVELOPER=OFF -DCMAKE_INSTALL_PREFIX="$work/prefix"
    cmake --install "$work/stofm" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    ;;
esac
if [ "$kind" = pkg_config ]; then
  export PKG_CONFIG_PATH="$work/prefix/share/pkgconfig:${PKG_CONFIG_PATH:-}"
  # shellcheck disable=SC2046
  "${CXX:-c++}" $(pkg-config --cflags stofm) "$here/consumer/main.cpp" "$here/consumer/other.cpp" -o "$work/consumer" $(pkg-config --libs stofm)
  exec "$work/consumer"
fi
configure "$here/$kind" "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DSTOFM_SOURCE="$source_dir"
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/build/consumer"
