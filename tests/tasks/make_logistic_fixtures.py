#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/tasks/data/logistic.json: small data sets and scikit-learn's LogisticRegression on them.

Usage: make_logistic_fixtures.py tests/tasks/data/logistic.json     (needs numpy, scikit-learn)
"""
import json
import sys

import numpy as np
import sklearn
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def case(name, rng, cells, features, classes, c, class_weight, standardise, separation=1.0):
    y = np.minimum((rng.random(cells) ** 1.7 * classes).astype(int), classes - 1)  # unequal classes
    y[:classes] = np.arange(classes)
    centres = rng.normal(size=(classes, features)) * separation
    mixing = rng.normal(size=(features, features)) / np.sqrt(features)
    x = ((centres[y] + rng.normal(size=(cells, features))) @ mixing * 3 + 5).astype(np.float32)
    if name == "constant column":
        x[:, 2] = 7
    x64 = x.astype(np.float64)
    z = StandardScaler().fit_transform(x64) if standardise else x64
    model = LogisticRegression(C=c, class_weight=class_weight, tol=1e-12, max_iter=20000, solver="newton-cg").fit(z, y)
    logits = model.decision_function(z)
    counts = np.bincount(y, minlength=classes)
    weight = (cells / (classes * counts))[y] if class_weight else np.ones(cells)
    if classes == 2:
        logits = np.stack([np.zeros(cells), logits], 1)
    loss = -(logits[np.arange(cells), y] - logsumexp(logits, axis=1))
    objective = ((weight * loss).sum() + (model.coef_**2).sum() / (2 * c)) / weight.sum()
    return {"name": name, "rows": x64.ravel().tolist(), "features": features, "labels": y.tolist(), "classes": classes,
            "c": c, "balanced": bool(class_weight), "standardise": standardise, "coefficients": model.coef_.ravel().tolist(),
            "intercepts": (model.intercept_ - (model.intercept_.mean() if classes > 2 else 0)).tolist(), "loss": objective,
            "probabilities": model.predict_proba(z).ravel().tolist()}


rng = np.random.default_rng(21)
document = {"made_by": f"scikit-learn {sklearn.__version__}, numpy {np.__version__}", "cases": [
    case("five classes", rng, 120, 6, 5, 1.0, None, True),
    case("balanced", rng, 120, 6, 5, 1.0, "balanced", True),
    case("weak penalty, separable", rng, 60, 5, 3, 1000.0, "balanced", True, 4.0),
    case("strong penalty", rng, 80, 5, 3, 1e-3, None, True),
    case("two classes", rng, 90, 6, 2, 0.5, "balanced", True),
    case("features as they are", rng, 90, 4, 3, 1.0, None, False),
    case("constant column", rng, 70, 5, 3, 1.0, None, True),
    case("more features than cells", rng, 20, 30, 3, 0.1, None, True),
]}
with open(sys.argv[1], "w") as out:
    json.dump(document, out, separators=(",", ":"))
    out.write("\n")
