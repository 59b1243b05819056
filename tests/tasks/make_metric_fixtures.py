#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/tasks/data/metrics.json: labels, numbers and what scikit-learn and SciPy say about them.

Usage: make_metric_fixtures.py tests/tasks/data/metrics.json     (needs numpy, scipy, scikit-learn)
NaN is written as null. The tests read the file; they need none of these packages.
"""
import json
import sys
import warnings

import numpy as np
import scipy
import sklearn
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics
from sklearn.manifold import trustworthiness

warnings.simplefilter("ignore")  # absent classes and constant columns are what is to be recorded


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, (np.integer, int)):
        return int(value)
    if isinstance(value, (np.floating, float)):
        return None if np.isnan(value) else float(value)
    return value


def classification(name, truth, predicted, classes):
    labels = list(range(classes))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    return {
        "name": name, "truth": truth, "predicted": predicted, "classes": classes,
        "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).ravel(),
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        # without `labels`: the classes that occur on either side
        "macro_precision": metrics.precision_score(truth, predicted, average="macro", zero_division=0),
        "macro_recall": metrics.recall_score(truth, predicted, average="macro", zero_division=0),
        "macro_f1": metrics.f1_score(truth, predicted, average="macro", zero_division=0),
        "weighted_f1": metrics.f1_score(truth, predicted, average="weighted", zero_division=0),
        "precision": precision, "recall": recall, "f1": f1, "support": support,
    }


def clustering(name, truth, found):
    homogeneity, completeness, v = metrics.homogeneity_completeness_v_measure(truth, found)
    return {
        "name": name, "truth": truth, "found": found,
        "adjusted_rand": metrics.adjusted_rand_score(truth, found),
        "normalized_mutual_information": metrics.normalized_mutual_info_score(truth, found, average_method="arithmetic"),
        "homogeneity": homogeneity, "completeness": completeness, "v_measure": v,
    }


def silhouette(name, rows, labels, metric):
    return {"name": name, "rows": rows.ravel(), "width": rows.shape[1], "labels": labels, "metric": metric,
            "values": metrics.silhouette_samples(rows, labels, metric=metric),
            "mean": metrics.silhouette_score(rows, labels, metric=metric)}


def regression(name, truth, predicted):
    return {"name": name, "truth": truth, "predicted": predicted,
            "pearson": stats.pearsonr(truth, predicted)[0] if len(truth) > 1 else np.nan,
            "spearman": stats.spearmanr(truth, predicted)[0] if len(truth) > 1 else np.nan,
            "rmse": metrics.root_mean_squared_error(truth, predicted),
            "jensen_shannon": jensenshannon(truth, predicted, base=2) if min(np.min(truth), np.min(predicted)) >= 0 else np.nan,
            "jensen_shannon_nats": jensenshannon(truth, predicted) if min(np.min(truth), np.min(predicted)) >= 0 else np.nan}


def spatial(name, xy, labels, k):
    distances = ((xy[:, None, :] - xy[None, :, :]) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    same = (labels[nearest] == labels[:, None]).mean(1)
    return {"name": name, "xy": xy.ravel(), "labels": labels, "k": k, "mean": same.mean(),
            "by_label": [same[labels == c].mean() if (labels == c).any() else np.nan for c in range(labels.max() + 1)]}


def main():
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 6, 200)
    noisy = np.where(rng.random(200) < 0.7, truth, rng.integers(0, 6, 200))
    rare = np.where(rng.random(300) < 0.02, 1, np.where(rng.random(300) < 0.5, 0, 3))
    blobs = np.repeat(rng.normal(size=(4, 5)) * 3, 15, axis=0) + rng.normal(size=(60, 5))
    alone = np.repeat(np.arange(4), 15)
    alone[7] = 9
    counts = rng.poisson(3.0, 80).astype(float)
    document = {
        "made_by": f"scikit-learn {sklearn.__version__}, scipy {scipy.__version__}, numpy {np.__version__}",
        "classification": [
            classification("six classes", truth, noisy, 6),
            classification("all right", truth, truth, 6),
            classification("two more names than classes", truth, noisy, 8),
            classification("a class that is never predicted", truth, np.where(noisy == 2, 3, noisy), 6),
            classification("a class that is not in the truth", np.where(truth == 4, 0, truth), noisy, 6),
            classification("rare", rare, np.where(rng.random(300) < 0.1, 2, rare), 4),
            classification("one class", np.zeros(9, int), np.zeros(9, int), 1),
            classification("one class in the truth", np.zeros(9, int), np.arange(9) % 3, 3),
            classification("nothing right", np.zeros(5, int), np.ones(5, int), 2),
            classification("one cell", np.array([1]), np.array([1]), 3),
        ],
        "clustering": [
            clustering("six against six", truth, noisy),
            clustering("renumbered", truth, 5 - truth),
            clustering("strewn", truth, rng.integers(0, 4, 200)),
            clustering("one cluster", truth, np.zeros(200, int)),
            clustering("one class", np.zeros(200, int), truth),
            clustering("one of each", np.zeros(7, int), np.full(7, 3)),
            clustering("every cell alone", truth[:20], np.arange(20)),
            clustering("both alone", np.arange(20), np.arange(20)[::-1]),
            clustering("split in two", truth, 2 * truth + rng.integers(0, 2, 200)),
            clustering("worse than chance", np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])),
            clustering("large numbers", truth, noisy * 100000),
            clustering("one cell", np.array([0]), np.array([4])),
        ],
        "silhouette": [
            silhouette("blobs", blobs, np.repeat(np.arange(4), 15), "euclidean"),
            silhouette("blobs", blobs, np.repeat(np.arange(4), 15), "cosine"),
            silhouette("a cell alone", blobs, alone, "euclidean"),
            silhouette("strewn", blobs, rng.integers(0, 3, 60), "euclidean"),
            silhouette("equal rows", np.zeros((6, 2)), np.array([0, 0, 0, 1, 1, 1]), "euclidean"),
        ],
        "spatial": [
            spatial("strewn", rng.random((90, 2)), rng.integers(0, 3, 90), 6),
            spatial("halves", rng.random((90, 2)), (np.arange(90) > 44).astype(int), 10),
            spatial("a label without cells", rng.random((40, 2)), rng.integers(0, 2, 40) * 2, 3),
        ],
        "regression": [
            regression("noise", counts, counts + np.abs(rng.normal(size=80))),
            regression("ties", rng.integers(0, 3, 50).astype(float), rng.integers(0, 3, 50).astype(float)),
            regression("negative", rng.normal(size=40), rng.normal(size=40)),
            regression("equal", counts, counts),
            regression("reversed", np.arange(10.0), 9 - np.arange(10.0)),
            regression("constant truth", np.ones(10), np.arange(10.0)),
            regression("constant prediction", np.arange(10.0), np.full(10, 0.1)),
            regression("no weight on one side", np.zeros(5), np.arange(5.0)),
            regression("apart", np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, 3.0])),
            regression("far from zero", 1e6 + counts, 1e6 + counts + rng.normal(size=80)),
            regression("one value", np.array([2.0]), np.array([3.0])),
        ],
    }
    rows, plane = rng.normal(size=(70, 5)).astype(np.float32), rng.normal(size=(70, 2)).astype(np.float32)
    pictures = [("first two columns", rows[:, :2]), ("strewn", plane), ("itself", rows)]
    document["layout"] = [{"name": name, "rows": rows.astype(float).ravel(), "width": 5, "layout": p.astype(float).ravel(),
                           "layout_width": p.shape[1], "k": k, "trustworthiness": trustworthiness(rows.astype(float), p.astype(float), n_neighbors=k)}
                          for name, p in pictures for k in (3, 12)]
    with open(sys.argv[1], "w") as out:
        json.dump(plain(document), out, separators=(",", ":"))
        out.write("\n")


main()
