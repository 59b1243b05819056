#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""C13, C14: every header compiles alone, included twice, without a warning; and all of them once more with macros about as
windows.h, complex.h and termios.h define them (after what they take from elsewhere was included).

Usage: check_headers.py COMPILER INCLUDE_DIR [-- FLAG ...]
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys

import header_chains

TRAPS = """
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define small char
#define I _Complex_I
#define ERROR 0
#define ECHO 010
"""
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
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        alone = header_chains.check(names, lambda name: (include / name).read_text() if name.startswith("stofm/") else None,
                                    compiles, pool)
    for name, message in alone:
        print(f"{name}: does not compile alone\n{message[:1500]}")
    failed = len(alone)
    others = dict.fromkeys(other for header in headers for other in elsewhere(header, set()))
    result = compiles("".join(f"#if __has_include(<{other}>)\n#include <{other}>\n#endif\n" for other in others) +
                      "#if defined(__x86_64__)\n#include <immintrin.h>\n#endif\n" + TRAPS +
                      "".join(f"#include <{name}>\n" for name in names) + "int main() {}\n")
    if result.returncode:
        failed += 1
        print(f"with macros of other headers about:\n{result.stderr[:3000]}")
    print(f"{len(headers)} headers, {failed} failed")
    return 1 if failed or not headers else 0


sys.exit(main())
