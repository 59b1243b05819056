#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures stofm beside the programs it is compared with, in one run on one machine, and prints one table.

    python3 bench/compare_peers.py --peers DIR --torch-python PY --scanpy-python PY --golden DIR [-o RESULT.json]

DIR of --peers holds stofm_torch.py, cell_encoder_torch.py and graph_scanpy.py (each prints one JSON line); PY are the
interpreters of virtual environments with torch + transformers and with scanpy. Our side is what is in build/bench
(cmake --preset cpu && cmake --build build). The machine should be idle; each figure is the best of several runs.
--kernels measures another level of ours than the one used by default, beside a PyTorch held to the same instructions.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Required ratios by level: SE(2) forward beside eager and compiled PyTorch, the training step likewise, the cell encoder.
REQUIRED = {"amx": (30, 12, 30, 15, 2), "avx512": (38, 10, 25, 9, 1.7), "avx2": (30, 10, 18, 9, 1.3), "neon": (30, 10, 18, 9, 1.3)}
# What holds PyTorch (ATen, oneDNN, MKL) to the instructions of a level.
HELD = {"avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
        "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}}


def run(command, **environment):
    print("  $", " ".join(str(part) for part in command), file=sys.stderr, flush=True)
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode:
        sys.exit(f"failed ({result.returncode}): {result.stderr[-2000:]}")
    return result.stdout


def peer(python, script, *arguments):
    return json.loads(run([python, script, *arguments]).strip().splitlines()[-1])


def ours(build, program, pattern, **environment):
    """Best real time in seconds of the repetitions of the first benchmark that matches (they are registered with the
    kernels that are used by default first), and its row with the counters."""
    out = run([build / "bench" / program, f"--benchmark_filter={pattern}", "--benchmark_format=json",
               "--benchmark_repetitions=5", "--benchmark_min_time=0.5", "--benchmark_report_aggregates_only=false"], **environment)
    rows = [row for row in json.loads(out[out.index("{"):])["benchmarks"] if row.get("run_type") == "iteration"]
    if not rows:
        sys.exit(f"{program}: no benchmark matches {pattern}")
    rows = [row for row in rows if row["name"] == rows[0]["name"]]
    scale = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    return min(rows, key=lambda row: row["real_time"] * scale[row["time_unit"]]), min(
        row["real_time"] * scale[row["time_unit"]] for row in rows)


def with_peak(command):
    """The last line of a program as JSON, and the peak of its resident memory in bytes."""
    print("  $", " ".join(str(part) for part in command), file=sys.stderr, flush=True)
    reader, writer = os.pipe()
    process = os.posix_spawn(str(command[0]), [str(part) for part in command], os.environ,
                             file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_CLOSE, reader)])
    os.close(writer)
    with os.fdopen(reader) as stream:
        out = stream.read()
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"failed ({status}): {command[0]}")
    return json.loads(out.strip().splitlines()[-1]), usage.ru_maxrss * 1024


def level_pattern(arguments):
    return f"({arguments.kernels})" if arguments.kernels else "(amx|avx512|avx2|neon)"


def level_of(row):
    """The level of kernels that a benchmark of ours ran with: "avx2" of model/se2_forward/avx2/..."""
    return row["name"].split("/")[2]


def training_rows(build, torch_python, peers, level, add):
    """One training step (forward, both losses, backward, AdamW) on one sub-slice, and the memory it takes."""
    mine, my_peak = with_peak([build / "bench" / "train_step_bench", "--memory", 20])
    what = "training step, one sub-slice of 1050 nodes, float32" + (", products to 2^-16" if level == "amx" else "")
    for name, flags, target in (("PyTorch eager", [], REQUIRED[level][2]), ("torch.compile", ["--compile"], REQUIRED[level][3])):
        torch, peak = with_peak([torch_python, peers / "stofm_torch.py", "bench", "--nodes", 1050, "--train", *flags])
        add(what, "ms", mine["min_ms"], f"{name} {torch['torch']}", torch["min_ms"], torch["min_ms"] / mine["min_ms"], target)
        add(what + ", peak memory", "MB", my_peak / 1e6, f"{name} {torch['torch']}", peak / 1e6, peak / my_peak,
            20 if not flags else 1)


def bfloat16_rows(build, torch_python, peers, golden, levels, add):
    """The cell encoder with bfloat16 products: beside our float32 ones, and beside torch.bfloat16 with whatever kernels it has here."""
    for name in ("starmap", "her2st"):
        tokens = golden / f"tokens_{name}" / "case.safetensors"
        where = f"model/cell_encoder/{levels}/position_0/"
        half, exact = (ours(build, "cell_encoder_bench", where + form + "cells:0/tokens:0", STOFM_TOKENS=str(tokens))[0]["cells/s"]
                       for form in ("bfloat16/", ""))
        torch = peer(torch_python, peers / "cell_encoder_torch.py", "--tokens", tokens, "--runs", 2, "--dtype", "bfloat16")
        what = f"cell encoder, tokens_{name}, bfloat16"
        add(what, "cells/s", half, "float32 of ours", exact, half / exact, 1.5)
        add(what, "cells/s", half, f"BertModel in torch.bfloat16, torch {torch['torch']}", torch["cells_per_s"], half / torch["cells_per_s"], 1.5)


