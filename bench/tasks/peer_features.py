#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Features of another program, by its formula, with the same head on the same splits as bench/tasks/supervised.py.

    python3 bench/tasks/peer_features.py --data DIR -o RESULT.json [--rows TEXT] [--seeds 5]

CellCharter: 30 components of each cell and their means over the cells that are 1, 2 and 3 Delaunay hops away. Genes are
those that all slices of a row share, log-normalised; above 2,000 the most variable ones. Head: scikit-learn's logistic regression,
standardised and balanced, C out of 0.001, 0.01, 0.1, 1 by held-out training cells. The package itself is not run. RESULT.json is
one that supervised.py shows (--table); both may write into the same file, one after the other. Needs numpy, scipy, anndata,
scikit-learn, h5py.
"""
import argparse
import json
import os
import pathlib
import time

import numpy as np
import supervised


def read(arguments, name, column):
    import anndata
    data = anndata.read_h5ad(supervised.path_of(arguments, name))
    none = {"", "nan", "None", "unlabelled", *supervised.IGNORED}
    labels = np.array([text if text not in none else "" for text in data.obs[column].astype(str)])
    return data, labels


def log_genes(slices):
    """Log-normalised counts of the shared genes, slice by slice, dense."""
    import scipy.sparse as sp
    names = [name for name in slices[0].var_names if all(name in one.var_names for one in slices[1:])]
    rows = [sp.csr_matrix(one[:, names].X).astype(np.float32).toarray() for one in slices]
    target = np.median(np.concatenate([one.sum(1) for one in rows]))
    rows = [np.log1p(one / np.maximum(one.sum(1, keepdims=True), 1e-9) * target) for one in rows]
    spread = np.concatenate(rows).std(0)
    kept = np.sort(np.argsort(-spread)[:2000])
    return [one[:, kept] for one in rows]


def components(rows, count):
    from sklearn.decomposition import PCA
    joined = np.concatenate(rows)
    scores = PCA(min(count, *joined.shape), random_state=0).fit_transform(joined)
    return np.split(scores, np.cumsum([len(one) for one in rows])[:-1])


def cellcharter(slices, rows):
    import scipy.sparse as sp
    from scipy.spatial import Delaunay
    made = []
    for one, own in zip(slices, components(rows, 30)):
        xy = np.asarray(one.obsm["spatial"], dtype=float)
        corners = Delaunay(xy).simplices
        pairs = np.concatenate([corners[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
        graph = sp.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(xy), len(xy))).tocsr()
        graph = ((graph + graph.T) > 0).astype(float)
        seen, reach, parts = sp.identity(len(xy), format="csr"), sp.identity(len(xy), format="csr"), [own]
        for _ in range(3):
            reach = ((reach @ graph) > 0).astype(float)
            ring = reach - reach.multiply(seen > 0)
            ring.eliminate_zeros()
            seen = ((seen + reach) > 0).astype(float)
            parts.append(ring @ own / np.maximum(np.asarray(ring.sum(1)), 1))
        made.append(np.concatenate(parts, 1))
    return made


FEATURES = {"CellCharter's formula": cellcharter}


def head(train, labels, test, seed):
    import warnings

    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import train_test_split
    warnings.filterwarnings("ignore")

    def fit(rows, truth, c):
        mean, scale = rows.mean(0), np.maximum(rows.std(0), 1e-9)
        model = LogisticRegression(C=c, class_weight="balanced", max_iter=300).fit((rows - mean) / scale, truth)
        return lambda of: model.predict((of - mean) / scale)

    common = np.isin(labels, [name for name in np.unique(labels) if (labels == name).sum() >= 3])
    inner, outer, y_inner, y_outer = train_test_split(train[common], labels[common], test_size=0.2, random_state=seed,
                                                      stratify=labels[common])
    c = max((0.001, 0.01, 0.1, 1.0), key=lambda c: f1_score(y_outer, fit(inner, y_inner, c * 1.25)(outer), average="macro"))
    return fit(train, labels, c)(test), c


def parts_of(task, names, slices, labels):
    """(name, training masks, test masks) of each part of a row."""
    train = task[2]
    if not train:
        xy, known = np.asarray(slices[0].obsm["spatial"], dtype=float), labels[0] != ""
        for side in range(5):
            along = xy @ np.array([np.cos(2 * np.pi * side / 5), np.sin(2 * np.pi * side / 5)])
            order = np.flatnonzero(known)[np.argsort(along[known], kind="stable")]
            test = np.zeros(len(xy), bool)
            test[order[len(order) - int(round(0.2 * len(order))):]] = True
            yield f"side {side + 1}", [known & ~test], [test]
        return
    out = names if train == "others" else [None]
    for name in out:
        test = [labels[i] != "" if (names[i] == name if name else names[i] in task[3]) else np.zeros(len(labels[i]), bool)
                for i in range(len(names))]
        yield name or task[3][0], [(labels[i] != "") & ~(test[i].any() & np.ones(len(labels[i]), bool)) for i in range(len(names))], test


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("supervised-work"))
    parser.add_argument("--rows", default="region")
    parser.add_argument("--inputs", nargs="+", default=list(FEATURES), choices=list(FEATURES), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    from sklearn.metrics import accuracy_score, f1_score
    results = json.loads(arguments.output.read_text())["results"] if arguments.output.exists() else []
    done = {(one["row"], one["input"]) for one in results}
    for row, task in supervised.ROWS.items():
        left = [name for name in arguments.inputs if (row, name) not in done]
        if arguments.rows not in row or not left:
            continue
        names = task[3] if not task[2] or task[2] == "others" else task[2] + task[3]
        slices, labels = zip(*(read(arguments, name, task[1]) for name in names))
        genes = log_genes(slices)
        for name in left:
            used = time.process_time()
            rows = FEATURES[name](slices, genes)
            runs = []
            for seed in range(1 if not task[2] or task[2] == "others" else arguments.seeds):
                found = []
                for part, train, test in parts_of(task, names, slices, labels):
                    x, y = (np.concatenate([one[mask] for one, mask in zip(of, train)]) for of in (rows, labels))
                    tx, ty = (np.concatenate([one[mask] for one, mask in zip(of, test)]) for of in (rows, labels))
                    answer, c = head(x, y, tx, seed)
                    found.append({"name": part, "cells": len(ty), "accuracy": float(accuracy_score(ty, answer)),
                                  "macro_f1": float(f1_score(ty, answer, average="macro")), "c": c})
                runs.append({"seed": seed, "parts": found, "processor_seconds": round(time.process_time() - used, 2)})
            results.append(one := supervised.summary_of(row, name, "", runs))
            print(f"{row} | {name} | {one['macro_f1']:.3f} ({one['accuracy']:.3f})", flush=True)
            part = arguments.output.with_suffix(".part")
            part.write_text(json.dumps({"what": "supervised", "results": results}, separators=(",", ":")) + "\n")
            os.replace(part, arguments.output)


if __name__ == "__main__":
    main()
