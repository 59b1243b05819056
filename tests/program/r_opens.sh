#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Embeds the bundled slice, runs the R of docs/r.md on the result, and reads what R wrote.
# Usage: r_opens.sh BUILD_DIR. Exit 77: no R, no anndataR or no SingleCellExperiment here. Not a part of tests/run.sh: R takes minutes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
source_dir=$PWD
build=$(cd "$1" && pwd) || exit 1
command -v Rscript >/dev/null || { echo "no Rscript"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
"$build/stofm" embed "$source_dir/examples/data/xenium_mousebrain_4261.h5ad" -o slice.stofm.h5ad --npy slice.npy -q || exit 1
Rscript "$source_dir/tests/program/r_opens.R" "$source_dir/docs/r.md" slice.npy || exit $?
[ -e from_r.h5ad ] || { echo "anndataR is too old to write"; exit 0; }
"$build/stofm" embed from_r.h5ad --layer counts -o again.h5ad --npy again.npy -q || exit 1
cmp slice.npy again.npy || { echo "the slice that R wrote has another embedding"; exit 1; }
echo "stofm has what R wrote"
