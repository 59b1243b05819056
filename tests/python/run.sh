#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The Python package as users have it: a wheel from the sdist, installed into a virtual environment of its own, and tested there
# beside the program. Library, weights and the program's objects are those of its build, which saves minutes;
# STOFM_PYTHON_FROM_NOTHING=1 compiles them as pip does. Usage: run.sh BUILD_DIR (of the program). Exit 77: Python packages can not be installed here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
build=$(cd "$1" && pwd) || exit 1
work="$build/python-package" tools="$build/python-tools" venv="$build/python-venv"
mkdir -p "$work"
make_venv() {  # FOLDER PACKAGE...
  local folder=$1
  shift
  [ -f "$folder/ready" ] && return 0
  rm -rf "$folder"
  python3 -m venv "$folder" >/dev/null 2>&1 &&
    "$folder/bin/pip" install -q --disable-pip-version-check "$@" >/dev/null 2>&1 && touch "$folder/ready"
}
if ! make_venv "$tools" build scikit-build-core nanobind || ! make_venv "$venv" anndata matplotlib; then
  echo "Python packages can not be installed here"
  exit 77
fi
command -v ccache >/dev/null && export CMAKE_CXX_COMPILER_LAUNCHER=ccache
rm -rf "$work"/*.whl "$work"/*.tar.gz "$work/source"
options=()
[ -n "${STOFM_PYTHON_FROM_NOTHING:-}" ] || options+=(-C cmake.define.STOFM_PYTHON_PREBUILT="$build")
"$tools/bin/python" -m build --no-isolation --sdist -o "$work" . >"$work/sdist.log" 2>&1 || { tail -n 40 "$work/sdist.log"; exit 1; }
# -m: times of now, as those in the archive are all the same and nothing would be compiled again.
mkdir "$work/source" && tar -xmzf "$work"/stofm-*.tar.gz -C "$work/source" --strip-components=1 || exit 1
(cd "$work/source" && "$tools/bin/python" -m build --no-isolation --wheel -o "$work" \
  -C build-dir="$work/cmake" "${options[@]}" .) >"$work/wheel.log" 2>&1 ||
  { tail -n 40 "$work/wheel.log"; exit 1; }
ls -l "$work"/stofm-*.tar.gz "$work"/stofm-*.whl
"$venv/bin/pip" install -q --disable-pip-version-check --force-reinstall --no-deps "$work"/stofm-*.whl || exit 1
# A place without compilers, and not the source folder.
(cd / && env -i PATH="$venv/bin" HOME="$work" "$venv/bin/python" -c "import stofm; print('stofm', stofm.__version__)") || exit 1
STOFM_PROGRAM="$build/stofm" STOFM_SDIST=$(ls "$work"/stofm-*.tar.gz) STOFM_WHEEL=$(ls "$work"/stofm-*.whl) MPLBACKEND=Agg \
  exec timeout 1200 "$venv/bin/python" -B -m unittest discover -s tests/python -p "test_*.py"
