#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Features of other programs, by their formulas, with the head of `stofm segment` on the splits of bench/tasks/supervised.py.

    python3 bench/tasks/peer_features.py --data DIR --stofm build/stofm -o RESULT.json [--rows TEXT] [--seeds 3]

CellCharter: 30 components of each cell and their means over the cells that are 1, 2 and 3 Delaunay hops away. BANKSY with lambda
0.8: genes, their means over 15 neighbours and gradients over 30, standardised in each slice, weighed 0.2, 0.53, 0.27,
20 components; and with lambda 0.2. Genes are those that all slices of a row share, log-normalised; above 2,000 the most variable
ones. The packages themselves are not run. The features are written into copies of the slices, and `stofm segment --use obsm:KEY`
learns from them: smoothed as the default is, and not. RESULT.json is one that supervised.py shows (--table); both may write into the same file, one after the other. Needs numpy,
scipy, anndata, scikit-learn, h5py.
"""
import argparse
import json
import os
import pathlib

import anndata
import numpy as np
import supervised


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


def banksy(slices, rows, share=0.8):
    """Singhal et al., Nature Genetics 56 (2024): weights of neighbours fall as a Gaussian of the distance over its median."""
    from sklearn.neighbors import NearestNeighbors

    def standardised(block):
        return (block - block.mean(0)) / np.maximum(block.std(0), 1e-9)

    made = []
    for one, own in zip(slices, rows):
        xy, own = np.asarray(one.obsm["spatial"], dtype=float), standardised(own)
        blocks = [own]
        for order, count in ((0, 15), (1, 30)):
            count = min(count, len(xy) - 1)
            far, near = NearestNeighbors(n_neighbors=count + 1).fit(xy).kneighbors(xy)
            far, near = far[:, 1:], near[:, 1:]
            weight = np.exp(-(far / np.median(far, 1, keepdims=True).clip(1e-9)) ** 2)
            weight = weight / weight.sum(1, keepdims=True)
            turn = xy[near] - xy[:, None]
            weight = weight * np.exp(1j * order * np.arctan2(turn[..., 1], turn[..., 0]))
            block = np.empty(own.shape)
            for i in range(len(xy)):
                around = own[near[i]]
                block[i] = np.abs(weight[i] @ (around - around.mean(0))) if order else weight[i].real @ around
            blocks.append(block)
        weights = np.sqrt([1 - share, share * 2 / 3, share / 3])
        made.append(np.concatenate([w * standardised(block) for w, block in zip(weights, blocks)], 1))
    return components(made, 20)


FEATURES = {"CellCharter's formula": ("X_cellcharter", cellcharter), "BANKSY's formula, 0.8": ("X_banksy", banksy),
            "BANKSY's formula, 0.2": ("X_banksy02", lambda slices, rows: banksy(slices, rows, 0.2))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--stofm", default="build/stofm", help="the program")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("peer-features-work"))
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--inputs", nargs="+", default=list(FEATURES), choices=list(FEATURES), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.weights = None
    data, work = arguments.data, arguments.work
    results = json.loads(arguments.output.read_text())["results"] if arguments.output.exists() else []
    done = {(one["row"], one["input"]) for one in results}
    for number, (row, task) in enumerate(supervised.ROWS.items()):
        wanted = [name for name in arguments.inputs if (row, f"{name}, smoothed") not in done]
        if arguments.rows not in row or task[0] != "segment" or not wanted:
            continue
        arguments.data, arguments.work = data, work / f"row{number}"
        arguments.work.mkdir(parents=True, exist_ok=True)
        parts = not task[2] or task[2] == "others"
        names, seeds = (task[3], range(1)) if parts else (task[2] + task[3], range(arguments.seeds))
        slices = [anndata.read_h5ad(supervised.path_of(arguments, name)) for name in names]
        genes = log_genes(slices)
        for name in wanted:
            key, make = FEATURES[name]
            for one, made in zip(slices, make(slices, genes)):
                one.obsm[key] = made.astype(np.float32)
        arguments.data = arguments.work / "slices"
        arguments.data.mkdir(exist_ok=True)
        for name, one in zip(names, slices):
            one.write_h5ad(arguments.data / f"{name}.h5ad")
            (arguments.work / f"{name}.h5ad").unlink(missing_ok=True)  # of path_of
        for name in wanted:
            for smooth in ("auto", "0"):
                options = ["--tune", "none", "--use", "obsm:" + FEATURES[name][0], "--smooth", smooth]
                runs = [supervised.run(arguments, task, seed, options) for seed in seeds]
                runs = [one for one in runs if one]
                if not runs:
                    continue
                label = name + (", smoothed" if smooth == "auto" else "")
                results = [one for one in results if (one["row"], one["input"]) != (row, label)]
                results.append(one := supervised.summary_of(row, label, " ".join(options), runs))
                print(f"{row} | {label} | {one['macro_f1']:.3f} ({one['accuracy']:.3f})", flush=True)
                part = arguments.output.with_suffix(".part")
                part.write_text(json.dumps({"what": "supervised", "results": results}, separators=(",", ":")) + "\n")
                os.replace(part, arguments.output)


if __name__ == "__main__":
    main()
