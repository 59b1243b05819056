#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails when a header includes a layer it must not know (the table of HACKING.md, "Layers"), or itself over others, or when
no umbrella header reaches it.

Usage: check_layers.py INCLUDE_DIR
"""
import pathlib
import re
import sys

# What of backend/cpu layers may include beside `ops`, whose kernels it is: where from, or which header alone.
EIGEN_MAPS = "backend/cpu/matrix.hpp"
OWN_KERNELS = {"model/distance_bias/gaussian_blocks.hpp": "backend/cpu/gaussian.hpp"}
OTHERS = {"std": None, "nlohmann/json": "nlohmann", "libhdf5": "hdf5", "MPI": "mpi", "Eigen": "Eigen"}


def layer_table(text):
    """Layer -> what it may include, from the table of HACKING.md."""
    table = {}
    for layer, may, _ in re.findall(r"^\| `([a-z/]+)` \| ([^|]+) \| ([^|]+) \|$", text[text.index("| layer | may include |"):], re.M):
        allowed = {layer}
        for word in may.strip().split(", "):
            if word == "all above":
                allowed |= set(table)
            elif word in table or word in OTHERS:
                allowed.add(OTHERS.get(word, word))
            else:
                raise SystemExit(f"HACKING.md, layer {layer}: {word!r} is no layer above it")
        table[layer] = allowed
    for layer in set(table) - {"ops", "backend/cpu"}:
        table[layer] -= {"backend/cpu"}  # ops is its only door
    return table


def layer_of(path):
    parts = path.split("/")
    if parts[0] == "backend":
        return "/".join(parts[:2])
    return parts[0] if len(parts) > 1 else "umbrella"


# Headers that need more than the library's own dependencies are included by name.
OWN_INCLUDE = re.compile(r"backend/cuda/|(pipeline|train|distributed)/cuda_|io/(h5ad|hdf5|lzf)_|io/import/|distributed/mpi_|train/corpus_h5ad")


def reached(root, names):
    """The headers that `names` include, directly or not."""
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += re.findall(r'#include "stofm/([^"]+)"', (root / name).read_text())
    return seen


def circles(root, headers):
    """Headers that include themselves over others, one line for each way back. What the last line of a header includes is its
    second half, which may include it."""
    graph = {}
    for header in headers:
        text = (root / header).read_text().rstrip()
        graph[header] = re.findall(r'#include "stofm/([^"]+\.hpp)"', text[: text.rindex("\n")])
    done, path, found = set(), [], []

    def walk(name):
        if name in path:
            found.append("a circle: " + " -> ".join(path[path.index(name):] + [name]))
        elif name not in done:
            path.append(name)
            for other in graph.get(name, []):
                walk(other)
            done.add(path.pop())

    for name in graph:
        walk(name)
    return found


def main(root):
    root = pathlib.Path(root) / "stofm"
    may_include = layer_table((root.parent.parent / "HACKING.md").read_text())
    problems, headers = [], sorted(root.rglob("*.hpp"))
    for header in headers:
        name = header.relative_to(root).as_posix()
        layer = layer_of(name)
        if layer == "umbrella":
            continue
        if layer not in may_include:
            problems.append(f"{name}: layer {layer!r} is not in the table")
            continue
        for number, line in enumerate(header.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
            if not match:
                continue
            target = match.group(1)
            if target.startswith("stofm/"):
                seen = layer_of(target[len("stofm/"):])
            elif target.startswith("Eigen/"):
                seen = "Eigen"
            elif target.startswith("nlohmann/"):
                seen = "nlohmann"
            elif target.startswith("hdf5") or target.startswith("H5"):
                seen = "hdf5"
            else:
                if target.startswith("cuda") or target.endswith(".cuh"):
                    problems.append(f"{name}:{number}: include/ never includes CUDA ({target})")
                continue
            own = target.removeprefix("stofm/")
            if own == OWN_KERNELS.get(name) or (own == EIGEN_MAPS and "Eigen" in may_include[layer]):
                continue
            if seen not in may_include[layer]:
                problems.append(f"{name}:{number}: layer {layer} may not include {target}")
    for text in sorted(root.rglob("*.inc")):  # kernels, included within namespaces: their headers include for them
        if not text.name.startswith("each_") and re.search(r"^\s*#\s*include", text.read_text(), re.M):
            problems.append(f"{text.relative_to(root).as_posix()}: the text of kernels includes nothing")
    problems += circles(root, [header.relative_to(root).as_posix() for header in headers])
    umbrellas = reached(root, [path.name for path in root.glob("*.hpp")])
    for header in headers:
        name = header.relative_to(root).as_posix()
        if name not in umbrellas and not OWN_INCLUDE.search(name):
            problems.append(f"{name}: no umbrella header includes it")
    for problem in problems:
        print(problem)
    print(f"{len(headers)} headers, {len(problems)} layer violations")
    return 1 if problems or not headers else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
