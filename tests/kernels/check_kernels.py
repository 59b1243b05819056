#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rules of the kernel sources that a compiler doesn't check. Usage: check_kernels.py SOURCE_DIR

1. Every call of the CUDA runtime, of cuBLAS and of NCCL is inside STOFM_CUDA_CHECK, STOFM_CUBLAS_CHECK, STOFM_NCCL_CHECK
   or, in destructors, STOFM_CUDA_RELEASE, STOFM_NCCL_RELEASE; kernels are launched by launch() alone.
2. Barriers, shuffles, shared memory, inline assembly and atomics come from kernels/stofm/kernels/common/, so that the
   emulator can run every kernel. No floating-point atomics anywhere.
3. kernels/ includes neither Eigen nor JSON; include/ includes no CUDA header and asks for none.
4. A kernel header has at most 450 lines, an instantiation at most 80.
"""
import pathlib
import re
import sys

CALL = re.compile(r"\b(cuda|cublas|cublasLt|nccl)[A-Z]\w*\s*\(")
CHECKED = re.compile(r"\b(STOFM_(CUDA|CUBLAS)_CHECK\s*\(|STOFM_NCCL_CHECK\s*\([^;()]*,|STOFM_(CUDA|NCCL)_RELEASE\s*\()$")
NO_STATUS = {"cudaGetErrorName", "cudaGetErrorString", "cublasLtGetStatusString", "ncclGetErrorString", "ncclGetLastError"}
PRIMITIVE = re.compile(r"\b(__shfl\w*|__sync\w*|__ballot\w*|__shared__|__threadfence\w*|atomic[A-Z]\w*|asm)\b")
FORBIDDEN_INCLUDE = re.compile(r'#\s*include\s+[<"](Eigen|nlohmann)/')


def without_comments(text):
    """Comments and literals blanked, lines kept."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def problems_of(path, name):
    raw = path.read_text()
    text = without_comments(raw)
    lines = raw.count("\n")
    common = name.startswith("kernels/stofm/kernels/common/")
    limit = 80 if path.suffix == ".cu" else 450
    if lines > limit:
        yield f"{name}: {lines} lines, at most {limit}"
    if FORBIDDEN_INCLUDE.search(raw):
        yield f"{name}: kernels/ includes neither Eigen nor JSON"

    def at(position):
        return f"{name}:{text.count(chr(10), 0, position) + 1}"

    if not name.endswith("common/check.cuh"):
        for match in CALL.finditer(text):
            call = match.group().rstrip("( \n")
            if call in NO_STATUS or CHECKED.search(text[:match.start()].rstrip()):
                continue
            # the few places that handle the result themselves say so
            if re.search(r"// unchecked: ", raw.splitlines()[text.count("\n", 0, match.start())]):
                continue
            yield f"{at(match.start())}: {call} is not inside STOFM_CUDA_CHECK"
    if "<<<" in text and not name.endswith("common/launch.cuh"):
        yield f"{at(text.index('<<<'))}: kernels are launched by launch()"
    if not common:
        for match in PRIMITIVE.finditer(text):
            yield f"{at(match.start())}: {match.group()} belongs to common/"


def main(root):
    root = pathlib.Path(root)
    problems, count = [], 0
    for path in sorted((root / "kernels").rglob("*")):
        if path.suffix in (".cu", ".cuh", ".hpp"):
            count += 1
            problems += problems_of(path, path.relative_to(root).as_posix())
    for path in sorted((root / "include").rglob("*.hpp")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r'#\s*include\s+[<"](cuda|cublas|nccl)', line) or "STOFM_WITH_CUDA" in line:
                problems.append(f"{path.relative_to(root)}:{number}: include/ knows no CUDA")
    for problem in problems:
        print(problem)
    print(f"{count} kernel files, {len(problems)} problems")
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
