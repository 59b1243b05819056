#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""100,000 cells: clusters, 2-D view, report and frozen head of stofm, and scanpy (neighbours, Leiden, UMAP) on the same counts.

    cluster_beside_scanpy.py SLICE.h5ad --stofm build/stofm [--cells 100000] [--clusters 20] [--threads 1] [--chromium chromium] [-o JSON]

The cells of SLICE are drawn with repetition, their counts thinned to 90 %, until there are --cells of them, laid out as copies of the
slice side by side. Both programs get 30 principal components of these counts, each by its own PCA, and a graph of 15 neighbours.
Wall seconds and processor seconds (all threads) of each part; on a machine with other work only the latter mean anything. stofm: wall
seconds of the parts are its own (--json), processor seconds are differences of whole runs that do one thing more (neighbours and
clusters: shared out as their wall seconds are). scanpy: parts
are run once on 2,000 cells before, so that nothing is compiled while they are timed. Leiden: scanpy at its default resolution with two
iterations (its recommendation), stofm searches the resolution that gives --clusters. Needs numpy, scipy, anndata, scanpy, igraph.
"""
import argparse
import json
import os
import resource
import subprocess
import tempfile
import time


def enlarged(path, cells, label, seed=0):
    import anndata
    import numpy as np
    import scipy.sparse as sp

    adata = anndata.read_h5ad(path)
    random = np.random.default_rng(seed)
    counts = sp.csr_matrix(adata.X)
    rows = np.arange(cells) % adata.n_obs
    big = counts[rows].astype(np.int64)
    big.data = random.binomial(big.data, 0.9)
    big.eliminate_zeros()
    xy = np.asarray(adata.obsm["spatial"], dtype=float)
    width = np.ptp(xy[:, 0]) * 1.05
    place = xy[rows] + np.column_stack([width * (np.arange(cells) // adata.n_obs), np.zeros(cells)])
    result = anndata.AnnData(big.astype(np.float32), var=adata.var.copy())
    if label in adata.obs:
        result.obs[label] = adata.obs[label].astype(str).to_numpy()[rows]
    result.obs_names = [str(i) for i in range(cells)]
    result.obsm["spatial"] = place
    return result


class Clock:
    """Parts with wall and processor seconds, printed as they come."""

    def __init__(self):
        self.parts = []

    def add(self, program, part, wall, processor):
        load = os.getloadavg()[0]
        self.parts.append({"program": program, "part": part, "wall": wall, "processor": processor, "load": load})
        shown = f"{wall:8.2f} s" if wall is not None else "         -"
        print(f"{program:8s} {part:34s} wall {shown}   processor {processor:8.2f} s   load {load:.1f}", flush=True)

    def child(self, words):
        """Runs a program. Returns its standard output, wall and processor seconds."""
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, words))}\n{done.stderr[-2000:]}")
        return done.stdout, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_stofm(clock, arguments, path, folder):
    out = os.path.join(folder, "out.h5ad")
    common = [arguments.stofm, "cluster", path, "-o", out, "--overwrite", "--use", "pca", "--scale", "none", "--threads",
              str(arguments.threads), "--json", "-q"]
    leiden = [*common, "--clusters", str(arguments.clusters)]
    quick = [*common, "--method", "minibatch", "--clusters", "2", "--layout", "none"]
    report = os.path.join(folder, "report.html")
    text, wall, before = clock.child(quick)
    clock.add("stofm", "read, components, write (k-means 2)", wall, before)
    _, wall_report, reported = clock.child([*quick, "--report", report])
    clock.add("stofm", "report", wall_report - wall, reported - before)
    print(f"         report: {os.path.getsize(report) / 1e6:.1f} MB")
    if "report" in arguments.parts:
        return open_report(clock, arguments, report, folder)
    text, wall, plain = clock.child([*leiden, "--layout", "none"])
    seconds = json.loads(text)["seconds"]
    clock.add("stofm", "neighbours", seconds["neighbours"], (plain - before) * seconds["neighbours"] /
              (seconds["neighbours"] + seconds["clusters"]))
    clock.add("stofm", "clusters (Leiden, resolution searched)", seconds["clusters"], (plain - before) * seconds["clusters"] /
              (seconds["neighbours"] + seconds["clusters"]))
    text, wall, view = clock.child(leiden)
    clock.add("stofm", "2-D view", json.loads(text)["seconds"].get("layout"), view - plain)
    return open_report(clock, arguments, report, folder)


def open_report(clock, arguments, report, folder):
    if arguments.chromium:
        _, wall, processor = clock.child([arguments.chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                                          "file://" + report])
        clock.add("chromium", "report opened and drawn", wall, processor)
        with open(os.path.join(folder, "empty.html"), "w", encoding="utf-8") as empty:
            empty.write("<p>nothing</p>")
        _, wall, processor = clock.child([arguments.chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                                          "file://" + empty.name])
        clock.add("chromium", "an empty page", wall, processor)


def run_head(clock, arguments, path, folder):
    """The frozen head: learns from all cells of the large file, and answers for those of the small one."""
    words = [arguments.stofm, "annotate", arguments.slice, "--train", path, "--label", arguments.label, "--use", "pca", "--no-floors",
             "--threads", str(arguments.threads), "-q", "-o", os.path.join(folder, "types.h5ad"), "--overwrite"]
    few = clock.child([*words, "--labels-per-class", "3"])[2]
    _, wall, processor = clock.child(words)
    clock.add("stofm", "read, components, frozen head", wall, processor)
    clock.add("stofm", "of that the head (30 columns)", None, processor - few)
    words[words.index("--use") + 1] = "stofm"
    embedded = os.path.join(folder, "embedded.h5ad")
    _, wall, processor = clock.child([arguments.stofm, "embed", path, "-o", embedded, "--threads", str(arguments.threads), "-q"])
    clock.add("stofm", "embedding, for the next row", wall, processor)
    words[words.index(path)] = embedded
    few = clock.child([*words, "--labels-per-class", "3"])[2]
    _, wall, processor = clock.child(words)
    clock.add("stofm", "frozen head on X_stofm of the file", wall, processor)
    clock.add("stofm", "of that the head (192 columns)", None, processor - few)


def run_scanpy(clock, adata):
    import scanpy

    parts = [("normalise", lambda a: (scanpy.pp.normalize_total(a), scanpy.pp.log1p(a))),
             ("components", lambda a: scanpy.pp.pca(a, n_comps=30)),
             ("neighbours", lambda a: scanpy.pp.neighbors(a, n_neighbors=15, use_rep="X_pca")),
             ("clusters (Leiden)", lambda a: scanpy.tl.leiden(a, flavor="igraph", n_iterations=2, directed=False)),
             ("2-D view (UMAP)", lambda a: scanpy.tl.umap(a))]
    small = adata[:2000].copy()
    for _, part in parts:
        part(small)
    for name, part in parts:
        start, used = time.perf_counter(), time.process_time()
        part(adata)
        clock.add("scanpy", name, time.perf_counter() - start, time.process_time() - used)
    print(f"         scanpy {scanpy.__version__}: {adata.obs['leiden'].nunique()} clusters")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slice")
    parser.add_argument("--stofm", default="build/stofm")
    parser.add_argument("--cells", type=int, default=100000)
    parser.add_argument("--clusters", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--label", default="cell_type", help="column that the frozen head learns")
    parser.add_argument("--parts", nargs="+", default=["stofm", "head", "scanpy"], choices=["stofm", "report", "head", "scanpy"],
                        help="report: of the part stofm the report alone")
    parser.add_argument("--chromium", help="headless browser that opens the report")
    parser.add_argument("-o", "--output", help="JSON")
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    clock = Clock()
    adata = enlarged(arguments.slice, arguments.cells, arguments.label)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "large.h5ad")
        adata.write_h5ad(path)
        if "stofm" in arguments.parts or "report" in arguments.parts:
            run_stofm(clock, arguments, path, folder)
        if "head" in arguments.parts:
            run_head(clock, arguments, path, folder)
    if "scanpy" in arguments.parts:
        run_scanpy(clock, adata)
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as file:
            json.dump({"what": "clusters, view, report and head", "cells": arguments.cells, "threads": arguments.threads,
                       "parts": clock.parts}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
