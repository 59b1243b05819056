#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times of clusters and 2-D view: `stofm cluster` beside scanpy (neighbours, Leiden, UMAP) on the same principal components.

    cluster_beside_scanpy.py SLICE.h5ad --stofm build/stofm [--cells 100000] [--clusters 20] [--threads 2]

The cells of SLICE are drawn with repetition, their counts thinned to 90 %, until there are --cells of them, laid out as copies of the
slice side by side; both programs then see the same 30 components (obsm["X_pca"] of the result is not needed: scanpy gets them from
its own PCA of the same counts). Seconds of each part, wall. Needs numpy, scipy, anndata and scanpy.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time


def enlarged(path, cells, seed=0):
    import anndata
    import numpy as np
    import scipy.sparse as sp

    adata = anndata.read_h5ad(path)
    random = np.random.default_rng(seed)
    counts = sp.csr_matrix(adata.X)
    copies = -(-cells // adata.n_obs)
    rows = np.concatenate([np.arange(adata.n_obs)] * copies)[:cells]
    big = counts[rows].astype(np.int64)
    big.data = random.binomial(big.data, 0.9)
    big.eliminate_zeros()
    xy = np.asarray(adata.obsm["spatial"], dtype=float)
    width = np.ptp(xy[:, 0]) * 1.05
    place = xy[rows] + np.column_stack([width * (np.arange(cells) // adata.n_obs), np.zeros(cells)])
    result = anndata.AnnData(big.astype(np.float32), var=adata.var[[]].copy())
    result.obs_names = [str(i) for i in range(cells)]
    result.obsm["spatial"] = place
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slice")
    parser.add_argument("--stofm", default="build/stofm")
    parser.add_argument("--cells", type=int, default=100000)
    parser.add_argument("--clusters", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    import scanpy

    adata = enlarged(arguments.slice, arguments.cells)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "large.h5ad")
        adata.write_h5ad(path)
        done = subprocess.run([arguments.stofm, "cluster", path, "-o", os.path.join(folder, "out.h5ad"), "--use", "pca", "--scale",
                               "none", "--clusters", str(arguments.clusters), "--threads", str(arguments.threads), "--json", "-q"],
                              capture_output=True, text=True, check=True)
    for part, seconds in json.loads(done.stdout)["seconds"].items():
        print(f"stofm   {part:12s} {seconds:8.2f} s")
    scanpy.pp.normalize_total(adata)
    scanpy.pp.log1p(adata)
    parts = [("components", lambda: scanpy.pp.pca(adata, n_comps=30)),
             ("neighbours", lambda: scanpy.pp.neighbors(adata, n_neighbors=15, use_rep="X_pca")),
             ("clusters", lambda: scanpy.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)),
             ("layout", lambda: scanpy.tl.umap(adata))]
    for part, run in parts:
        start = time.perf_counter()
        run()
        print(f"scanpy  {part:12s} {time.perf_counter() - start:8.2f} s")


if __name__ == "__main__":
    main()
