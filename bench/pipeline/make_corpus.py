#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a corpus of many small slices, cut from real ones: windows that are turned, whose cells are moved a little and
whose counts are thinned, so that no two slices have the same cells.

Usage: make_corpus.py OUTPUT_DIR SLICES INPUT.h5ad... [--cells N] [--seed N]

Needs numpy and h5py. Ten slices a donor; slices.csv says which. The same arguments give the same files.
"""
import argparse
import pathlib

import h5py
import numpy as np

from make_tiled_slice import read_csr


def read(path):
    with h5py.File(path) as file:
        indptr, indices, data, genes = read_csr(file)
        var = file["var"]
        names = [n.decode() if isinstance(n, bytes) else n for n in var[var.attrs["_index"]][:]]
        return indptr.astype(np.int64), indices, data, names, file["obsm/spatial"][:, :2].astype(np.float64)


def window(source, cells, random):
    """Cells nearest to one of them, turned, jittered by a tenth of the spacing, counts thinned."""
    indptr, indices, data, names, xy = source
    around = np.sum((xy - xy[random.integers(len(xy))]) ** 2, axis=1)
    rows = np.sort(np.argpartition(around, min(cells, len(xy)) - 1)[:cells])
    places = xy[rows]
    spacing = np.sqrt(np.prod(np.ptp(places, axis=0) + 1e-9) / len(rows))
    angle = random.random() * 2 * np.pi
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = places @ turn + random.normal(0, spacing / 10, places.shape)
    kept = random.uniform(0.6, 0.95)
    columns, values, ends = [], [], [0]
    for row in rows:
        counts = random.binomial(np.rint(data[indptr[row]:indptr[row + 1]]).astype(np.int64), kept)
        columns.append(indices[indptr[row]:indptr[row + 1]][counts > 0])
        values.append(counts[counts > 0])
        ends.append(ends[-1] + len(values[-1]))
    return np.array(ends), np.concatenate(columns), np.concatenate(values), names, places


def write(path, section):
    ends, columns, values, names, places = section
    with h5py.File(path, "w", track_order=False) as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        x.attrs["shape"] = np.array([len(places), len(names)], dtype=np.int64)
        x.create_dataset("data", data=values.astype("f4"), compression="gzip", compression_opts=1)
        x.create_dataset("indices", data=columns.astype("i4"), compression="gzip", compression_opts=1)
        x.create_dataset("indptr", data=ends.astype("i4"))
        for name, labels in (("obs", [f"c{i}" for i in range(len(places))]), ("var", names)):
            group = file.create_group(name)
            group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
            group.attrs["column-order"] = np.array([], dtype="S1")
            text = group.create_dataset("_index", data=np.array(labels, dtype=object), dtype=h5py.string_dtype())
            text.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
        obsm = file.create_group("obsm")
        obsm.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        obsm.create_dataset("spatial", data=places).attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("slices", type=int)
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    sources = [read(path) for path in args.inputs]
    args.output.mkdir(parents=True, exist_ok=True)
    lines = ["file,donor,technology"]
    for i in range(args.slices):
        random = np.random.default_rng([args.seed, i])
        which = (i // 10) % len(sources)  # a donor's slices are of one tissue
        name = f"slice{i:05d}.h5ad"
        write(args.output / name, window(sources[which], args.cells, random))
        lines.append(f"{name},donor{i // 10},{pathlib.Path(args.inputs[which]).stem.split('_')[0]}")
    (args.output / "slices.csv").write_text("\n".join(lines) + "\n")
    print(f"{args.output}: {args.slices} slices")


if __name__ == "__main__":
    main()
