# SPDX-License-Identifier: MIT
"""Opens an embedded slice with scanpy and checks that the result is there and the rest is what it was.

Usage: scanpy_opens.py INPUT.h5ad RESULT.h5ad
"""
import sys

import anndata
import numpy as np
import scanpy as sc

before, after = (sc.read_h5ad(path) for path in sys.argv[1:3])
embedding = after.obsm["X_stofm"]
assert embedding.shape[0] == before.n_obs and embedding.dtype == np.float32, (embedding.shape, embedding.dtype)
assert np.isfinite(embedding).all()
assert embedding.std(axis=0).max() > 0, "all cells have the same embedding"
assert (before.obs_names == after.obs_names).all() and (before.var_names == after.var_names).all()
assert (before.X != after.X).nnz == 0
for column in before.obs:
    assert before.obs[column].equals(after.obs[column]), column
for key in before.obsm:
    assert np.array_equal(np.asarray(before.obsm[key]), np.asarray(after.obsm[key])), key
assert "stofm" in after.uns
sc.pp.neighbors(after, use_rep="X_stofm", n_neighbors=10)
print(f"scanpy {sc.__version__}, anndata {anndata.__version__}: X_stofm {embedding.shape} {embedding.dtype}, "
      f"neighbours built, obs and X unchanged, uns['stofm'] has {sorted(after.uns['stofm'])}")
