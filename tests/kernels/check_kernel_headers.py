#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every header under kernels/ compiles alone, included twice, without a warning: with a host compiler and the kernel
emulator, which takes a second a header where nvcc takes four. Headers that need cuBLAS are left to the kernel library,
which compiles them with nvcc. CMake's own check of header sets skips CUDA headers without a word.

Usage: check_kernel_headers.py COMPILER SOURCE_DIR [-- FLAG ...]
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "packaging"))
import header_chains  # noqa: E402

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-Wno-unknown-pragmas"]


def main():
    compiler, root = sys.argv[1], pathlib.Path(sys.argv[2])
    flags = sys.argv[4:] if len(sys.argv) > 3 else []
    kernels = root / "kernels"
    headers = sorted(p for p in (kernels / "stofm").rglob("*") if p.suffix in (".cuh", ".hpp"))
    options = ["-std=c++20", *WARNINGS, *flags, f"-I{root}", f"-I{root / 'include'}", f"-I{kernels}"]
    needs_cublas = {h for h in headers if re.search(r'^\s*#\s*include\s+<cublas', h.read_text(), re.M)}

    with tempfile.TemporaryDirectory() as work:
        # What every one of them starts with, compiled once.
        prefix = pathlib.Path(work) / "prefix.hpp"
        prefix.write_text('#include "tests/kernels/support/emulator.hpp"\n#include "stofm/core/tensor.hpp"\n'
                          '#include "tests/kernels/support/emulated_nccl.hpp"\n')
        subprocess.run([compiler, *options, "-x", "c++-header", str(prefix), "-o", str(prefix) + ".gch"], check=True)
        start = ["-include-pch", str(prefix) + ".gch"] if "clang" in compiler else ["-include", str(prefix)]

        def read(name):
            """Of the kernels and of what they build on; what is compiled once brings nothing new."""
            for folder in (kernels, root / "include"):
                if (folder / name).is_file():
                    return (folder / name).read_text()
            return None

        def compiles(source, _):
            return subprocess.run([compiler, *options, *start, "-fsyntax-only", "-x", "c++", "-"], text=True, input=source,
                                  capture_output=True)

        names = [h.relative_to(kernels).as_posix() for h in headers if h not in needs_cublas]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            alone = header_chains.check(names, read, compiles, pool)
        for name, message in alone:
            print(f"{name}: does not compile alone\n{message[:1500]}")
        failed = len(alone)
    left = ", ".join(sorted(h.relative_to(kernels).as_posix() for h in needs_cublas)) or "none"
    print(f"{len(headers)} kernel headers, {failed} failed; left to nvcc, for cuBLAS: {left}")
    return 1 if failed or not headers else 0


sys.exit(main())