def report(rows, forward_row, arguments):
    commit = run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]).strip()
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    features = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {name}" in flags]
    result = dict(date=datetime.date.today().isoformat(), commit=commit, cpu=cpu, features=features, cores=os.cpu_count(),
                  command="python3 bench/compare_peers.py" + (f" --only {arguments.only}" if arguments.only else "")
                  + (f" --kernels {arguments.kernels}" if arguments.kernels else "") + (" --bfloat16" if arguments.bfloat16 else ""),
                  kernels=level_of(forward_row), rows=rows)
    print(f"{cpu} ({', '.join(features)}), {os.cpu_count()} cores, commit {commit}\n")
    print("| what | stofm | peer | ratio | required |\n|---|---:|---|---:|---:|")
    for row in rows:
        print(f"| {row['what']} | {row['stofm']:.4g} {row['unit']} | {row['peer']}: {row['peer_value']:.4g} {row['unit']} "
              f"| **{row['ratio']:.1f}x** | {row['target']}x |")
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    missed = [row["what"] for row in rows if row["ratio"] < row["target"]]
    if missed:
        print("\nbelow the required ratio: " + "; ".join(missed))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=pathlib.Path, required=True)
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--scanpy-python", help="not needed with --only")
    parser.add_argument("--golden", type=pathlib.Path, required=True, help="holds tokens_starmap, tokens_her2st, graph_osmfish")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--only", choices=["training", "torch"],
                        help="training: that step alone; torch: everything but scanpy")
    parser.add_argument("--kernels", choices=["amx", "avx512", "avx2", "neon"], help="level of ours (default: the best here)")
    parser.add_argument("--bfloat16", action="store_true", help="also the cell encoder with bfloat16 products")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON result")
    arguments = parser.parse_args()
    if not arguments.only and not arguments.scanpy_python:
        parser.error("--scanpy-python is missing (or leave scanpy out with --only torch)")
    build, golden, peers = arguments.build, arguments.golden, arguments.peers
    levels, rows = level_pattern(arguments), []
    if arguments.kernels:
        os.environ.update(STOFM_CPU_KERNELS=arguments.kernels, **HELD.get(arguments.kernels, {}))

    def add(what, unit, our_value, peer_name, peer_value, ratio, target):
        rows.append(dict(what=what, unit=unit, stofm=our_value, peer=peer_name, peer_value=peer_value, ratio=ratio, target=target))

    forward_row, forward = ours(build, "se2_forward_bench", f"model/se2_forward/{levels}/table/.*N/1050")
    required = REQUIRED[level_of(forward_row)]
    training_rows(build, arguments.torch_python, peers, level_of(forward_row), add)
    if arguments.only == "training":
        return report(rows, forward_row, arguments)
    eager = peer(arguments.torch_python, peers / "stofm_torch.py", "bench", "--nodes", 1050, "--runs", 5)
    compiled = peer(arguments.torch_python, peers / "stofm_torch.py", "bench", "--nodes", 1050, "--runs", 5, "--compile")
    for name, result, target in (("PyTorch eager", eager, required[0]), ("torch.compile", compiled, required[1])):
        add("SE(2) Transformer, one sub-slice of 1050 nodes, float32", "ms", forward * 1e3, f"{name} {result['torch']}",
            result["min_ms"], result["min_ms"] / (forward * 1e3), target)

    for name in ("starmap", "her2st"):
        tokens = golden / f"tokens_{name}" / "case.safetensors"
        row, _ = ours(build, "cell_encoder_bench", f"model/cell_encoder/{levels}/position_0/cells:0/tokens:0", STOFM_TOKENS=str(tokens))
        torch = peer(arguments.torch_python, peers / "cell_encoder_torch.py", "--tokens", tokens, "--runs", 2)
        add(f"cell encoder, tokens_{name}, float32", "cells/s", row["cells/s"], f"BertModel, torch {torch['torch']}",
            torch["cells_per_s"], row["cells/s"] / torch["cells_per_s"], required[4])

    if arguments.bfloat16:
        bfloat16_rows(build, arguments.torch_python, peers, golden, levels, add)
    if arguments.only == "torch":
        return report(rows, forward_row, arguments)
    _, graph = ours(build, "graph_bench", "cluster/umap_graph_2d.leiden/tiles/5", STOFM_GOLDEN=str(golden))
    scanpy = peer(arguments.scanpy_python, peers / "graph_scanpy.py", "--case", golden / "graph_osmfish" / "case.safetensors", "--tile", 5)
    scanpy_seconds = scanpy["neighbours_s"] + scanpy["leiden_s"]
    add(f"neighbours + UMAP weights + Leiden, {scanpy['points']} points", "s", graph, f"scanpy {scanpy['scanpy']} (igraph)",
        scanpy_seconds, scanpy_seconds / graph, 5)

    _, piece = ours(build, "sub_slices_bench", "build_sub_slice/random/cells,virtual/1000/49")
    add("building one sub-slice of 1050 nodes", "ms", piece * 1e3, "reference, published figure 75 ms", 75.0, 75.0 / (piece * 1e3), 10)

    report(rows, forward_row, arguments)


main()
