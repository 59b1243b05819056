#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/tasks/data/mixtures.json: rows, first clusters, and scikit-learn's GaussianMixture and KMeans from there.

Usage: make_mixture_fixtures.py tests/tasks/data/mixtures.json     (needs numpy, scikit-learn)
"""
import json
import sys

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

rng = np.random.default_rng(5)
sizes, width = [50, 40, 30], 3
shapes = [rng.normal(size=(width, width)) for _ in sizes]
x = np.concatenate([rng.normal(size=(s, width)) @ m + rng.normal(size=width) * 4 for s, m in zip(sizes, shapes)]).astype(np.float32)
x64 = x.astype(np.float64)
start = KMeans(3, n_init=10, random_state=0).fit(x64)
floor = 1e-6 * x64.var(0).mean()
cases = []
for kind in ["full", "tied", "diagonal"]:
    means = np.stack([x64[start.labels_ == c].mean(0) for c in range(3)])
    weights = np.bincount(start.labels_) / len(x)
    scatter = [np.cov(x64[start.labels_ == c].T, bias=True) for c in range(3)]
    if kind == "full":
        precisions = np.stack([np.linalg.inv(s + floor * np.eye(width)) for s in scatter])
    elif kind == "tied":
        precisions = np.linalg.inv(sum(w * s for w, s in zip(weights, scatter)) + floor * np.eye(width))
    else:
        precisions = np.stack([1 / (np.diag(s) + floor) for s in scatter])
    model = GaussianMixture(3, covariance_type="diag" if kind == "diagonal" else kind, tol=1e-13, reg_covar=floor, max_iter=5000,
                            weights_init=weights, means_init=means, precisions_init=precisions).fit(x64)
    cases.append({"covariance": kind, "log_likelihood": model.score(x64), "labels": model.predict(x64).tolist(),
                  "weights": sorted(model.weights_.tolist()), "probabilities": np.sort(model.predict_proba(x64), 1).ravel().tolist()})
with open(sys.argv[1], "w") as out:
    json.dump({"made_by": f"scikit-learn {sklearn.__version__}, numpy {np.__version__}", "rows": x64.ravel().tolist(), "width": width,
               "start": start.labels_.tolist(), "inertia": start.inertia_, "cases": cases}, out, separators=(",", ":"))
    out.write("\n")
