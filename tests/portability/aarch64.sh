#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds for 64-bit ARM with the default flags (warnings are errors) and runs tests under qemu. See README.md here.
#
#   bash tests/portability/aarch64.sh [--work DIR] [--keep] [LAYER...]
#
# LAYER: folders of tests/, by default core ops model io. --work: where to build (default: a new folder under
# ${TMPDIR:-/tmp}, removed at the end unless --keep is given; 2 GB). Needs g++-aarch64-linux-gnu, qemu-user-static, ninja-build
# and what tests/run.sh installs, on an amd64 Debian; downloads arm64 packages from its archive, installs nothing. No root.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work="" keep=no layers=()
while [ $# -gt 0 ]; do
  case "$1" in
    --work) work=${2:?--work needs a folder} keep=yes; shift ;;
    --keep) keep=yes ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) echo "aarch64.sh: unknown option $1 (try --help)" >&2; exit 2 ;;
    *) layers+=("$1") ;;
  esac
  shift
done
[ ${#layers[@]} -gt 0 ] || layers=(core ops model io)
for tool in aarch64-linux-gnu-g++ qemu-aarch64-static cmake ninja apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || { echo "aarch64.sh: no $tool (apt-get install g++-aarch64-linux-gnu qemu-user-static cmake ninja-build)" >&2; exit 2; }
done
[ -n "$work" ] || work=$(mktemp -d "${TMPDIR:-/tmp}/stofm-aarch64-XXXXXX")
mkdir -p "$work"
work=$(cd "$work" && pwd)
[ "$keep" = yes ] || trap 'rm -rf "$work"' EXIT
sysroot="$work/sysroot"

if [ ! -e "$sysroot/complete" ]; then  # apt with a world of its own: arm64, nothing installed yet
  echo "=== arm64 packages"
  apt="$work/apt"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/etc" "$sysroot"
  : >"$apt/status"
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Identifier: Packages' | awk -v name="$codename" '$2 == name {print $1; exit}')
  echo "deb ${mirror:?no mirror of $codename is known to apt} $codename main" >"$apt/etc/sources.list"
  options=(-o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status"
    -o "Dir::Cache=$apt" -o "Dir::Cache::archives=$apt/archives" -o "Dir::Etc::sourcelist=$apt/etc/sources.list"
    -o "Dir::Etc::sourceparts=$apt/etc" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
  apt-get "${options[@]}" -qq update
  apt-get "${options[@]}" -qq -y --no-install-recommends --download-only install libhdf5-dev libstdc++6 libgomp1 >/dev/null
  for package in "$apt"/archives/*.deb; do dpkg-deb -x "$package" "$sysroot"; done
  touch "$sysroot/complete"
fi
libraries="$sysroot/usr/lib/aarch64-linux-gnu"

cat >"$work/toolchain.cmake" <<EOF
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L "$sysroot")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,$libraries -Wl,-rpath-link,$sysroot/lib/aarch64-linux-gnu -Wl,--allow-shlib-undefined")
set(CMAKE_PREFIX_PATH /usr /usr/lib/$(uname -m)-linux-gnu)
EOF
echo "=== build"
cmake -S "$source_dir" -B "$work/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$work/toolchain.cmake" -DCMAKE_BUILD_TYPE=Release \
  -DSTOFM_QUICK_TO_BUILD=ON -DSTOFM_EMULATED_TESTS=OFF -DSTOFM_MPI=OFF \
  -DSTOFM_HDF5_INCLUDE_DIR="$sysroot/usr/include/hdf5/serial" -DSTOFM_HDF5_LIBRARY="$libraries/hdf5/serial/libhdf5.so" \
  -DSTOFM_ZLIB_LIBRARY="$sysroot/lib/aarch64-linux-gnu/libz.so.1" >"$work/configure.log" 2>&1 || { cat "$work/configure.log"; exit 1; }
pattern=$(IFS='|'; echo "${layers[*]}")
mapfile -t targets < <(ninja -C "$work/build" -t targets all | sed -nE "s/^(test_($pattern)(_[a-z0-9_]+)?): phony$/\1/p" | sort -u)
[ ${#targets[@]} -gt 0 ] || { echo "aarch64.sh: no tests of ${layers[*]}" >&2; exit 1; }
ninja -C "$work/build" "${targets[@]}"

echo "=== what is promised to the bit, where every CPU has fused instructions"
aarch64-linux-gnu-g++ -std=c++20 -O2 -pthread -DSTOFM_ROUNDING_ALONE "-I$source_dir/include" -isystem /usr/include/eigen3 \
  "$source_dir/tests/packaging/consumer/rounding.cpp" -o "$work/rounding"
qemu-aarch64-static -L "$sysroot" "$work/rounding"

echo "=== tests under qemu"
# Every flipped copy is a process of its own, which takes a second here.
STOFM_EMULATED_CPU=1 STOFM_FLIPS="${STOFM_FLIPS:-100}" ctest --test-dir "$work/build" -R "^($pattern)\." -j "$(nproc)" --output-on-failure --no-tests=error --timeout 3600
