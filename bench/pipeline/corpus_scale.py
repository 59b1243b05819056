#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a corpus of full size costs a process of `stofm pretrain` before and while it trains: memory, and seconds to the
first step. The corpus is simulated: a manifest of N slices of M cells, each with an entry in the cache that is a copy of
one prepared slice under its own key, its cell features zeros that take no room on the disk. All sizes are the real ones.

Usage: corpus_scale.py WORK_DIR TEMPLATE.h5ad [--slices N] [--cells N] [--stofm PROGRAM] [--steps N] [--ranks N]
       [--max-memory SIZE]

Needs numpy and h5py (bench/pipeline/make_tiled_slice.py). Prints one JSON object.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TRAINING = ["--features", "linear", "--from-scratch", "--config", "tiny", "--batch", "2", "--seed", "0"]


def sha256(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def bundle_tables(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    texts = []
    for name in ("genes/table", "genes/mouse_to_human"):
        begin, end = header[name]["data_offsets"]
        texts.append(data[8 + length + begin:8 + length + end])
    return sha256(texts[0] + b"\n" + texts[1])


def cache_key(file_hash, table_hash):
    """As train::slice_key with linear features and the default options of `pretrain`."""
    features = sha256(f"linear gene features 1\n{table_hash}\n256 {bits(1e4)} 1 0")
    options = (f"prepared slice 2; tokens 0 of 0; genes 0 0 1 0; clusters 0 0 {bits(0.2)} {bits(1.0)} 0; pieces 1000 0")
    reader = 'h5ad "" 0 "" "" "" "" "" "" 0 0'
    return sha256(f"{file_hash}\n{features}\n{options}\n{reader}")


def read_entry(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8:8 + length]), data[8 + length:]


class Entry:
    """A prepared slice whose features are zeros; written again under other keys."""

    def __init__(self, path):
        self.header, body = read_entry(path)
        begin, end = self.header["features"]["data_offsets"]
        self.zeros = (begin, end)
        self.body = body[:begin] + bytes(end - begin) + body[end:]
        self.order = sorted(name for name in self.header if name != "__metadata__")
        self.summary = json.loads(self.header["__metadata__"]["summary"])

    def write(self, path, key, name):
        summary = json.dumps({**self.summary, "key": key, "name": name}, separators=(",", ":"), sort_keys=True)
        digest = hashlib.sha256(summary.encode())
        for tensor in self.order:
            info = self.header[tensor]
            begin, end = info["data_offsets"]
            shape = ", ".join(map(str, info["shape"]))
            digest.update(f"\n{tensor} {info['dtype']} [{shape}]\n".encode())
            digest.update(memoryview(self.body)[begin:end])
        header = {**self.header, "__metadata__": {"format": self.header["__metadata__"]["format"], "summary": summary,
                                                  "summary_sha256": sha256(summary), "digest": digest.hexdigest()}}
        text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
        text += b" " * (-len(text) % 8)
        begin, end = self.zeros
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + self.body[:begin])
            file.seek(end - begin, os.SEEK_CUR)  # a hole
            file.write(self.body[end:])
            file.truncate(8 + len(text) + len(self.body))


