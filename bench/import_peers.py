#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`stofm import` beside scanpy's readers: seconds, processor seconds and peak memory, on the same synthetic Xenium folder.

    python bench/import_peers.py --program build/stofm --cells 300000

Needs scanpy, h5py and numpy. The folder has cell_feature_matrix.h5 (gzip chunks, as the instrument writes it),
cell_feature_matrix/ (three .gz files) and cells.csv.gz; it is made in a temporary directory. Each way runs in a process of its
own; what it wrote is read back by anndata, and all must have the same counts and positions.
"""
import argparse
import gzip
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

PEERS = {
    "scanpy .h5": """
import sys, scanpy, pandas
folder, out = sys.argv[1:]
a = scanpy.read_10x_h5(folder + "/cell_feature_matrix.h5")
c = pandas.read_csv(folder + "/cells.csv.gz", index_col="cell_id")
a.obsm["spatial"] = c.loc[a.obs_names, ["x_centroid", "y_centroid"]].to_numpy()
a.write_h5ad(out)
""",
    "scanpy .mtx.gz": """
import sys, scanpy, pandas
folder, out = sys.argv[1:]
a = scanpy.read_10x_mtx(folder + "/cell_feature_matrix")
c = pandas.read_csv(folder + "/cells.csv.gz", index_col="cell_id")
a.obsm["spatial"] = c.loc[a.obs_names, ["x_centroid", "y_centroid"]].to_numpy()
a.write_h5ad(out)
""",
}


def make_folder(folder, cells, genes, mean):
    """Cells in a random order of positions; counts that follow a gamma over genes."""
    import h5py
    import numpy as np
    random = np.random.default_rng(1)
    rates = random.gamma(0.3, size=genes)
    rates *= mean / rates.sum()
    names = [f"aaaa{i:07d}-1" for i in range(cells)]
    ids, symbols = [f"ENSG{g:011d}" for g in range(genes)], [f"GENE{g}" for g in range(genes)]
    data, indices, indptr = [], [], [0]
    for begin in range(0, cells, 10000):
        block = random.poisson(rates, size=(min(10000, cells - begin), genes))
        rows, columns = block.nonzero()
        data.append(block[rows, columns].astype("i4"))
        indices.append(columns.astype("i8"))
        indptr.extend((indptr[-1] + np.cumsum((block != 0).sum(1))).tolist())
    data, indices = np.concatenate(data), np.concatenate(indices)
    with h5py.File(folder / "cell_feature_matrix.h5", "w") as file:
        matrix = file.create_group("matrix")
        for name, values in {"data": data, "indices": indices, "indptr": np.array(indptr)}.items():
            matrix.create_dataset(name, data=values, chunks=(min(80000, len(values)),), compression="gzip", compression_opts=1)
        matrix["shape"] = np.array([genes, cells], "i4")
        matrix["barcodes"] = np.array(names, "S")
        features = matrix.create_group("features")
        features["id"], features["name"] = np.array(ids, "S"), np.array(symbols, "S")
        features["feature_type"] = np.array(["Gene Expression"] * genes, "S")
        features["genome"] = np.array(["Unknown"] * genes, "S")
    inner = folder / "cell_feature_matrix"
    inner.mkdir()
    with gzip.open(inner / "barcodes.tsv.gz", "wt", compresslevel=1) as file:
        file.write("".join(name + "\n" for name in names))
    with gzip.open(inner / "features.tsv.gz", "wt", compresslevel=1) as file:
        file.write("".join(f"{i}\t{s}\tGene Expression\n" for i, s in zip(ids, symbols)))
    cell_of = np.repeat(np.arange(cells), np.diff(indptr))
    with gzip.open(inner / "matrix.mtx.gz", "wt", compresslevel=1) as file:
        file.write(f"%%MatrixMarket matrix coordinate integer general\n%\n{genes} {cells} {len(data)}\n")
        for at in range(0, len(data), 1000000):
            part = slice(at, at + 1000000)
            triples = np.column_stack((indices[part] + 1, cell_of[part] + 1, data[part])).tolist()
            file.write("".join("%d %d %d\n" % tuple(t) for t in triples))
    order = random.permutation(cells)
    places = random.uniform(0, 10000, size=(cells, 2)).round(3)
    with gzip.open(folder / "cells.csv.gz", "wt", compresslevel=1) as file:
        file.write("cell_id,x_centroid,y_centroid,transcript_counts\n")
        file.write("".join(f"{names[i]},{places[i, 0]},{places[i, 1]},7\n" for i in order))
    return len(data)


def run(command):
    """(seconds, processor seconds, peak MB) of a process and its children."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", "import resource, subprocess, sys\n"
                           "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
                           "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
                           "print(used.ru_utime + used.ru_stime, used.ru_maxrss, code)", *command],
                          capture_output=True, text=True, check=True)
    cpu, peak, code = map(float, done.stdout.split())
    if code:
        sys.exit(f"{command}: {done.stderr[-2000:]}")
    return time.perf_counter() - start, cpu, peak / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/stofm")
    parser.add_argument("--cells", type=int, default=300000)
    parser.add_argument("--genes", type=int, default=400)
    parser.add_argument("--counts", type=float, default=120, help="of a cell on the mean")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="use this folder, made here if it is not there, instead of a temporary one")
    a = parser.parse_args()
    program = str(pathlib.Path(a.program).resolve())
    import anndata
    import numpy as np
    with tempfile.TemporaryDirectory(prefix="stofm-import-") as scratch:
        folder = pathlib.Path(a.folder or scratch + "/outs").resolve()
        if not folder.exists():
            folder.mkdir()
            make_folder(folder, a.cells, a.genes, a.counts)
        text = pathlib.Path(scratch) / "text"  # the same folder without the .h5
        text.mkdir()
        for name in ("cell_feature_matrix", "cells.csv.gz"):
            os.symlink(folder / name, text / name)
        ways = {"stofm .h5": lambda out: [program, "import", str(folder), "-o", out, "--overwrite"],
                "scanpy .h5": lambda out: [sys.executable, "-c", PEERS["scanpy .h5"], str(folder), out],
                "stofm .mtx.gz": lambda out: [program, "import", str(text), "-o", out, "--overwrite"],
                "scanpy .mtx.gz": lambda out: [sys.executable, "-c", PEERS["scanpy .mtx.gz"], str(folder), out]}
        results, first = {}, None
        for name, command in ways.items():
            out = str(pathlib.Path(scratch) / "out.h5ad")
            runs = []
            for _ in range(a.rounds):
                if os.path.exists(out):
                    os.remove(out)
                runs.append(run(command(out)))
            made = anndata.read_h5ad(out)
            total = (made.obs_names.tolist()[:100], float(made.X.sum()), made.X.nnz, np.asarray(made.obsm["spatial"]).sum())
            if first is None:
                print(f"{made.n_obs:,} cells x {made.n_vars} genes, {made.X.nnz:,} entries")
            first = first or total
            if total != first:
                sys.exit(f"{name}: other numbers: {total} and {first}")
            seconds, cpu, peak = min(r[0] for r in runs), min(r[1] for r in runs), max(r[2] for r in runs)
            results[name] = {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_mb": round(peak),
                             "cpu_seconds_per_million_cells": round(cpu / made.n_obs * 1e6, 1)}
            print(f"{name:16s} {seconds:8.2f} s  {cpu:8.2f} s of processor  {peak:8.0f} MB   "
                  f"{cpu / made.n_obs * 1e6:7.1f} s of processor per million cells")
        print(json.dumps(results))


if __name__ == "__main__":
    main()
