#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Modularity of igraph's Leiden on the graph of a golden case, beside the one given there: an oracle for our own Leiden.

    python leiden_oracle.py tests/golden/graph_osmfish [more cases ...]

Needs numpy and igraph (python-igraph); says so and exits with 77 (skipped) if they are absent. Prints one line per case:
the given modularity, and the least and the largest of ten seeds run until stable. Ours must reach the given one - 0.002
(tests/pipeline/golden_graph_test.cpp).
"""
import json
import pathlib
import random
import struct
import sys

try:
    import igraph
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

DTYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}


def read_tensor(path, name):
    """One tensor of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    info = json.loads(data[8 : 8 + length])[name]
    begin, end = (8 + length + offset for offset in info["data_offsets"])
    return np.frombuffer(data[begin:end], DTYPES[info["dtype"]]).reshape(info["shape"])


def main(cases):
    for case in map(pathlib.Path, cases):
        file = case / "case.safetensors"
        indptr, indices, weights = (read_tensor(file, "connectivities." + part) for part in ("indptr", "indices", "data"))
        rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        upper = rows < indices
        graph = igraph.Graph(n=len(indptr) - 1, edges=list(zip(rows[upper].tolist(), indices[upper].tolist())))
        graph.es["weight"] = weights[upper].astype(float).tolist()
        found = []
        for seed in range(10):
            random.seed(seed)
            found.append(graph.community_leiden("modularity", weights="weight", n_iterations=-1).modularity)
        given = json.loads((case / "meta.json").read_text())["leiden_modularity"]
        print(f"{case.name}: given {given:.6f}, igraph over 10 seeds {min(found):.6f} to {max(found):.6f}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