def processor_seconds(pid):
    """Of the process and those it has started, mpirun's ranks."""
    ticks, of = {}, {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # has ended
        of[int(folder.name)], ticks[int(folder.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    family = {pid}
    while True:
        more = {child for child, parent in of.items() if parent in family} - family
        if not more:
            return sum(ticks.get(one, 0) for one in family) / os.sysconf("SC_CLK_TCK")
        family |= more


def measured(command, log):
    """Runs a training and tells when it was ready to begin and when its first step was done: in seconds, and in seconds of
    processor time, which other programs on the machine do not change; and the largest resident size of a process in bytes."""
    begin = time.monotonic()
    found = {}
    with open(log.parent.parent / "stderr.txt", "w") as words:
        process = subprocess.Popen(command, stderr=words)
    while True:
        text = log.read_text() if log.exists() else ""
        for name, mark in (("ready", '"event":"start"'), ("first_step", '"event":"step"')):
            if name not in found and mark in text:
                found[name] = {"seconds": round(time.monotonic() - begin, 2), "processor_seconds": processor_seconds(process.pid)}
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(0.02)
    if status:
        sys.exit(f"{command}: status {status}\n" + (log.parent.parent / "stderr.txt").read_text()[-2000:])
    found["end"] = {"seconds": round(time.monotonic() - begin, 2), "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2)}
    return {**found, "resident_bytes": usage.ru_maxrss * 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("template")
    parser.add_argument("--slices", type=int, default=2000)
    parser.add_argument("--cells", type=int, default=44000)
    parser.add_argument("--stofm", type=pathlib.Path, default=HERE.parents[1] / "build" / "stofm")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--max-memory", default="1200M")
    parser.add_argument("--ranks", type=int, default=1, help="processes of the run, by mpirun")
    parser.add_argument("--validation", choices=["0", ""], default="0", help="'': 64 pieces are watched before the first step")
    args = parser.parse_args()
    work, program = args.work, str(args.stofm)
    work.mkdir(parents=True, exist_ok=True)
    tiled = work / "tiled.h5ad"
    if not tiled.exists():
        subprocess.run([sys.executable, HERE / "make_tiled_slice.py", args.template, tiled, str(args.cells)], check=True)
    shutil.rmtree(work / "one", ignore_errors=True)
    subprocess.run([program, "corpus", "build", tiled, "-o", work / "one", "-q"], check=True)
    line = json.loads((work / "one" / "manifest.jsonl").read_text())
    shutil.rmtree(work / "run-one", ignore_errors=True)
    subprocess.run([program, "pretrain", tiled, "-o", work / "run-one", "--cache", work / "cache-one", "--validation", "0",
                    "--steps", "1", "-q", *TRAINING], check=True)
    tables = bundle_tables(args.stofm.parent / "share" / "stofm" / "demo.safetensors")
    template = work / "cache-one" / (cache_key(line["sha256"], tables) + ".safetensors")
    if not template.exists():
        sys.exit(f"cache_key() of this script is out of date: no {template.name} in {list((work / 'cache-one').iterdir())}")
    entry = Entry(template)
    corpus, slices, cache = work / "corpus", work / "slices", work / "cache"
    for folder in (corpus, slices, cache):
        folder.mkdir(exist_ok=True)
    lines = []
    for i in range(args.slices):
        name = f"slice{i:05d}"
        stub = slices / f"{name}.h5ad"
        if not stub.exists():
            stub.write_bytes(b"stub")
        is_now = stub.stat()
        digest = sha256(name)
        path = cache / (cache_key(digest, tables) + ".safetensors")
        if not path.exists():
            entry.write(path, path.stem, name)
        split = "validation" if i % 20 == 0 else "test" if i % 20 == 1 else "train"
        lines.append({**line, "file": f"../slices/{name}.h5ad", "sha256": digest, "bytes": is_now.st_size,
                      "modified_ns": is_now.st_mtime_ns, "donors": [f"donor{i}"], "split": split})
    (corpus / "manifest.jsonl").write_text("".join(json.dumps(each, separators=(",", ":")) + "\n" for each in lines))
    run = work / "run"
    shutil.rmtree(run, ignore_errors=True)
    mpirun = ["mpirun", "--oversubscribe", "-n", str(args.ranks)] if args.ranks > 1 else []
    found = measured([*mpirun, program, "pretrain", str(corpus), "-o", str(run), "--cache", str(cache), "--steps", str(args.steps),
                      "--max-memory", args.max_memory, "--checkpoint-every", "1000000", "--validation", args.validation,
                      *TRAINING], run / "log.jsonl")
    print(json.dumps({"slices": args.slices, "cells": args.slices * line["cells"], "steps": args.steps, "ranks": args.ranks,
                      "max_memory": args.max_memory, **found}))


if __name__ == "__main__":
    main()
