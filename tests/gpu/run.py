#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs what tests/gpu/run.sh built and writes gpu.json. Usage: run.py BUILD_DIR REPORT_DIR [--continue] [--budget S] STAGE ...

Hooks for programs that are run: a test or benchmark may append lines of JSON, {"name": ..., "value": ..., "unit": ...}, to
the file named by STOFM_GPU_FIGURES; they come into the report as `figures`. A test that prints a line "digest: <hex>"
(tests/gpu/support/main.cpp does, of all it fetched from the device) must print the same in its second run. Exit code 77
means skipped, and is never counted as passed. A benchmark that reports an error has failed, whatever its exit code.
"""
import argparse
import concurrent.futures
import datetime
import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import targets  # noqa: E402

STAGES = ("test", "bench", "peers", "million", "sanitize")
PARTS = {"test": "tests", "bench": "benchmarks", "peers": "peers", "million": "million_cells", "sanitize": "sanitizer"}
TOOLS = {
    # API errors are the tests' own business: some ask for what must be refused.
    "memcheck": ["--tool", "memcheck", "--leak-check", "full", "--report-api-errors", "no"],
    "racecheck": ["--tool", "racecheck", "--racecheck-report", "all"],
    "initcheck": ["--tool", "initcheck"],
    "synccheck": ["--tool", "synccheck"],
}
FIRST_BENCHMARKS = ("se2_forward", "se2_train", "cell_encoder", "kmeans")  # what the targets are about
PEERS = {  # of stofm_torch.py bench: name -> its options
    "forward eager float32": ["--batch", 1, "--runs", 30, "--warmup", 5],
    "forward compile float32": ["--batch", 1, "--runs", 30, "--warmup", 5, "--compile"],
    "train eager float32": ["--train", "--batch", 16, "--runs", 7, "--warmup", 2],
    "train compile float32": ["--train", "--batch", 16, "--runs", 7, "--warmup", 3, "--compile"],
    "batch eager bfloat16": ["--batch", 64, "--dtype", "bfloat16", "--runs", 7, "--warmup", 2],
    "batch compile bfloat16": ["--batch", 64, "--dtype", "bfloat16", "--runs", 7, "--warmup", 3, "--compile"],
    "train eager bfloat16": ["--train", "--batch", 16, "--dtype", "bfloat16", "--runs", 7, "--warmup", 2],
    "train compile bfloat16": ["--train", "--batch", 16, "--dtype", "bfloat16", "--runs", 7, "--warmup", 3, "--compile"],
}
TIMEOUT = float(os.environ.get("STOFM_GPU_TIMEOUT", "300"))
LEAST = 15.0  # seconds of the budget that must be left to begin anything
DONE = ("passed", "skipped")


class Session:
    """The report, what is left of the time, and the environment of what is run."""

    def __init__(self, build, folder, go_on, budget):
        self.build, self.path, self.kept = build, folder / "gpu.json", build / "gpu.json"
        self.go_on = go_on
        self.end = time.monotonic() + budget if budget else math.inf
        self.lock = threading.Lock()
        self.figures = build / "figures.jsonl"
        self.figures.unlink(missing_ok=True)
        self.environment = {**os.environ, "STOFM_GPU_FIGURES": str(self.figures.resolve())}
        # Of earlier calls: the report folder may be emptied between them, and a fresh machine has only what was carried.
        self.report = next((json.loads(p.read_text()) for p in (self.kept, pathlib.Path(".carry/gpu.json")) if p.exists()), {})
        now = about()
        if any(self.report.get("about", {}).get(field) != now[field] for field in ("commit", "name")):
            self.report = {}
        self.report["about"] = now

    def left(self):
        return self.end - time.monotonic()

    def run(self, command, timeout=TIMEOUT, **more):
        """Exit code (None: ran out of time), output, seconds."""
        started = time.monotonic()
        timeout = max(1.0, min(timeout, self.left()))
        try:
            process = subprocess.Popen([str(c) for c in command], text=True, errors="replace", stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, start_new_session=True, **{"env": self.environment, **more})
        except OSError as error:
            return -1, str(error), 0.0
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # what it started keeps its output open
            output, _ = process.communicate()
            return None, output, round(timeout, 2)
        return process.returncode, output, round(time.monotonic() - started, 2)

    def save(self):
        """After every result: a call may be cut off."""
        if self.figures.exists():
            known = self.report.setdefault("figures", {})
            for line in self.figures.read_text().splitlines():
                try:
                    figure = json.loads(line)
                except ValueError:  # the last one, half written
                    continue
                known[figure.pop("name")] = figure
        self.report["targets"] = targets.of(self.report)
        text = json.dumps(self.report, indent=1) + "\n"
        for path in (self.path, self.kept):
            beside = path.with_suffix(".part")
            beside.write_text(text)
            beside.replace(path)

    def each(self, stage, items, jobs=1):
        """Runs items, {name: function that returns an entry}, `jobs` at a time, and keeps what each returns."""
        results = self.report.setdefault(PARTS[stage], {})
        if not self.go_on:
            results.clear()
        results.pop("not run", None)

        def one(name, work):
            if self.go_on and results.get(name, {}).get("result") == "passed":
                return
            entry = work() if self.left() > LEAST else {"result": "not run", "why": "no time left: --continue runs it"}
            words = entry.pop("print", "")
            with self.lock:
                results[name] = entry
                self.save()
                took = f", {entry['seconds']} s" if "seconds" in entry else ""
                print(f"{stage} {name}: {entry['result']}{took}{words}", flush=True)

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(one, name, work) for name, work in items.items()]:
                done.result()

    def not_run(self, stage, why):
        print(f"{stage}: not run, {why}", flush=True)
        self.report.setdefault(PARTS[stage], {})["not run"] = why
        self.save()


def first_line(command):
    try:
        return subprocess.run(command, text=True, capture_output=True, timeout=60).stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return ""


def about():
    carried = pathlib.Path(".carry/commit")
    commit = first_line(["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-modified"])
    if not commit and carried.exists():
        commit = carried.read_text().strip()
    fields = "name,driver_version,memory.total,compute_cap"
    values = first_line(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]).split(", ")
    nvcc = subprocess.run(["nvcc", "--version"], text=True, capture_output=True).stdout if shutil.which("nvcc") else ""
    release = re.search(r"release ([\d.]+)", nvcc)
    return {**dict(zip(fields.split(","), values)), "nvcc": release.group(1) if release else "", "commit": commit,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count()}


def verdict(code):
    return {0: "passed", 77: "skipped", None: "out of time"}.get(code, f"failed ({code})")


def test_stage(session):
    def twice(program):
        code, output, seconds = session.run([program])
        digest = re.search(r"^digest: (\w+)$", output, re.M)
        entry = {"result": verdict(code), "seconds": seconds, "digest": digest.group(1) if digest else None}
        if code != 0:
            return {**entry, "output": output[-4000:]}
        again, second_output, _ = session.run([program])
        second = re.search(r"^digest: (\w+)$", second_output, re.M)
        if again != 0:
            entry["result"] = f"second run: {verdict(again)}"
        elif (second.group(1) if second else None) != entry["digest"]:
            entry["result"] = "failed: two runs left different bits"
        return entry

    def verify(dtype, bar, bundle, case):
        code, output, seconds = session.run([session.build / "stofm", "verify", "--weights", bundle, "--device", "cuda",
                                             "--dtype", dtype, *bar, case])
        return {"result": verdict(code), "seconds": seconds, "output": output[-2000:]}

    items = {program.name.removeprefix("test_gpu_"): lambda program=program: twice(program)
             for program in sorted(session.build.glob("tests/test_gpu_*"))}
    golden = pathlib.Path(os.environ.get("STOFM_GOLDEN") or "tests/golden")
    for folder in sorted(golden.glob("*/")) if (session.build / "stofm").exists() else []:
        bundle, case = folder / "bundle.safetensors", folder / "case.safetensors"
        if bundle.exists() and case.exists():
            for dtype, bar in (("float32", []), ("bfloat16", ["--tolerance", "2e-2"])):  # float32: each tensor's own
                items[f"verify {folder.name} {dtype}"] = (
                    lambda dtype=dtype, bar=bar, bundle=bundle, case=case: verify(dtype, bar, bundle, case))
    session.each("test", items)


def sanitize_stage(session):
    if not shutil.which("compute-sanitizer"):
        return session.not_run("sanitize", "compute-sanitizer is not installed")
    programs = sorted(session.build.glob("tests/test_gpu_*"))
    small = {**session.environment, "STOFM_GPU_SMALL": "1"}  # a test may shrink its sizes
    refused = threading.Event()

    def check(options, program):
        if refused.is_set():
            return {"result": "not run"}
        code, output, seconds = session.run(["compute-sanitizer", *options, "--error-exitcode", "99", program], env=small)
        if "Device not supported" in output:
            refused.set()
            return {"result": "not run"}
        summary = re.findall(r"========= (.*SUMMARY.*)", output)
        entry = {"result": verdict(code), "seconds": seconds, "summary": summary[-1] if summary else ""}
        return entry if code in (0, 77) else {**entry, "output": output[-4000:]}

    # One test takes far longer to start under a tool than to run, and a GPU serves several processes.
    session.each("sanitize", {f"{tool} {program.name.removeprefix('test_gpu_')}":
                              lambda options=options, program=program: check(options, program)
                              for tool, options in TOOLS.items() for program in programs},
                 jobs=int(os.environ.get("STOFM_GPU_SANITIZE_JOBS", "4")))
    if refused.is_set():
        session.report["sanitizer"].clear()
        session.not_run("sanitize", "compute-sanitizer says: Device not supported")


def benchmarks_of(path):
    """What Google Benchmark wrote, whole or cut off."""
    text = path.read_text() if path.exists() else ""
    for ending in ("", "]}"):
        try:
            return json.loads(text.rstrip().rstrip(",") + ending)["benchmarks"]
        except (ValueError, KeyError):
            continue
    return []


def bench_stage(session):
    def measure(program):
        out = session.build / f"{program.name}.json"
        out.unlink(missing_ok=True)
        code, output, seconds = session.run([program, f"--benchmark_out={out}", "--benchmark_out_format=json"])
        entry = {"result": verdict(code), "seconds": seconds, "figures": benchmarks_of(out), "print": "\n" + output[-6000:]}
        errors = [f"{figure['name']}: {figure.get('error_message', '')}" for figure in entry["figures"]
                  if figure.get("error_occurred")]
        if code == 0 and errors:
            entry["result"] = "failed: " + "; ".join(errors)
        elif code == 0 and not entry["figures"]:
            entry["result"] = "failed: no figures"
        return entry if code == 0 else {**entry, "output": output[-4000:]}

    def place(program):
        short = program.name.removesuffix("_gpu_bench")
        return (FIRST_BENCHMARKS.index(short) if short in FIRST_BENCHMARKS else len(FIRST_BENCHMARKS), short)

    session.each("bench", {program.name: lambda program=program: measure(program)
                           for program in sorted(session.build.glob("bench/*_gpu_bench"), key=place)})


def peers_stage(session):
    script = pathlib.Path(os.environ.get("STOFM_PEERS") or ".carry/peers") / "stofm_torch.py"
    python = os.environ.get("STOFM_PEER_PYTHON") or sys.executable
    if not script.exists():
        return session.not_run("peers", f"no {script} (STOFM_PEERS)")
    code, output, _ = session.run([python, "-c", "import torch; print(torch.cuda.get_device_name(0))"])
    if code != 0:
        return session.not_run("peers", f"{python} has no torch that sees a device: {output.strip()[-200:]} (STOFM_PEER_PYTHON)")

    def measure(options):
        code, output, seconds = session.run([python, script, "bench", "--nodes", 1050, "--device", "cuda", *options])
        entry = {"result": verdict(code), "seconds": seconds}
        try:
            entry.update(json.loads(output.strip().splitlines()[-1]))
        except (ValueError, IndexError):
            entry["output"] = output[-2000:]
            if code == 0:
                entry["result"] = "failed: no line of JSON"
        return entry

    session.each("peers", {name: lambda options=options: measure(options) for name, options in PEERS.items()})


CHECK_ROWS = """
import h5py, numpy, sys
rows = h5py.File(sys.argv[1])["obsm/X_stofm"]
assert rows.shape[0] == int(sys.argv[2]), rows.shape
for begin in range(0, len(rows), 100000):
    part = rows[begin:begin + 100000]
    assert numpy.isfinite(part).all() and part.any(axis=1).all(), f"rows from {begin}"
