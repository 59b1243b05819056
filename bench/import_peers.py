#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`stofm import` beside scanpy's and spatialdata-io's readers: seconds, processor seconds and peak memory, on the same synthetic
folders of Xenium and MERSCOPE.

    python bench/import_peers.py --program build/stofm --cells 300000 --spatialdata-python other-venv/bin/python

Needs scanpy, h5py and numpy; spatialdata-io in an environment of its own, or it is left out. The Xenium folder has
cell_feature_matrix.h5 (gzip chunks, as the instrument writes it), cell_feature_matrix/ (three .gz files), cells.csv.gz, and what
spatialdata-io opens beside them: cells.parquet, experiment.xenium, cells.zarr.zip (empty, as of version 1.0). The MERSCOPE folder
has cell_by_gene.csv and cell_metadata.csv, the matrix for images too. spatialdata-io is asked for the table alone. Each way runs in
a process of its own; what it wrote is read back by anndata, and all must have the same counts and positions.
"""
import argparse
import gzip
import json
import os
import pathlib
import shutil
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
    "spatialdata-io .h5": """
import sys, spatialdata_io
folder, out = sys.argv[1:]
no = dict.fromkeys(("cells_boundaries nucleus_boundaries cells_as_circles cells_labels nucleus_labels transcripts morphology_mip "
                    "morphology_focus aligned_images").split(), False)
spatialdata_io.xenium(folder, **no).tables["table"].write_h5ad(out)
""",
    "spatialdata-io .csv": """
import sys, spatialdata_io
folder, out = sys.argv[1:]
s = spatialdata_io.merscope(folder, transcripts=False, cells_boundaries=False, mosaic_images=False)
s.tables["table"].write_h5ad(out)
""",
}
# What spatialdata-io opens beside counts; run by its own interpreter.
BESIDE = """
import json, sys
import pandas, zarr
folder = sys.argv[1]
cells = pandas.read_csv(folder + "/cells.csv.gz", index_col="cell_id")
with open(folder + "/cell_names.txt") as names:
    cells = cells.loc[names.read().split()].reset_index()
cells["cell_area"] = 80.0
cells.to_parquet(folder + "/cells.parquet")
with open(folder + "/experiment.xenium", "w") as file:
    json.dump({"analysis_sw_version": "xenium-1.0.1", "pixel_size": 0.2125}, file)
