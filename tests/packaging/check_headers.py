#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""C13, C14: every header compiles alone, included twice, without a warning; and all of them once more with macros about as
windows.h, complex.h and termios.h define them (after what they take from elsewhere was included).

Usage: check_headers.py COMPILER INCLUDE_DIR [-- FLAG ...]
"""
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import header_chains

TRAPS = """
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define small char
#define I _Complex_I
#define ERROR 0
#define ECHO 010
"""
BASES = ["stofm/core/tensor.hpp", "stofm/io/json.hpp", "stofm/io/slice.hpp", "stofm/io/hdf5_object.hpp", "stofm/io/h5ad_open.hpp",
         "stofm/ops/linear.hpp", "stofm/autograd/tape.hpp", "stofm/model/se2_encoder.hpp", "stofm/model/se2_training.hpp",
         "stofm/pipeline/model.hpp", "stofm/pipeline/embed.hpp", "stofm/train/prepared_slice.hpp", "stofm/train/training_loop.hpp",
         "stofm/tasks/classifier.hpp", "stofm/tasks/slice_features.hpp", "stofm/tasks/fine_tune_run.hpp"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


def main():
    compiler, include = sys.argv[1], pathlib.Path(sys.argv[2])
    flags = sys.argv[4:] if len(sys.argv) > 3 else []
    headers = sorted(include.rglob("*.hpp"))

    def compiles(source):
        return subprocess.run([compiler, "-std=c++20", "-fsyntax-only", *WARNINGS, *flags, f"-I{include}", "-x", "c++", "-"],
                              input=source, text=True, capture_output=True)

    if compiles("#include <mpi.h>\n").returncode:
        headers = [header for header in headers if "#include <mpi.h>" not in header.read_text()]
        print("mpi.h is not installed: the headers over it are not tried")

    def elsewhere(header, seen):
        """What a header and the headers of ours behind it include from others."""
        found = []
        for name in re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', header.read_text(), re.M):
            if name.startswith("stofm/"):
                if name not in seen:
                    seen.add(name)
                    found += elsewhere(include / name, seen)
            elif "intrin.h" not in name and not name.startswith("asm/"):
                found.append(name)
        return found

    names = [header.relative_to(include).as_posix() for header in headers]
    others = dict.fromkeys(other for header in headers for other in elsewhere(header, set()))
    everything = ("".join(f"#if __has_include(<{other}>)\n#include <{other}>\n#endif\n" for other in others) +
                  "#include <iomanip>\n"  # std::quoted: ours must be called by its full name, or it loses
                  "#if defined(__x86_64__)\n#include <immintrin.h>\n#endif\n" + TRAPS +
                  "".join(f"#include <{name}>\n" for name in names) + "int main() {}\n")
    # clang compiles what many headers start with once, its templates among it; other compilers take minutes more.
    trying = shutil.which("clang++") or compiler
    declared = ["-std=c++20", *WARNINGS, *flags, f"-I{include}", "-DSTOFM_COMPILED", "-DSTOFM_COMPILED_H5AD"]
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(2) as pool:
        def before(name):
            target = pathlib.Path(work) / (name.replace("/", ".") + ".pch")
            made = subprocess.run([trying, *declared, "-fpch-instantiate-templates", "-x", "c++-header", str(include / name),
                                   "-o", str(target)], capture_output=True)
            return name, target if made.returncode == 0 else None

        together = pool.submit(compiles, everything)  # takes longest
        made = dict(pool.map(before, BASES)) if "clang" in trying else {}
        made = {name: target for name, target in made.items() if target}

        def alone_compiles(source, base):  # what stofm::compiled has: where header_chains asks for it, and once more below
            start = ["-include-pch", str(made[base])] if base else []
            return subprocess.run([trying, *declared, *start, "-fsyntax-only", "-x", "c++", "-"], input=source, text=True,
                                  capture_output=True)

        alone = header_chains.check(names, lambda name: (include / name).read_text() if name.startswith("stofm/") else None,
                                    alone_compiles, pool, list(made))
        result = together.result()
    for name, message in alone:
        print(f"{name}: does not compile alone\n{message[:1500]}")
    failed = len(alone)
    if result.returncode:
        failed += 1
        print(f"with macros of other headers about:\n{result.stderr[:3000]}")
    print(f"{len(headers)} headers, {failed} failed")
    return 1 if failed or not headers else 0


sys.exit(main())
