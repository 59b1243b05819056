#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the headers of a purpose may bring: with stofm::compiled, embed.hpp is declarations over light types, and cluster.hpp
and tensor.hpp know no other library either way. A heavy header of others costs every translation unit seconds.

Usage: light_headers_test.py COMPILER INCLUDE_DIR [-- FLAG ...]
"""
import re
import subprocess
import sys

compiler, include = sys.argv[1], sys.argv[2]
flags = sys.argv[4:] if len(sys.argv) > 3 else []
HEAVY = re.compile(r"(Eigen/\S+|nlohmann/\S+|hdf5\.h|H5\w+\.h|immintrin\.h)$")
COMPILED = ["-DSTOFM_COMPILED", "-DSTOFM_COMPILED_H5AD"]
failures = []


def heavy(header, options):
    """What a unit with this header alone reads of other libraries."""
    result = subprocess.run([compiler, "-std=c++20", *flags, *options, f"-I{include}", "-M", "-x", "c++", "-"],
                            input=f"#include <stofm/{header}>\n", text=True, capture_output=True)
    if result.returncode:
        failures.append(f"{header}: {result.stderr[:1000]}")
    return sorted({match.group(1) for name in result.stdout.split() if (match := HEAVY.search(name))})


for header, options in (("embed.hpp", COMPILED), ("cluster.hpp", []), ("cluster.hpp", COMPILED), ("tensor.hpp", []),
                        ("pipeline/load_model.hpp", []), ("io/read_h5ad.hpp", []), ("io/write_h5ad.hpp", [])):
    found = heavy(header, options)
    if found:
        failures.append(f"{header} {' '.join(options)} brings {', '.join(found[:5])}")
if not heavy("pipeline/embed.hpp", []):
    failures.append("pipeline/embed.hpp brings no Eigen: this test looks for the wrong names")
print("\n".join(failures) if failures else "light headers are light")
sys.exit(1 if failures else 0)
