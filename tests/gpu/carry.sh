#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fills the ignored folder .carry/ with the headers and libraries that a bare GPU machine lacks (from Debian packages that
# are installed here: Eigen, doctest, nlohmann/json, CLI11, Google Benchmark, libhdf5 with all it needs), the commit, and with STOFM_PEERS=DIR the scripts of that folder, what we are measured beside.
# Copy the tree with .carry/ to that machine and run tests/gpu/run.sh there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rm -rf .carry
mkdir -p .carry/lib
git describe --always --abbrev=40 --exclude='*' --dirty=-modified >.carry/commit 2>/dev/null || true
if [ -n "${STOFM_PEERS:-}" ]; then install -m 644 -D -t .carry/peers "$STOFM_PEERS"/*.py; fi

for package in libeigen3-dev doctest-dev nlohmann-json3-dev libcli11-dev libbenchmark-dev libhdf5-dev; do
  dpkg -L "$package" 2>/dev/null | while read -r path; do
    case "$path" in
      */doc/* | */man/* | */bin/* | */unsupported/* | */java/* | */openmpi/* | */mpich/* | *hdf5*.so | *hdf5*.a | *.mod) continue ;;
    esac
    if [ -f "$path" ]; then install -m 644 -D "$path" ".carry$path"; fi
  done
done
cp -L /usr/include/zlib.h .carry/usr/include/
cp -L /usr/include/zconf.h .carry/usr/include/ 2>/dev/null || cp -L /usr/include/*/zconf.h .carry/usr/include/

# A shared library under its link name and its soname, with what it needs, but for the C and C++ runtime.
carry_library() {
  [ -e "$1" ] || return 0
  cp -Lf "$1" ".carry/lib/$(basename "$1")"
  local soname
  soname=$(objdump -p "$1" | awk '$1 == "SONAME" { print $2 }')
  [ "$soname" = "$(basename "$1")" ] || ln -sf "$(basename "$1")" ".carry/lib/$soname"
  ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | while read -r name file; do
    case "$name" in
      libc.so* | libm.so* | libstdc++.so* | libgcc_s.so* | libpthread.so* | libdl.so* | librt.so* | libresolv.so*) ;;
      *) [ -e ".carry/lib/$name" ] || cp -Lf "$file" ".carry/lib/$name" ;;
    esac
  done
}
for library in /usr/lib/*/libhdf5_serial.so /usr/lib/*/libz.so; do carry_library "$library"; done
for library in /usr/lib/*/libbenchmark.so.1.*; do  # where its CMake files expect it
  install -m 644 -D "$library" ".carry$library"
  carry_library "$library"
done
du -sh .carry
