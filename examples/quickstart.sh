#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh Debian 12 (or Ubuntu 22.04) to embeddings of a real slice: installs what is missing, builds the program,
# embeds examples/data/xenium_mousebrain_4261.h5ad. Writes slice.stofm.h5ad and report.html to the current directory.
# May be run again. Needs root or sudo only if packages are missing.
set -euo pipefail

here=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${STOFM_BUILD_DIR:-$root/build}
say() { printf '\n== %s\n' "$*"; }

say "1/3 packages"
# shellcheck source=cmake/install-dependencies.sh
. "$root/cmake/install-dependencies.sh"
stofm_install_dependencies program
command -v nvcc >/dev/null || echo "no CUDA toolkit: none is needed, this builds for the CPU"
command -v mpirun >/dev/null || echo "no MPI: nothing here needs it"

say "2/3 build (in $build, two to five minutes the first time)"
generator=()
[ -f "$build/CMakeCache.txt" ] || generator=(-G Ninja)
log=$(mktemp "${TMPDIR:-/tmp}/stofm-build-XXXXXX.log")
if ! { cmake -S "$root" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DSTOFM_QUICK_TO_BUILD=ON &&
  cmake --build "$build" --target stofm_program stofm_demo; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "the build failed; all of it is in $log" >&2
  exit 1
fi
rm -f "$log"
"$build/stofm" --version

say "3/3 embed a slice of mouse brain (Xenium, 4,261 cells)"
"$build/stofm" embed "$root/examples/data/xenium_mousebrain_4261.h5ad" -o "$here/slice.stofm.h5ad" \
  --report "$here/report.html" --overwrite

say "done"
cat <<END
  $here/slice.stofm.h5ad   the slice with obsm["X_stofm"] and obs["stofm_cluster"], for scanpy and friends
  $here/report.html        open it in a browser: nothing is loaded from anywhere

In Python: import scanpy as sc; adata = sc.read_h5ad("slice.stofm.h5ad")
           sc.pp.neighbors(adata, use_rep="X_stofm"); sc.tl.umap(adata); sc.tl.leiden(adata)

The weights that were used are a DEMONSTRATION, pretrained for minutes, and this slice is one that they were trained on
(examples/data/MODEL_CARD.md). For your own work:
  python3 $root/weights_tools/convert.py CHECKPOINT_DIR -o stofm.safetensors
  $build/stofm info your_slice.h5ad
  $build/stofm embed your_slice.h5ad --weights stofm.safetensors --report report.html
  $build/stofm embed --help
END
