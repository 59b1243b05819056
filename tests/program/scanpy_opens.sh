#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Embeds the bundled slice and opens the result and files with every part that tasks write with scanpy, in a virtual environment of its own.
# Usage: scanpy_opens.sh BUILD_DIR. Exit 77: the Python packages can not be installed here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
build=$(cd "$1" && pwd) || exit 1
venv="$build/scanpy-venv"
if [ ! -f "$venv/ready" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" >/dev/null 2>&1 && "$venv/bin/pip" install -q --disable-pip-version-check scanpy >/dev/null 2>&1 || {
    echo "scanpy could not be installed"
    rm -rf "$venv"
    exit 77
  }
  touch "$venv/ready"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$build/stofm" embed examples/data/xenium_mousebrain_4261.h5ad -o "$work/slice.stofm.h5ad" -q || exit 1
"$venv/bin/python" tests/program/scanpy_opens.py examples/data/xenium_mousebrain_4261.h5ad "$work/slice.stofm.h5ad" || exit 1
for test in "$build/tests/test_io_h5ad_new" "$build/tests/test_io"; do  # the second where a layer is one executable
  [ -x "$test" ] || continue
  STOFM_PARTS_FOLDER=$work "$test" --test-case="parts for scanpy" >/dev/null || exit 1
  exec "$venv/bin/python" tests/program/scanpy_parts.py "$work/new.h5ad" "$work/added.h5ad"
done
echo "no test executable of the io layer under $build/tests"
exit 1
