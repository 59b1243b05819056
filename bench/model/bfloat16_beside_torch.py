#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cell encoder with bfloat16 products beside our float32 ones and beside BertModel in torch.bfloat16, in one run.

    python3 bench/model/bfloat16_beside_torch.py [--torch-python PY] [--levels amx avx512] [-o RESULT.json]

Published sizes (6 layers of 256, 4 heads, random weights), 32 cells of 256 tokens and 2 of 2,048. One thread; processor time,
the best of several rounds that take turns, so that other work on the machine does not decide. PY: a Python with torch and
transformers; torch takes the kernels it likes best (AMX where there is one). Ours: build/bench/cell_encoder_bench.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SIZES = ((32, 256), (2, 2048))

TORCH = """
import json, sys, time, torch
from transformers import BertConfig, BertModel
torch.set_num_threads(1); torch.manual_seed(0)
model = BertModel(BertConfig(vocab_size=25427, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=512,
                             hidden_act="relu", max_position_embeddings=2048), add_pooling_layer=False).eval()
result = {"torch": torch.__version__}
with torch.no_grad():
    for kind in ("float32", "bfloat16"):
        model = model.to(getattr(torch, kind))
        for cells, tokens in json.loads(sys.argv[1]):
            ids = torch.randint(2, 25427, (cells, tokens))
            model(ids)
            best = 1e9
            for _ in range(3):
                begin = time.process_time(); model(ids); best = min(best, time.process_time() - begin)
            result[f"{kind} {tokens}"] = cells / best
print(json.dumps(result))
"""


def ours(build, level, repetitions):
    """{"float32 256": cells a second of processor time, ...} of one level; the smallest time of all repetitions."""
    out = subprocess.run([build / "bench" / "cell_encoder_bench", f"--benchmark_filter=/{level}/position_0/.*cells:(32/tokens:256|2/tokens:2048)/",
                          f"--benchmark_repetitions={repetitions}", "--benchmark_enable_random_interleaving=true",
                          "--benchmark_format=json"], capture_output=True, text=True, check=True,
                         env={**os.environ, "STOFM_BENCH_THREADS": "1"}).stdout
    best = {}
    for row in json.loads(out[out.index("{"):])["benchmarks"]:
        if row.get("run_type") != "iteration" or row.get("error_occurred"):
            continue
        for cells, tokens in SIZES:
            if f"tokens:{tokens}/" in row["name"]:
                key = f"{'bfloat16' if '/bfloat16/' in row['name'] else 'float32'} {tokens}"
                best[key] = max(best.get(key, 0), cells / (row["cpu_time"] * 1e-3))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python")
    parser.add_argument("--levels", nargs="+", default=["amx", "avx512", "avx2"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("-o", "--output", type=pathlib.Path)
    arguments = parser.parse_args()
    results, version = {}, ""

    def keep(who, figures):
        for key, value in figures.items():
            place = results.setdefault(who, {})
            place[key] = max(place.get(key, 0), value)

    for _ in range(arguments.rounds):
        for level in arguments.levels:
            keep(level, ours(arguments.build, level, 3))
        if arguments.torch_python:
            out = subprocess.run([arguments.torch_python, "-c", TORCH, json.dumps(SIZES)], capture_output=True, text=True, check=True,
                                 env={**os.environ, "OMP_NUM_THREADS": "1"}).stdout
            figures = json.loads(out.strip().splitlines()[-1])
            version = figures.pop("torch")
            keep("torch", figures)
    rows = []
    print("| kernels | tokens | float32 | bfloat16 | ratio |" + (" torch, float32 | torch, bfloat16 | ours beside it, bfloat16 |" if version else ""))
    print("|---|---:|---:|---:|---:|" + ("---:|---:|---:|" if version else ""))
    for level in arguments.levels:
        for _, tokens in SIZES:
            exact, half = results[level][f"float32 {tokens}"], results[level][f"bfloat16 {tokens}"]
            row = dict(kernels=level, tokens=tokens, float32=exact, bfloat16=half, ratio=half / exact)
            line = f"| {level} | {tokens} | {exact:.1f} | {half:.1f} | **{half / exact:.2f}x** |"
            if version:
                row |= dict(torch_float32=results["torch"][f"float32 {tokens}"], torch_bfloat16=results["torch"][f"bfloat16 {tokens}"])
                row["beside_torch_bfloat16"] = half / row["torch_bfloat16"]
                line += f" {row['torch_float32']:.1f} | {row['torch_bfloat16']:.1f} | **{row['beside_torch_bfloat16']:.2f}x** |"
            rows.append(row)
            print(line)
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    if arguments.output:
        arguments.output.write_text(json.dumps(dict(
            date=datetime.date.today().isoformat(), commit=commit, cpu=cpu, unit="cells per second of processor time, one thread",
            features=[name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {name}" in flags], torch=version,
            command="python3 bench/model/bfloat16_beside_torch.py" + (" --torch-python PY" if version else "")
                    + " --levels " + " ".join(arguments.levels), rows=rows), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