store = zarr.storage.ZipStore(folder + "/cells.zarr.zip", mode="w")
zarr.open_group(store, mode="w")
store.close()
"""


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
    (folder / "cell_names.txt").write_text("".join(name + "\n" for name in names))  # in the order of the matrix
    with gzip.open(folder / "cells.csv.gz", "wt", compresslevel=1) as file:
        file.write("cell_id,x_centroid,y_centroid,transcript_counts\n")
        file.write("".join(f"{names[i]},{places[i, 0]},{places[i, 1]},7\n" for i in order))
    return len(data)


def make_merscope(folder, cells, genes, mean):
    """A dense table of counts, and the positions."""
    import numpy as np
    random = np.random.default_rng(2)
    rates = random.gamma(0.3, size=genes)
    rates *= mean / rates.sum()
    (folder / "images").mkdir()
    (folder / "images" / "micron_to_mosaic_pixel_transform.csv").write_text("9.26 0 0\n0 9.26 0\n0 0 1\n")
    places = random.uniform(0, 10000, size=(cells, 2)).round(3)
    with open(folder / "cell_by_gene.csv", "w") as counts, open(folder / "cell_metadata.csv", "w") as metadata:
        counts.write("cell," + ",".join(f"GENE{g}" for g in range(genes)) + "\n")
        metadata.write("EntityID,fov,volume,center_x,center_y,min_x,min_y,max_x,max_y\n")
        for begin in range(0, cells, 10000):
            block = random.poisson(rates, size=(min(10000, cells - begin), genes))
            for i, row in enumerate(block, begin):
                counts.write(f"{10**15 + i}," + ",".join(map(str, row.tolist())) + "\n")
                x, y = places[i]
                metadata.write(f"{10**15 + i},{i // 1000},500.0,{x},{y},{x - 5},{y - 5},{x + 5},{y + 5}\n")


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


def measure(ways, scratch, rounds):
    """Runs each way `rounds` times; the least times, the greatest memory. All must have made the same numbers."""
    import anndata
    import numpy as np
    import scipy.sparse
    results, first = {}, None
    for name, command in ways.items():
        out = str(scratch / "out.h5ad")
        runs = []
        for _ in range(rounds):
            if os.path.exists(out):
                os.remove(out)
            runs.append(run(command(out)))
        made = anndata.read_h5ad(out)
        counts = scipy.sparse.csr_matrix(made.X)
        total = (made.obs_names.tolist()[:100], float(counts.sum(dtype=np.float64)), counts.nnz,
                 np.asarray(made.obsm["spatial"], float).sum())
        if first is None:
            print(f"{made.n_obs:,} cells x {made.n_vars} genes, {counts.nnz:,} entries")
        first = first or total
        if total != first:
            sys.exit(f"{name}: other numbers: {total} and {first}")
        seconds, cpu, peak = min(r[0] for r in runs), min(r[1] for r in runs), max(r[2] for r in runs)
        per_million = cpu / made.n_obs * 1e6
        results[name] = {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_mb": round(peak),
                         "cpu_seconds_per_million_cells": round(per_million, 1)}
        print(f"{name:20s} {seconds:8.2f} s  {cpu:8.2f} s of processor  {peak:8.0f} MB   "
              f"{per_million:7.1f} s of processor per million cells", flush=True)
        del made, counts
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/stofm")
    parser.add_argument("--cells", type=int, default=300000)
    parser.add_argument("--genes", type=int, default=400)
    parser.add_argument("--counts", type=float, default=120, help="of a cell on the mean")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default="xenium,merscope")
    parser.add_argument("--scratch", help="where the folders are made, in place of the system's temporary directory")
    parser.add_argument("--spatialdata-python", help="a Python with spatialdata-io; without it that is left out")
    a = parser.parse_args()
    program = str(pathlib.Path(a.program).resolve())
    folders = a.formats.split(",")
    results = {}
    with tempfile.TemporaryDirectory(prefix="stofm-import-", dir=a.scratch) as scratch:
        scratch = pathlib.Path(scratch)
        peer = a.spatialdata_python

        def ours(folder):
            return lambda out: [program, "import", str(folder), "-o", out, "--overwrite"]

        def theirs(name, folder, python=sys.executable):
            return lambda out: [python, "-W", "ignore", "-c", PEERS[name], str(folder), out]

        if "xenium" in folders:
            folder = scratch / "outs"
            folder.mkdir()
            make_folder(folder, a.cells, a.genes, a.counts)
            text = scratch / "text"  # the same folder without the .h5
            text.mkdir()
            for name in ("cell_feature_matrix", "cells.csv.gz"):
                os.symlink(folder / name, text / name)
            ways = {"stofm .h5": ours(folder), "scanpy .h5": theirs("scanpy .h5", folder)}
            if peer:
                subprocess.run([peer, "-c", BESIDE, str(folder)], check=True)
                ways["spatialdata-io .h5"] = theirs("spatialdata-io .h5", folder, peer)
            ways.update({"stofm .mtx.gz": ours(text), "scanpy .mtx.gz": theirs("scanpy .mtx.gz", folder)})
            results["xenium"] = measure(ways, scratch, a.rounds)
            shutil.rmtree(folder)
        if "merscope" in folders:
            folder = scratch / "region_0"
            folder.mkdir()
            make_merscope(folder, a.cells, a.genes, a.counts)
            ways = {"stofm .csv": ours(folder)}
            if peer:
                ways["spatialdata-io .csv"] = theirs("spatialdata-io .csv", folder, peer)
            results["merscope"] = measure(ways, scratch, a.rounds)
    print(json.dumps({"cells": a.cells, "genes": a.genes, "rounds": a.rounds, **results}))


if __name__ == "__main__":
    main()
