#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Regions found without labels: `stofm cluster` at the true number of clusters against annotated regions.

    zero_shot_regions.py --stofm build/stofm --data DIR [--seeds 5] [--slices NAME...] [--rows NAME...] [--json FILE]

Each row is a set of options of `stofm cluster`; each entry the adjusted Rand index of Leiden / k-means / Gaussian mixture, mean
over the seeds, and the mean of the three. DIR holds starmap_BZ5.h5ad, starmap_BZ9.h5ad, osmfish_sscortex_6471.h5ad,
visium_dlpfc_151510_500genes.h5ad, her2st_G2.h5ad, her2st_H1.h5ad with obs["region"]; slices that are missing are left out and
said. Cells without a region ("Excluded" in osmFISH) are clustered with the others and left out of the score. The default of the
program was chosen on starmap_BZ5 and osmFISH: the other slices are the honest ones. Needs numpy and h5py.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

SLICES = {"starmap_BZ5": "chosen on", "osmfish_sscortex_6471": "chosen on", "starmap_BZ9": "", "visium_dlpfc_151510_500genes": "",
          "her2st_G2": "", "her2st_H1": ""}
METHODS = ("leiden", "kmeans", "gmm")
ROWS = {
    "default": [],
    "linear-context": ["--use", "linear-context", "--scale", "none"],
    "context, features pca": ["--use", "context", "--features", "pca"],
    "context": ["--use", "context"],
    "X_stofm": ["--use", "stofm"],
    "X_stofm, not scaled": ["--use", "stofm", "--scale", "none"],
    "X_stofm, own weight 0.2": ["--use", "stofm", "--own-weight", "0.2"],
    "X_stofm, features pca": ["--use", "stofm", "--features", "pca"],
    "PCA": ["--use", "pca", "--scale", "none"],
    "PCA + 10 neighbours": ["--use", "pca+nbr", "--scale", "none"],
}


def column(path, name):
    """A column of obs as texts, missing ones empty."""
    with h5py.File(path, "r") as file:
        entry = file["obs"][name]
        if isinstance(entry, h5py.Group):
            names = [text.decode() if isinstance(text, bytes) else str(text) for text in entry["categories"][()]]
            return np.array([names[code] if code >= 0 else "" for code in entry["codes"][()]])
        return np.array([text.decode() if isinstance(text, bytes) else str(text) for text in entry[()]])


def adjusted_rand(truth, found):
    """Hubert and Arabie (1985)."""
    _, a = np.unique(truth, return_inverse=True)
    _, b = np.unique(found, return_inverse=True)
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    pairs = lambda x: float((x * (x - 1) / 2).sum())  # noqa: E731
    both, left, right, every = pairs(table), pairs(table.sum(1)), pairs(table.sum(0)), len(a) * (len(a) - 1) / 2
    expected = left * right / every
    largest = (left + right) / 2
    return 1.0 if largest == expected else (both - expected) / (largest - expected)


def score(stofm, path, options, method, seed, truth, kept, folder):
    out = os.path.join(folder, "out.h5ad")
    clusters = len(set(truth[kept]))
    command = [stofm, "cluster", path, "-o", out, "--overwrite", "-q", "--layout", "none", "--clusters", str(clusters), "--method",
               method, "--seed", str(seed), "--accept-noninteger", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return adjusted_rand(truth[kept], column(out, "stofm_cluster")[kept])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stofm", default="build/stofm")
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--slices", nargs="+", default=list(SLICES))
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--json")
    arguments = parser.parse_args()
    results = {}
    slices = []
    for name in arguments.slices:
        if os.path.exists(os.path.join(arguments.data, name + ".h5ad")):
            slices.append(name)
        else:
            print(f"{name}: not in {arguments.data}, left out", file=sys.stderr)
    print("| | " + " | ".join(slices) + " |\n|---|" + "---|" * len(slices))
    with tempfile.TemporaryDirectory() as folder:
        for row in arguments.rows:
            texts = []
            for name in slices:
                path = os.path.join(arguments.data, name + ".h5ad")
                truth = column(path, "region")
                kept = np.array([text not in ("", "nan", "NaN", "Excluded") for text in truth])
                means = []
                for method in METHODS:
                    values = [score(arguments.stofm, path, ROWS[row], method, seed, truth, kept, folder)
                              for seed in range(arguments.seeds)]
                    results.setdefault(row, {}).setdefault(name, {})[method] = values
                    means.append(float(np.mean(values)))
                texts.append(" / ".join(f"{mean:.2f}" for mean in means) + f" (**{np.mean(means):.3f}**)")
            print(f"| {row} | " + " | ".join(texts) + " |", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"seeds": arguments.seeds, "ari": results}, file, indent=1)


if __name__ == "__main__":
    main()
