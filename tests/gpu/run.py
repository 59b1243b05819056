#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs what tests/gpu/run.sh built and writes gpu.json. Usage: run.py BUILD_DIR REPORT_DIR STAGE ...

Hooks for programs that are run: a test or benchmark may append lines of JSON, {"name": ..., "value": ..., "unit": ...}, to
the file named by STOFM_GPU_FIGURES; they come into the report as `figures`. A test that prints a line "digest: <hex>"
(tests/gpu/support/main.cpp does, of all it fetched from the device) must print the same in its second run. Exit code 77
means skipped, and is never counted as passed.
"""
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

TOOLS = {
    "memcheck": ["--tool", "memcheck", "--leak-check", "full"],
    "racecheck": ["--tool", "racecheck", "--racecheck-report", "all"],
    "initcheck": ["--tool", "initcheck", "--track-unused-memory"],
    "synccheck": ["--tool", "synccheck"],
}
TIMEOUT = float(os.environ.get("STOFM_GPU_TIMEOUT", "300"))


def run(command, **more):
    """Exit code (None: ran out of time), output, seconds."""
    started = time.monotonic()
    try:
        done = subprocess.run([str(c) for c in command], text=True, errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=more.pop("timeout", TIMEOUT), **more)
        return done.returncode, done.stdout, round(time.monotonic() - started, 2)
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        return None, output.decode(errors="replace") if isinstance(output, bytes) else output, TIMEOUT


def first_line(command):
    try:
        return subprocess.run(command, text=True, capture_output=True, timeout=60).stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return ""


def about():
    carried = pathlib.Path(".carry/commit")
    commit = first_line(["git", "rev-parse", "HEAD"]) or (carried.read_text().strip() if carried.exists() else "")
    fields = "name,driver_version,memory.total,compute_cap"
    values = first_line(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]).split(", ")
    nvcc = subprocess.run(["nvcc", "--version"], text=True, capture_output=True).stdout if shutil.which("nvcc") else ""
    release = re.search(r"release ([\d.]+)", nvcc)
    return {**dict(zip(fields.split(","), values)), "nvcc": release.group(1) if release else "", "commit": commit,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count()}


def verdict(code):
    return {0: "passed", 77: "skipped", None: "out of time"}.get(code, f"failed ({code})")


def test_stage(build, environment, report):
    results = report["tests"] = {}
    for program in sorted(build.glob("tests/test_gpu_*")):
        name = program.name.removeprefix("test_gpu_")
        code, output, seconds = run([program], env=environment)
        digest = re.search(r"^digest: (\w+)$", output, re.M)
        entry = {"result": verdict(code), "seconds": seconds, "digest": digest.group(1) if digest else None}
        if code == 0:
            again, second_output, _ = run([program], env=environment)
            second = re.search(r"^digest: (\w+)$", second_output, re.M)
            if again != 0:
                entry["result"] = f"second run: {verdict(again)}"
            elif (second.group(1) if second else None) != entry["digest"]:
                entry["result"] = "failed: two runs left different bits"
        else:
            entry["output"] = output[-4000:]
        results[name] = entry
        print(f"test {name}: {entry['result']}, {seconds} s", flush=True)
    program = build / "stofm"
    golden = pathlib.Path(os.environ.get("STOFM_GOLDEN") or "tests/golden")
    for case in sorted(golden.glob("*/")) if program.exists() else []:
        bundle, recorded = case / "bundle.safetensors", case / "case.safetensors"
        if bundle.exists() and recorded.exists():
            for dtype, bar in (("float32", []), ("bfloat16", ["--tolerance", "2e-2"])):  # float32: each tensor's own
                code, output, seconds = run([program, "verify", "--weights", bundle, "--device", "cuda", "--dtype", dtype,
                                             *bar, recorded], env=environment)
                results[f"verify {case.name} {dtype}"] = {"result": verdict(code), "seconds": seconds, "output": output[-2000:]}
                print(f"verify {case.name} {dtype}: {verdict(code)}", flush=True)


def sanitize_stage(build, environment, report):
    results = report["sanitizer"] = {}
    if not shutil.which("compute-sanitizer"):
        print("sanitize: not run, compute-sanitizer is not installed")
        results["not run"] = "compute-sanitizer is not installed"
        return
    small = {**environment, "STOFM_GPU_SMALL": "1"}  # a test may shrink its sizes
    for tool, options in TOOLS.items():
        for program in sorted(build.glob("tests/test_gpu_*")):
            name = f"{tool} {program.name.removeprefix('test_gpu_')}"
            code, output, seconds = run(["compute-sanitizer", *options, "--error-exitcode", "99", program], env=small)
            if "Device not supported" in output:
                results["not run"] = "compute-sanitizer says: Device not supported"
                print("sanitize: not run, the device is not supported by compute-sanitizer")
                return
            summary = re.findall(r"========= (.*SUMMARY.*)", output)
            results[name] = {"result": verdict(code), "seconds": seconds, "summary": summary[-1] if summary else ""}
            if code not in (0, 77):
                results[name]["output"] = output[-4000:]
            print(f"{name}: {verdict(code)}, {seconds} s", flush=True)


def bench_stage(build, environment, report):
    results = report["benchmarks"] = {}
    for program in sorted(build.glob("bench/*_gpu_bench")):
        out = build / "report_bench.json"
        out.unlink(missing_ok=True)
        code, output, seconds = run([program, f"--benchmark_out={out}", "--benchmark_out_format=json"], env=environment)
        entry = {"result": verdict(code), "seconds": seconds}
        if out.exists() and out.stat().st_size:
            entry["figures"] = json.loads(out.read_text())["benchmarks"]
        if code != 0:
            entry["output"] = output[-4000:]
        results[program.name] = entry
        print(f"bench {program.name}: {verdict(code)}, {seconds} s\n{output[-6000:]}", flush=True)


def main():
    build, folder, stages = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    path, figures = folder / "gpu.json", build / "figures.jsonl"
    kept = build / "gpu.json"  # of earlier calls; the report folder may be emptied between them
    report = json.loads(kept.read_text()) if kept.exists() else {}
    about_now = about()
    if report.get("about", {}).get("commit") != about_now["commit"]:
        report = {}
    report["about"] = about_now
    figures.unlink(missing_ok=True)
    environment = {**os.environ, "STOFM_GPU_FIGURES": str(figures.resolve())}
    for stage, work in (("test", test_stage), ("sanitize", sanitize_stage), ("bench", bench_stage)):
        if stage in stages:
            work(build, environment, report)
        if figures.exists():
            known = report.setdefault("figures", {})
            for line in figures.read_text().splitlines():
                figure = json.loads(line)
                known[figure.pop("name")] = figure
        text = json.dumps(report, indent=1) + "\n"  # after every stage: a call may be cut off
        path.write_text(text)
        kept.write_text(text)
    outcomes = [entry["result"] for part in ("tests", "sanitizer", "benchmarks")
                for entry in report.get(part, {}).values() if isinstance(entry, dict)]
    passed, skipped = outcomes.count("passed"), outcomes.count("skipped")
    failed = len(outcomes) - passed - skipped
    print(f"{path}: {passed} passed, {failed} failed, {skipped} skipped; {len(report.get('figures', {}))} figures")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
