#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/tasks/data/ridge.json: small data sets, scikit-learn's Ridge on standardised features and the score of
generalised cross-validation from the hat matrix.

Usage: make_ridge_fixtures.py tests/tasks/data/ridge.json     (needs numpy, scikit-learn)
"""
import json
import sys

import numpy as np
import sklearn
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler


def case(name, rng, cells, features, targets, penalty, held):
    x = (rng.normal(size=(cells + held, features)) @ rng.normal(size=(features, features)) + 2).astype(np.float32)
    if name == "constant column":
        x[:, 1] = 3
    weights = rng.normal(size=(features, targets))
    y = np.maximum(x @ weights + rng.normal(size=(cells + held, targets)) - 1, 0).astype(np.float32)  # some zeros
    if name == "constant column":
        y[:, 0] = 0
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    scaler = StandardScaler().fit(x64[:cells])
    z = scaler.transform(x64)
    model = Ridge(alpha=penalty * cells, solver="cholesky").fit(z[:cells], y64[:cells])
    predicted = model.predict(z[cells:])
    truth = y64[cells:]
    hat = z[:cells] @ np.linalg.solve(z[:cells].T @ z[:cells] + penalty * cells * np.eye(features), z[:cells].T)
    rss = ((y64[:cells] - model.predict(z[:cells])) ** 2).sum(0)
    variance = y64[:cells].var(0)
    used = variance > 0
    gcv = (cells * rss[used] / (cells - 1 - np.trace(hat)) ** 2 / variance[used]).mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        pearson = [np.corrcoef(truth[:, g], predicted[:, g])[0, 1] for g in range(targets)]
    return {"name": name, "cells": cells, "held": held, "features": features, "targets": targets, "penalty": penalty,
            "rows": x64.ravel().tolist(), "truth": y64.ravel().tolist(), "predicted": predicted.ravel().tolist(), "gcv": gcv,
            "squared_error": ((predicted - truth) ** 2).mean(0).tolist(),
            "pearson": [None if np.isnan(p) else p for p in pearson]}


rng = np.random.default_rng(5)
document = {"made_by": f"scikit-learn {sklearn.__version__}, numpy {np.__version__}", "cases": [
    case("plain", rng, 60, 5, 3, 0.1, 20),
    case("strong penalty", rng, 50, 6, 2, 30.0, 15),
    case("constant column", rng, 40, 4, 3, 0.01, 12),
    case("more features than cells", rng, 12, 20, 2, 0.3, 10),
]}
with open(sys.argv[1], "w") as out:
    json.dump(document, out, separators=(",", ":"))
    out.write("\n")
