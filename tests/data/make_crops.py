#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two small crops of osmfish_sscortex_6471.h5ad for tests of tasks: python3 make_crops.py (needs anndata).

crop_left and crop_right: 420 cells each from both sides of a line through the cortex, with four regions and few cell types;
"Excluded" and twelve cells of the left one have no region, and colours are set in the left one alone.
"""
import pathlib

import anndata
import numpy as np
import pandas as pd

HERE = pathlib.Path(__file__).parent
KEEP = ("Layer 2-3 lateral", "Layer 4", "Layer 5", "Layer 6")


def main():
    whole = anndata.read_h5ad(HERE / "osmfish_sscortex_6471.h5ad")
    region = whole.obs["region"].astype(str).to_numpy()
    counted = np.asarray(whole.X.sum(axis=1)).ravel() > 0
    rows = np.flatnonzero(np.isin(region, KEEP) & counted)
    x = whole.obsm["spatial"][rows, 0]
    middle = np.median(x)
    for name, side in (("crop_left", rows[x < middle]), ("crop_right", rows[x >= middle])):
        order = side[np.argsort(np.abs(whole.obsm["spatial"][side, 0] - middle), kind="stable")][:420]
        crop = whole[np.sort(order)].copy()
        labels = crop.obs["region"].astype(object).to_numpy()
        if name == "crop_left":
            labels[::35] = np.nan
        obs = pd.DataFrame({"region": pd.Categorical(labels),
                            "cell_type": pd.Categorical(crop.obs["cell_type"].astype(str))}, index=crop.obs_names)
        var = pd.DataFrame(index=crop.var_names)
        for column in ("gene_symbol",):
            if column in crop.var:
                var[column] = crop.var[column].astype(str)
        out = anndata.AnnData(crop.X, obs=obs, var=var, obsm={"spatial": crop.obsm["spatial"]})
        if name == "crop_left":
            out.uns["region_colors"] = ["#1b9e77", "#d95f02", "#7570b3", "#e7298a"][:len(obs["region"].cat.categories)]
        out.write_h5ad(HERE / f"{name}.h5ad", compression="gzip")
        print(name, out.shape, obs["region"].value_counts(dropna=False).to_dict())


if __name__ == "__main__":
    main()
