# SPDX-License-Identifier: MIT
"""Reads with anndata what downstream tasks write: whole new files, data frames in obsm, layers, columns with
missing values, dicts in dicts, colours; writes them again and compares.

Usage: scanpy_parts.py NEW.h5ad ADDED.h5ad, as tests/io/h5ad_new_test.cpp makes them.
"""
import importlib.metadata
import os
import sys
import warnings

import anndata
import numpy as np
import pandas as pd

warnings.simplefilter("error")  # anndata warns of encodings that it does not like
new, added = (anndata.read_h5ad(path) for path in sys.argv[1:3])
ramp = (np.arange(100) / 7).astype(np.float32)

for data in (new, added):
    assert list(data.obs_names) == ["s0", "s1", "s\u00e9"] and list(data.var_names) == ["ENSG1", "ENSG2", "ENSG3", "ENSG4"]
    assert data.X.dtype == np.float32
    assert (data.X.toarray() == [[1, 0, 0, 2], [0, 0, 0, 0], [3, 4, 5, 0]]).all()
    assert (data.obsm["spatial"] == [[0, 1], [2, 3], [4, 5.5]]).all()
    shares = data.obsm["stofm_proportions"]
    assert isinstance(shares, pd.DataFrame) and list(shares.columns) == ["L2_3 IT", "Astro"], shares
    assert (shares.index == data.obs_names).all() and (shares.to_numpy() == ramp[:6].reshape(3, 2)).all()
    assert list(data.obs["region"].cat.categories) == ["a", "b"] and list(data.obs["region"].isna()) == [False, True, False]
    assert list(data.obs["n_cells"]) == [3, 4, 5]
    assert list(data.var["gene_symbol"]) == ["A", "B", "", "D"]
    assert list(data.var["score"].isna()) == [False, False, True, False]
    assert data.uns["stofm"]["pseudospots"]["seed"] == 1
    assert list(data.uns["stofm"]["pseudospots"]["scores"]) == [0.5, 0.25]
assert (new.layers["imputed"] == ramp[:12].reshape(3, 4)).all()

layer = np.full((3, 4), np.nan, np.float32)
layer[np.ix_([0, 2], [1, 3])] = ramp[:4].reshape(2, 2)
assert np.array_equal(added.layers["imputed"], layer, equal_nan=True)
shares = added.obsm["shares"]
assert list(shares.columns) == ["A", "B"] and shares.iloc[1].isna().all() and shares.loc["s\u00e9", "B"] == ramp[3]
assert added.obs["kind"].iloc[0] == "y" and added.obs["kind"].isna().sum() == 2
assert added.obs["stofm_embedded"].tolist() == [True, False, True]
assert list(added.uns["kind_colors"]) == ["#112233", "#445566"]
assert added.uns["stofm"]["impute"]["seed"] == 3 and list(added.uns["stofm"]["impute"]["names"]) == ["p", "q"]

again = sys.argv[2] + ".again"
added.write_h5ad(again)
copy = anndata.read_h5ad(again)
assert copy.obsm["shares"].equals(added.obsm["shares"]) and copy.obs.equals(added.obs)
os.remove(again)
subset = added[added.obs["stofm_embedded"]].copy()
assert subset.obsm["shares"].notna().all().all() and list(subset.obsm["shares"].index) == list(subset.obs_names)
version = importlib.metadata.version("anndata")
print(f"anndata {version}: new files, data frames, layers, missing categories, nested dicts and colours read")
