#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Leiden beside igraph's on the same graphs, one after the other in one run; processor time of all threads, best of several runs.

    python bench/cluster/leiden_beside_igraph.py --build build [--points 300000 1000000] [--until-stable] [-o RESULT.json]

The graphs are those that virtual cells are found on: UMAP's over the osmFISH slice laid side by side until there are so many
points, written by graph_bench. igraph runs two iterations, as scanpy recommends; --until-stable adds a run until stable, which
takes minutes. Needs numpy and igraph (python-igraph, GPL: for comparison only).
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import subprocess
import tempfile
import time

import igraph
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ours(build, points, passes, walk, repetitions, folder):
    """Least processor time in seconds, and the counters, of one benchmark of graph_bench."""
    name = f"cluster/leiden/side_by_side/{walk}/points:{points}/passes:{passes}/process_time"
    command = [build / "bench" / "graph_bench", f"--benchmark_filter=^{name}$", "--benchmark_format=json",
               f"--benchmark_repetitions={repetitions}", "--benchmark_min_time=0"]
    environment = dict(os.environ, STOFM_GRAPH_FILES=str(folder))
    found = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    runs = [run for run in found["benchmarks"] if run["run_type"] == "iteration"]
    return min(run["cpu_time"] for run in runs) / 1e3, runs[0]


def igraph_graph(folder):
    offsets, columns, weights = (np.load(folder / f"{name}.npy") for name in ("offsets", "columns", "weights"))
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    upper = rows < columns
    return igraph.Graph(n=len(offsets) - 1, edges=np.stack([rows[upper], columns[upper]], 1)), weights[upper].astype(float).tolist()


def peer(graph, weights, iterations, repetitions):
    best, found = None, None
    for _ in range(repetitions):
        random.seed(0)
        start = time.process_time()
        found = graph.community_leiden("modularity", weights=weights, n_iterations=iterations)
        seconds = time.process_time() - start
        best = seconds if best is None else min(best, seconds)
    return best, len(found), graph.modularity(found.membership, weights=weights)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--points", type=int, nargs="+", default=[300000, 1000000], help="of 32355, 100000, 300000, 1000000")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--everywhere", action="store_true", help="also the walk of small graphs until stable, which takes minutes")
    parser.add_argument("--until-stable", action="store_true", help="also igraph until stable, which takes minutes")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON result")
    arguments = parser.parse_args()
    rows = []

    def add(points, program, passes, seconds, clusters, modularity):
        rows.append(dict(points=points, program=program, passes=passes, cpu_seconds=round(seconds, 3), clusters=clusters,
                         modularity=round(modularity, 6)))
        print(f"| {points:,} | {program} | {passes} | {seconds:.2f} s | {clusters} | {modularity:.5f} |", flush=True)

    print("| points | program | passes | processor time | clusters | modularity |\n|---:|---|---:|---:|---:|---:|")
    for points in arguments.points:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            walks = [("local", 2), ("local", 0)] + ([("everywhere", 0)] if arguments.everywhere else [])
            for walk, passes in walks:
                seconds, run = ours(arguments.build, points, passes, walk, 1 if walk == "everywhere" else arguments.repetitions, folder)
                done = int(run["passes_done"])
                add(points, f"stofm, {walk}", passes if passes else f"until stable ({done})", seconds, int(run["clusters"]),
                    run["modularity"])
            graph, weights = igraph_graph(folder)
            for iterations in [2] + ([-1] if arguments.until_stable else []):
                seconds, clusters, modularity = peer(graph, weights, iterations, arguments.repetitions if iterations > 0 else 1)
                add(points, f"igraph {igraph.__version__}", iterations if iterations > 0 else "until stable", seconds, clusters,
                    modularity)
    if arguments.output:
        cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        options = " --everywhere" * arguments.everywhere + " --until-stable" * arguments.until_stable
        result = dict(date=datetime.date.today().isoformat(), commit=commit, cpu=cpu, cores=os.cpu_count(),
                      command=f"python bench/cluster/leiden_beside_igraph.py --points {' '.join(map(str, arguments.points))}{options}",
                      what="Leiden on UMAP's graph of osmFISH side by side; processor time of all threads, best of "
                           f"{arguments.repetitions} (single runs until stable of igraph and everywhere)", rows=rows)
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