print(rows.shape)
"""


def million_stage(session):
    work = session.build / "million"
    work.mkdir(exist_ok=True)
    stofm, cells = session.build / "stofm", int(os.environ.get("STOFM_GPU_CELLS", "1000000"))
    small, large = pathlib.Path("tests/data/formats/csr_f32_gzip.h5ad"), work / f"cells_{cells}.h5ad"
    if not large.exists():
        code, output, seconds = session.run([sys.executable, "bench/pipeline/make_tiled_slice.py",
                                             "tests/data/osmfish_sscortex_6471.h5ad", large, cells])
        if code != 0:
            large.unlink(missing_ok=True)
            return session.not_run("million", f"the slice could not be made: {output.strip()[-300:]}")
        print(f"{output.strip()} ({seconds} s)")

    def train(verb, *options):
        shutil.rmtree(work / verb, ignore_errors=True)
        code, output, seconds = session.run([stofm, verb, small, "--config", "published", "--from-scratch", "--steps", "1",
                                             "--device", "cuda", "-o", work / verb, *options])
        return {"result": verdict(code), "seconds": seconds, "output": output[-2000:]}

    def embed(weights, dtype):
        out = work / "out.h5ad"
        command = [stofm, "embed", large, "-o", out, "--overwrite", "--device", "cuda", "--clustering", "kmeans",
                   "--dtype", dtype, "--weights", weights]
        code, output, seconds = session.run(command)
        entry = {"result": verdict(code), "seconds": seconds, "cells": cells, "command": " ".join(str(c) for c in command),
                 "output": output[-3000:], "print": "\n" + output[-3000:]}
        if code == 0:
            checked, words, _ = session.run([sys.executable, "-c", CHECK_ROWS, out, cells])
            if checked != 0:
                entry["result"] = "failed: " + words.strip()[-300:]
        return entry

    # Random weights of the published sizes, made by the two verbs that train, so these run on the device as well.
    made = work / "pretrain/model.safetensors"
    given = os.environ.get("STOFM_WEIGHTS")
    session.each("million", {
        "adapt, one step": lambda: train("adapt", "--batch", "32"),
        "pretrain, one step": lambda: train("pretrain", "--weights", work / "adapt/model.safetensors", "--validation", "0"),
        "published sizes bfloat16": lambda: embed(made, "bfloat16"),
        "published sizes float32": lambda: embed(made, "float32"),
        **({"given weights float32": lambda: embed(given, "float32")} if given else {}),
    })


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("stages", nargs="+", choices=("build", *STAGES))
    parser.add_argument("--continue", dest="go_on", action="store_true")
    parser.add_argument("--budget", type=float, default=0)
    a = parser.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    session = Session(a.build, a.folder, a.go_on, a.budget)
    session.save()
    work = {"test": test_stage, "bench": bench_stage, "peers": peers_stage, "million": million_stage, "sanitize": sanitize_stage}
    for stage in STAGES:
        if stage in a.stages:
            work[stage](session)
    session.save()
    outcomes = [entry["result"] for part in PARTS.values()
                for entry in session.report.get(part, {}).values() if isinstance(entry, dict)]
    passed, skipped, not_run = (outcomes.count(word) for word in ("passed", "skipped", "not run"))
    failed = len(outcomes) - passed - skipped - not_run
    print(targets.table(session.report["targets"]))
    print(f"{session.path}: {passed} passed, {failed} failed, {skipped} skipped, {not_run} not run; "
          f"{len(session.report.get('figures', {}))} figures")
    return 1 if failed or not passed else 3 if not_run else 0


if __name__ == "__main__":
    sys.exit(main())
