# SPDX-License-Identifier: MIT
# Sourced by examples/quickstart.sh and tests/run.sh: installs what is missing, on Debian and Ubuntu.
# stofm_install_dependencies program|tests

stofm_install_dependencies() {
  local packages="g++ cmake ninja-build libeigen3-dev nlohmann-json3-dev libhdf5-dev libcli11-dev doctest-dev libbenchmark-dev"
  if [ "$1" = tests ]; then
    packages="$packages make pkg-config clang python3 python3-numpy python3-venv ccache libopenmpi-dev openmpi-bin doxygen"
  fi
  if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian system: please see that these are there (names as in Debian 12): $packages"
    return 0
  fi
  stofm_install_packages "$packages" || return 1
  if [ "$1" = tests ]; then  # the sanitizers' runtime carries the version of clang in its name: 14 in Debian 12, 19 in 13
    local version
    version=$(dpkg-query -W -f '${Depends}' clang | sed -nE 's/^(.*, *)?clang-([0-9]+).*/\2/p')
    stofm_install_packages "libclang-rt-${version:?}-dev"
  fi
}

stofm_install_packages() {  # "NAME NAME ..."
  local package missing=""
  for package in $1; do
    case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" in
      *"install ok installed"*) ;;
      *) missing="$missing $package" ;;
    esac
  done
  if [ -z "$missing" ]; then
    echo "installed: $1"
    return 0
  fi
  echo "installing:$missing"
  local as_root=""
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "not root and no sudo: please run  apt-get install$missing" >&2
      return 1
    fi
    as_root=sudo
  fi
  $as_root apt-get update -qq >/dev/null &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null || {
    echo "apt-get could not install:$missing" >&2
    return 1
  }
}
