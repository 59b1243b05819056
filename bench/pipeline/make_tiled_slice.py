#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a large .h5ad by laying copies of a real one side by side, for measuring load.

Usage: make_tiled_slice.py INPUT.h5ad OUTPUT.h5ad CELLS [--nnz N]

Needs numpy and h5py. X is written as CSR float32 with gzip in chunks; --nnz repeats each row's genes under new columns
(named ENSG...) until a row has about N counts.
"""
import argparse

import h5py
import numpy as np


def read_csr(file):
    x = file["X"]
    if isinstance(x, h5py.Dataset):
        dense = x[:]
        rows, columns = np.nonzero(dense)
        indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(dense, axis=1))])
        return indptr, columns, dense[rows, columns], dense.shape[1]
    if x.attrs.get("encoding-type", "csr_matrix") not in ("csr_matrix", b"csr_matrix"):
        raise SystemExit("X must be CSR or dense")
    return x["indptr"][:], x["indices"][:], x["data"][:], int(x.attrs["shape"][1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("cells", type=int)
    parser.add_argument("--nnz", type=int, default=0)
    args = parser.parse_args()
    with h5py.File(args.input) as file:
        indptr, indices, data, genes = read_csr(file)
        var = file["var"]
        names = [n.decode() if isinstance(n, bytes) else n for n in var[var.attrs["_index"]][:]]
        xy = file["obsm/spatial"][:, :2].astype(np.float64)
    n = len(indptr) - 1
    copies = max(1, round(args.nnz / max(1.0, len(data) / n))) if args.nnz else 1
    if copies > 1:
        lengths = np.diff(indptr)
        order = np.repeat(np.arange(n), lengths)
        indices = np.concatenate([indices + k * genes for k in range(copies)])
        data = np.tile(data, copies)
        sort = np.lexsort((indices, np.tile(order, copies)))
        indices, data = indices[sort], data[sort]
        indptr = indptr * copies
        names = names + [f"ENSG{90000000000 + k}" for k in range(genes * (copies - 1))]
        genes *= copies
    tiles = -(-args.cells // n)
    side = int(np.ceil(np.sqrt(tiles)))
    extent = (xy.max(0) - xy.min(0)) * 1.02 + 1e-9
    with h5py.File(args.output, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        x.attrs["shape"] = np.array([args.cells, genes], dtype=np.int64)
        whole, rest = divmod(args.cells, n)
        nnz = whole * int(indptr[-1]) + int(indptr[rest])
        options = {"chunks": (1 << 17,), "compression": "gzip", "compression_opts": 1}
        out_data = x.create_dataset("data", (nnz,), "f4", **options)
        out_indices = x.create_dataset("indices", (nnz,), "i4", **options)
        out_indptr = np.empty(args.cells + 1, np.int64)
        places = np.empty((args.cells, 2))
        at = row = 0
        for tile in range(tiles):
            count = min(n, args.cells - row)
            part = int(indptr[count])
            out_data[at:at + part] = data[:part]
            out_indices[at:at + part] = indices[:part]
            out_indptr[row:row + count] = indptr[:count] + at
            places[row:row + count] = xy[:count] + extent * (tile % side, tile // side)
            at, row = at + part, row + count
        out_indptr[-1] = nnz
        x.create_dataset("indptr", data=out_indptr, compression="gzip", compression_opts=1)
        obs, var = file.create_group("obs"), file.create_group("var")
        for group, labels in ((obs, np.arange(args.cells).astype("S")), (var, np.array(names, dtype="S"))):
            group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
            group.attrs["column-order"] = np.array([], dtype="S1")
            text = group.create_dataset("_index", data=labels.astype(object), dtype=h5py.string_dtype())
            text.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
        obsm = file.create_group("obsm")
        obsm.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        spatial = obsm.create_dataset("spatial", data=places)
        spatial.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    print(f"{args.output}: {args.cells} cells x {genes} genes, {nnz} counts")


if __name__ == "__main__":
    main()
