#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""C12, C13, C14: what compilers and flags the headers accept, and what they refuse with a reason.

Usage: compilers_test.py COMPILER INCLUDE_DIR [-- FLAG ...]
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

compiler, include = sys.argv[1], sys.argv[2]
flags = sys.argv[4:] if len(sys.argv) > 3 else []
PROGRAM = """#include <stofm/stofm.hpp>
int main() { return stofm::Tensor<float>::zeros({2, 2})(1, 1) == 0.0F ? 0 : 1; }
"""
KERNELS = PROGRAM.replace("stofm/stofm.hpp", "stofm/tensor.hpp")  # what macros of a build reach
failures = []


def compile_with(command, source, suffix=".cpp"):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / ("unit" + suffix)
        path.write_text(source)
        return subprocess.run([*command, f"-I{include}", str(path)], capture_output=True, text=True, cwd=folder)


def refused(row, option, word):
    result = compile_with([compiler, "-std=c++20", "-fsyntax-only", *flags, option], "#include <stofm/core/error.hpp>\n")
    if result.returncode == 0 or word not in result.stderr:
        failures.append(f"{row}: {option} is not refused with a word of {word!r}\n{result.stderr[:400]}")


def accepted(row, command, source=PROGRAM, suffix=".cpp"):
    result = compile_with(command, source, suffix)
    if result.returncode:
        failures.append(f"{row}: {' '.join(command)}\n{result.stderr[:1500]}")


refused("C12", "-ffast-math", "-ffast-math")
refused("C12", "-fno-exceptions", "-fno-exceptions")
base = ["-std=c++20", "-fsyntax-only", *flags]
accepted("C12", [compiler, *base, "-DNDEBUG"], KERNELS)
accepted("C12", [compiler, *base, "-march=native"], KERNELS)
accepted("C14", [compiler, *base, "-DEIGEN_MAX_ALIGN_BYTES=16"], KERNELS)
accepted("C14", [compiler, *base, "-DEIGEN_MAX_ALIGN_BYTES=64", "-DEIGEN_DONT_PARALLELIZE"], KERNELS)
other = "clang++" if "clang" not in compiler else "g++"
if shutil.which(other):
    accepted("C12", [other, *base, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"])
else:
    print(f"{other} is not installed: not tried")
if shutil.which("nvcc"):
    headers = sorted(path.relative_to(include).as_posix() for path in (pathlib.Path(include) / "stofm" / "core").glob("*.hpp"))
    source = "".join(f"#include <{name}>\n" for name in headers) + "int main() { return 0; }\n"
    accepted("C12", ["nvcc", "-std=c++20", "-x", "cu", "-c", "-o", "unit.o", "-arch=sm_80", "-Werror", "all-warnings"], source, ".cu")
else:
    print("nvcc is not installed: its host pass is not tried")
# C13: two translation units, headers in any order, one program (packaging.* link that too).
headers = sorted(path.relative_to(include).as_posix() for path in (pathlib.Path(include) / "stofm").rglob("*.hpp")
                 if "h5ad" not in path.name and "hdf5" not in path.name and "mpi" not in path.name
                 and path.parent.name != "import")
# Declared alone where stofm::compiled has the bodies: headers_alone compiles these, all headers in one unit among it.
accepted("C13", [compiler, *base, "-DSTOFM_COMPILED", "-DSTOFM_COMPILED_H5AD", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"],
         "".join(f"#include <{name}>\n" for name in reversed(headers)) + "int main() { return 0; }\n")
print("\n".join(failures) if failures else "every compiler and flag behaves as stated")
sys.exit(1 if failures else 0)
