#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails when a header includes a layer it must not know (HACKING.md, "Layers"), or when no umbrella header reaches it.

Usage: check_layers.py INCLUDE_DIR
"""
import pathlib
import re
import sys

MAY_INCLUDE = {
    "core": {"core"},
    "backend/cpu": {"core", "backend/cpu", "Eigen"},
    "backend/cuda": {"core", "backend/cuda"},
    "ops": {"core", "backend/cpu", "backend/cuda", "ops"},
    "cluster": {"core", "backend/cpu", "ops", "cluster", "Eigen"},
    "autograd": {"core", "backend/cpu", "ops", "autograd"},
    "nn": {"core", "backend/cpu", "ops", "autograd", "nn"},
    "model": {"core", "backend/cpu", "ops", "autograd", "nn", "cluster", "model"},
    "io": {"core", "io", "nlohmann", "hdf5"},
    "pipeline": {"core", "backend/cpu", "backend/cuda", "ops", "cluster", "model", "io", "pipeline", "nlohmann"},
    "train": {"core", "backend/cpu", "backend/cuda", "ops", "autograd", "nn", "cluster", "model", "io", "pipeline", "train", "nlohmann"},
    "tasks": {"core", "backend/cpu", "backend/cuda", "ops", "autograd", "nn", "cluster", "model", "io", "pipeline", "train", "tasks", "Eigen", "nlohmann"},
    "distributed": {"core", "backend/cuda", "io", "autograd", "distributed", "mpi"},
}


def layer_of(path):
    parts = path.split("/")
    if parts[0] == "backend":
        return "/".join(parts[:2])
    return parts[0] if len(parts) > 1 else "umbrella"


# Headers that need more than the library's own dependencies are included by name.
OWN_INCLUDE = re.compile(r"backend/cuda/|(pipeline|train|distributed)/cuda_|io/(h5ad|hdf5|lzf)_|distributed/mpi_|train/corpus_h5ad")


def reached(root, names):
    """The headers that `names` include, directly or not."""
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += re.findall(r'#include "stofm/([^"]+)"', (root / name).read_text())
    return seen


def main(root):
    root = pathlib.Path(root) / "stofm"
    problems, headers = [], sorted(root.rglob("*.hpp"))
    for header in headers:
        name = header.relative_to(root).as_posix()
        layer = layer_of(name)
        if layer == "umbrella":
            continue
        if layer not in MAY_INCLUDE:
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
            if seen not in MAY_INCLUDE[layer]:
                problems.append(f"{name}:{number}: layer {layer} may not include {target}")
    for text in sorted(root.rglob("*.inc")):  # kernels, included within namespaces: their headers include for them
        if not text.name.startswith("each_") and re.search(r"^\s*#\s*include", text.read_text(), re.M):
            problems.append(f"{text.relative_to(root).as_posix()}: the text of kernels includes nothing")
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
