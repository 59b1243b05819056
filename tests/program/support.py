# SPDX-License-Identifier: MIT
"""What the tests of the program share: run it, read and write safetensors with the standard library alone."""
import functools
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("STOFM_PROGRAM", str(SOURCE / "build" / "stofm"))
SLICE = SOURCE / "tests" / "data" / "osmfish_sscortex_6471.h5ad"
GOLDEN = SOURCE / "tests" / "golden"
ZOO = SOURCE / "tests" / "data" / "formats"
SKIPPED = 77


def demo_bundle():
    """The bundle beside the program, or None."""
    path = Path(PROGRAM).parent / "share" / "stofm" / "demo.safetensors"
    return path if path.exists() else None


def has_hdf5():
    text = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False).stdout
    return "HDF5" in text and "not built in" not in text.split("HDF5")[1].splitlines()[0]


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


@functools.cache
def options_of(verb):
    """Long options of a verb, or None if the program has no such verb."""
    done = subprocess.run([PROGRAM, verb, "--help"], capture_output=True, text=True, check=False)
    return frozenset(OPTION.findall(done.stdout)) if done.returncode == 0 else None


def compile_library(case, source):
    """A C file as a library to preload; without a compiler, or with a sanitizer, the test is skipped."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or os.environ.get("STOFM_SANITIZED"):
        case.skipTest("needs a C compiler and a program without sanitizers")
    library = case.dir / (Path(source).stem + ".so")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"], check=True)
    return library


class Case(unittest.TestCase):
    """A test with a directory of its own, where the program runs."""

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="stofm-program-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def run_program(self, *arguments, env=None, **options):
        environment = {**os.environ, **(env or {})}
        return subprocess.run([PROGRAM, *map(str, arguments)], cwd=options.pop("cwd", self.dir), env=environment,
                              capture_output=True, text=True, errors="replace", timeout=240, check=False, **options)

    def ok(self, *arguments, **options):
        done = self.run_program(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr[-2000:]}")
        return done

    def refused(self, code, *arguments, words=(), **options):
        """One line `stofm: error: ...` with every word, this exit code, and no file more than before."""
        before = self.files()
        done = self.run_program(*arguments, **options)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr[-2000:]}")
        lines = [line for line in done.stderr.splitlines() if line.startswith("stofm: error: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertEqual(self.files(), before)
        known = options_of(str(arguments[0])) if arguments else None
        if known and "STOFM-200" not in lines[0] and "convert" not in lines[0]:
            given = set(OPTION.findall(" ".join(map(str, arguments))))
            self.assertEqual(set(OPTION.findall(lines[0])) - known - given, set(), lines[0])
        return lines[0]

    def files(self):
        return {str(path.relative_to(self.dir)): path.stat().st_size for path in self.dir.rglob("*") if path.is_file()}


class EmbedCase(Case):
    """A test that embeds: needs HDF5 and the demo bundle. `self.slice`: a copy of a slice of 60 cells."""

    def setUp(self):
        if not has_hdf5() or demo_bundle() is None:
            self.skipTest("built without HDF5 or without the demo bundle")
        super().setUp()
        self.slice = self.copy("csr_f32_gzip.h5ad", "slice.h5ad")

    def copy(self, name, to=None):
        target = self.dir / (to or name)
        shutil.copyfile(ZOO / name, target)
        return target


def read_npy(path):
    """(shape, bytes) of a .npy file."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<H", data, 8)
    header = data[10:10 + length].decode()
    shape = header.split("'shape': (")[1].split(")")[0]
    return tuple(int(size) for size in shape.split(",") if size.strip()), data[10 + length:]


WIDTHS = {"F64": ("d", 8), "F32": ("f", 4), "I64": ("q", 8), "I32": ("i", 4), "U8": ("B", 1)}


def read_safetensors(path):
    """name -> (shape, tuple of numbers) of the dtypes used here."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__" or info["dtype"] not in WIDTHS:
            continue
        code, width = WIDTHS[info["dtype"]]
        count = math.prod(info["shape"])
        begin = 8 + length + info["data_offsets"][0]
        tensors[name] = (info["shape"], struct.unpack_from(f"<{count}{code}", data, begin))
    return tensors


def write_safetensors(path, tensors, metadata=None):
    """tensors: name -> (dtype, shape, numbers)."""
    header, body = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, numbers) in tensors.items():
        code, _ = WIDTHS[dtype]
        piece = struct.pack(f"<{len(numbers)}{code}", *numbers)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(body), len(body) + len(piece)]}
        body += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def main():
    """Runs the tests of the calling file; all skipped: exit code 77."""
    if not os.access(PROGRAM, os.X_OK):
        print(f"no program at {PROGRAM}")
        sys.exit(SKIPPED)
    result = unittest.main(exit=False).result
    if result.testsRun and len(result.skipped) == result.testsRun:
        sys.exit(SKIPPED)
    sys.exit(not result.wasSuccessful())
