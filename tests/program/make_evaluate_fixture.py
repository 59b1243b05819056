# SPDX-License-Identifier: MIT
"""Makes tests/data/evaluate/: a small slice with labels and proportions of every awkward kind, and what
scikit-learn and SciPy say of them. Needs anndata, scikit-learn, SciPy.

Usage: make_evaluate_fixture.py tests/data/evaluate
"""
import json
import pathlib
import sys

import anndata
import numpy as np
import pandas as pd
import sklearn
import sklearn.metrics as metrics
from scipy.spatial import distance
from scipy.stats import pearsonr, spearmanr

folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(11)
side = 12
n = side * side
xy = np.array([(i % side, i // side) for i in range(n)], float) * 10
truth = np.array(["L1", "L2", "L3", "WM"])[(xy[:, 0] // 30).astype(int)].astype(object)
predicted = truth.copy()
wrong = rng.random(n) < 0.2
predicted[wrong] = rng.choice(["L1", "L2", "L3"], wrong.sum())  # WM is predicted where it is right alone
predicted[rng.choice(n, 3, replace=False)] = "new"  # a class that the truth lacks
truth[[5, 17, 40]] = None
truth[50] = "NA"
predicted[[60, 61]] = "unassigned"
clusters = np.where(xy[:, 0] < 60, 7, 3) + (xy[:, 1] > 90)
library = np.where(xy[:, 1] < 60, "lower", "upper")
counts = rng.poisson(2, (n, 3)).astype(float)
counts[3] = 0  # a spot without a cell
counts[9, 1] = np.nan
shares = counts / np.where(counts.sum(1, keepdims=True) > 0, counts.sum(1, keepdims=True), 1)
found = np.abs(shares + rng.normal(0, 0.15, shares.shape)) + 1e-3
found /= found.sum(1, keepdims=True)
embedding = np.stack([xy[:, 0] / 30 + rng.normal(0, 0.3, n), rng.normal(0, 1, n)], 1).astype(np.float32)
embedding[20, 1] = np.nan

obs = pd.DataFrame(index=[f"cell{i}" for i in range(n)])
obs["region"] = pd.Categorical(truth)
obs["stofm_region"] = predicted.astype(str)
obs["cluster"] = clusters
obs["one"] = pd.Categorical(["all"] * n)
obs["empty"] = pd.Categorical([None] * n, categories=["x"])
obs["library"] = pd.Categorical(library)
obs["score"] = rng.random(n)
for k, name in enumerate(["A", "B", "C"]):
    obs[f"n_{name}"] = counts[:, k]
data = anndata.AnnData(X=np.zeros((n, 1), np.float32), obs=obs)
data.obsm["spatial"] = xy
data.obsm["X_small"] = embedding
# Another order, one type more.
data.obsm["stofm_proportions"] = pd.DataFrame(
    np.column_stack([found[:, 2], found[:, 0], found[:, 1], np.zeros(n)]), columns=["C", "A", "B", "D"], index=obs.index)
del data.X
data.write_h5ad(folder / "evaluate.h5ad", compression="gzip")

good = np.array([t not in (None, "NA") and p != "unassigned" for t, p in zip(truth, predicted)])
t, p = truth[good].astype(str), predicted[good].astype(str)


def clustering(t, p):
    return {"adjusted_rand": metrics.adjusted_rand_score(t, p),
            "normalized_mutual_information": metrics.normalized_mutual_info_score(t, p),
            "homogeneity": metrics.homogeneity_score(t, p), "completeness": metrics.completeness_score(t, p),
            "v_measure": metrics.v_measure_score(t, p)}


def classes(t, p):
    return {"accuracy": metrics.accuracy_score(t, p),
            "balanced_accuracy": metrics.recall_score(t, p, average="macro", labels=sorted(set(t)), zero_division=0),
            "macro_f1": metrics.f1_score(t, p, average="macro", zero_division=0),
            "weighted_f1": metrics.f1_score(t, p, average="weighted", zero_division=0), **clustering(t, p)}


names = sorted(set(t) | set(p))
precision, recall, f1, support = metrics.precision_recall_fscore_support(t, p, labels=names, zero_division=0)
labelled = np.array([x not in (None, "NA") for x in truth])
finite = labelled & np.isfinite(embedding).all(1)
full = np.column_stack([shares, np.zeros(n)])
other = np.column_stack([found, np.zeros(n)])
other /= other.sum(1, keepdims=True)
both = np.isfinite(full).all(1) & (counts.sum(1) > 0)
# As the file has them: float64 in the data frame, float32 once read.
a, b = full[both], other[both].astype(np.float32).astype(float)
b /= b.sum(1, keepdims=True)
types = [{"name": name, "pearson": pearsonr(a[:, k], b[:, k])[0], "spearman": spearmanr(a[:, k], b[:, k])[0],
          "rmse": float(np.sqrt(((a[:, k] - b[:, k]) ** 2).mean()))} for k, name in enumerate("ABC")]
expected = {
    "made_with": f"scikit-learn {sklearn.__version__}",
    "cells": n, "both": int(good.sum()), "without_truth": int((~labelled).sum()),
    "without_prediction": int((labelled & ~good).sum()),
    "labels": classes(t, p),
    "classes": [{"name": name, "precision": x, "recall": y, "f1": z, "cells": int(s), "predicted": int((p == name).sum())}
                for name, x, y, z, s in zip(names, precision, recall, f1, support)],
    "clusters": clustering(truth[labelled].astype(str), clusters[labelled]),
    "slices": {name: classes(truth[good & (library == name)].astype(str), predicted[good & (library == name)].astype(str))
               for name in ["lower", "upper"]},
    "silhouette_truth": metrics.silhouette_score(embedding[finite].astype(float), truth[finite].astype(str)),
    "proportions": {"spots": int(both.sum()), "mean_pearson": float(np.mean([x["pearson"] for x in types])),
                    "mean_spearman": float(np.mean([x["spearman"] for x in types])),
                    "rmse": float(np.sqrt(((a - b) ** 2).mean())),
                    "mean_jensen_shannon": float(np.mean([distance.jensenshannon(x, y, base=2) for x, y in zip(a, b)])),
                    "types": types},
}
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
