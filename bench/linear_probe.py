#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Linear probe of frozen embeddings, side by side with PCA, PCA + spatial neighbours and the cell encoder alone.

    python3 bench/linear_probe.py --data DIR --stofm build/stofm --weights [NAME=]BUNDLE... --work /tmp/probe [-o RESULT.json]
    python3 bench/linear_probe.py --data DIR --floors        # 5-fold figures of the baselines alone

DIR holds the slices (.h5ad). Each is embedded by `stofm embed` (obsm X_stofm, and X_stofm_cells for the cell encoder alone)
into --work; results that are there are used again. Several bundles, each with its name, stand side by side; the cell encoder is that
of the first. The probe is multinomial logistic regression on standardised inputs
with balanced classes; the strength of its L2 penalty is chosen inside the training part. Labels are never used elsewhere. Splits:

    cross     all of one slice for training, the other one for the test; a seed leaves out a fifth of the training cells
    random    8:2, stratified; neighbours of a test cell are in the training part, which flatters whatever looks at neighbours
    block     the fifth of the cells furthest in one direction is held out; each seed has its own direction

PCA is fitted on all cells of the task's slices (it sees no label, as stofm's clustering sees the whole slice).
"""
import argparse
import datetime
import json
import pathlib
import platform
import re
import sys

import probe_support as support  # first: it says which package is missing

import numpy as np
from sklearn.model_selection import StratifiedKFold

OSMFISH, DLPFC, MPOA = "osmfish_sscortex_6471", "visium_dlpfc_151510_500genes", "merfish_mpoa_6509"
XENIUM, BZ5, BZ9 = "xenium_mousebrain_4261", "starmap_BZ5", "starmap_BZ9"
TASKS = [  # name, slices (training first), column, split
    ("starmap region BZ5 -> BZ9", (BZ5, BZ9), "region", "cross"),
    ("starmap region BZ9 -> BZ5", (BZ9, BZ5), "region", "cross"),
    ("osmfish region", (OSMFISH,), "region", "random"),
    ("osmfish region", (OSMFISH,), "region", "block"),
    ("DLPFC region", (DLPFC,), "region", "random"),
    ("DLPFC region", (DLPFC,), "region", "block"),
    ("xenium mouse brain cell type", (XENIUM,), "cell_type", "random"),
    ("xenium mouse brain cell type", (XENIUM,), "cell_type", "block"),
    ("merfish preoptic cell type", (MPOA,), "cell_type", "random"),
    ("merfish preoptic cell type", (MPOA,), "cell_type", "block"),
]
FLOORS = [((OSMFISH,), "region"), ((OSMFISH,), "cell_type"), ((DLPFC,), "region"), ((MPOA,), "cell_type"), ((XENIUM,), "cell_type"),
          ((BZ5, BZ9), "region"), ((BZ5, BZ9), "cell_type")]


def task_labels(slices, column, fewest=5):
    """Labels of all cells of the task, and the rows that take part: labelled, in a class of at least `fewest` cells."""
    pairs = [one.labels(column) for one in slices]
    labels, usable = np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])
    names, counts = np.unique(labels[usable], return_counts=True)
    return labels, np.flatnonzero(usable & np.isin(labels, names[counts >= fewest]))


def split_rows(split, slices, labels, rows, seed, seeds):
    if split == "cross":
        first = len(slices[0].positions)
        train, test = rows[rows < first], rows[rows >= first]
        return np.sort(np.random.default_rng(seed).permutation(train)[: len(train) * 4 // 5]), test
    if split == "random":
        train, test = support.random_split(labels[rows], seed)
    else:
        train, test = support.block_split(slices[0].positions[rows], seed, seeds)
    return rows[train], rows[test]


def floors(arguments):
    """5-fold figures of the two baselines (starmap: one animal -> the other, both ways)."""
    results = []
    for names, column in FLOORS:
        slices = [support.read_slice(arguments.data, name) for name in names]
        labels, rows = task_labels(slices, column)
        if len(slices) == 2:
            first = len(slices[0].positions)
            folds = [(rows[rows < first], rows[rows >= first]), (rows[rows >= first], rows[rows < first])]
        else:
            folds = [(rows[a], rows[b]) for a, b in StratifiedKFold(5, shuffle=True, random_state=0).split(rows, labels[rows])]
        for name, values in support.baselines(slices).items():
            runs = [support.probe(values, labels, train, test, 0) for train, test in folds]
            accuracy, f1 = support.mean_and_sd(runs, "accuracy")[0], support.mean_and_sd(runs, "macro_f1")[0]
            results.append([" ".join(names), column, len(np.unique(labels[rows])), name, f"{accuracy:.3f} / {f1:.3f}"])
            print(*results[-1], file=sys.stderr, flush=True)
    print(support.table(["slices", "label", "classes", "input", "accuracy / macro F1"], results))


def representations(slices, arguments, memory):
    """Name -> [cells of all slices, width]."""
    key = tuple(one.name for one in slices)
    if key not in memory:
        values = support.baselines(slices)

        def embedded(name, bundle, cells_only):
            extra = (lambda one: ["--cell-embeddings", arguments.features / f"{one}.npy"]) if arguments.features else (lambda one: [])
            return np.concatenate([support.stofm_embeddings(arguments.stofm, bundle, arguments.data / f"{one}.h5ad",
                                                            arguments.work / name, cells_only, arguments.threads, extra(one)) for one in key])
        bundles = dict(text.rpartition("=")[::2] for text in arguments.weights) or {"": None}
        if arguments.features:
            values["cell features alone"] = np.concatenate([np.load(arguments.features / f"{one}.npy") for one in key])
        else:
            first = next(iter(bundles))
            values["cell encoder alone"] = embedded(first, bundles[first], True)
        for name, bundle in bundles.items():
            values[f"SToFM {name}".strip()] = embedded(name, bundle, False)
        memory[key] = values
    return memory[key]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with the slices")
    parser.add_argument("--stofm", default="build/stofm", help="the program")
    parser.add_argument("--weights", nargs="*", default=[], metavar="[NAME=]BUNDLE",
                        help="model bundles (default: the program's own demo bundle)")
    parser.add_argument("--features", type=pathlib.Path, help="folder with NAME.npy, cell embeddings instead of the cell encoder's")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("probe-work"), help="folder for what stofm embed writes")
    parser.add_argument("--tasks", default="", help="run only the tasks whose name and split contain this text")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--floors", action="store_true", help="5-fold figures of the baselines, without stofm")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON result")
    parser.add_argument("--markdown", type=pathlib.Path, help="table (default: printed)")
    arguments = parser.parse_args()
    if arguments.floors:
        return floors(arguments)

    results, memory = [], {}
    for task, names, column, split in TASKS:
        if arguments.tasks not in f"{task} {split}":
            continue
        slices = [support.read_slice(arguments.data, name) for name in names]
        labels, rows = task_labels(slices, column)
        for name, values in representations(slices, arguments, memory).items():
            runs = [dict(support.probe(values, labels, *split_rows(split, slices, labels, rows, seed, arguments.seeds), seed), seed=seed)
                    for seed in range(arguments.seeds)]
            (accuracy, accuracy_sd), (f1, f1_sd) = support.mean_and_sd(runs, "accuracy"), support.mean_and_sd(runs, "macro_f1")
            results.append(dict(task=task, split=split, input=name, width=int(values.shape[1]), classes=len(np.unique(labels[rows])),
                                cells=len(rows), accuracy=accuracy, accuracy_sd=accuracy_sd, macro_f1=f1, macro_f1_sd=f1_sd, runs=runs))
            print(f"{task:32} {split:7} {name:22} {accuracy:.3f} ± {accuracy_sd:.3f}   {f1:.3f} ± {f1_sd:.3f}", file=sys.stderr, flush=True)

    inputs = list(dict.fromkeys(row["input"] for row in results))
    lines = []
    for task, split in dict.fromkeys((row["task"], row["split"]) for row in results):
        found = {row["input"]: row for row in results if (row["task"], row["split"]) == (task, split)}
        best = max(row["macro_f1"] for row in found.values())
        cells = []
        for name in inputs:
            row = found.get(name)
            text = f"{row['accuracy']:.3f} / {row['macro_f1']:.3f} ± {row['macro_f1_sd']:.3f}" if row else "-"
            cells.append(f"**{text}**" if row and row["macro_f1"] == best else text)
        lines.append([task, split, *cells])
    text = support.table(["task", "split", *inputs], lines) + "\n\nAccuracy / macro F1 ± sd of macro F1 over the seeds; best F1 in bold.\n"
    arguments.markdown.write_text(text) if arguments.markdown else print(text)
    if arguments.output:
        arguments.output.write_text(json.dumps(dict(
            what="linear probe", date=datetime.date.today().isoformat(), machine=platform.processor() or platform.machine(),
            command=" ".join(re.sub(r"/[^ =]*/", "", part) for part in sys.argv),
            weights=[f"{text.rpartition('=')[0]} {pathlib.Path(text.rpartition('=')[2]).name}".strip() for text in arguments.weights]
            or "demo bundle",
            seeds=arguments.seeds, strengths=support.STRENGTHS, results=results), indent=1) + "\n")


if __name__ == "__main__":
    main()
