#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The C++ block of README.md is the marked part of examples/01_embed_slice.cpp; every file and folder it names exists.

Usage: readme_test.py SOURCE_DIR
"""
import pathlib
import re
import sys
import textwrap

root = pathlib.Path(sys.argv[1])
readme = (root / "README.md").read_text()
failures = []
example = (root / "examples" / "01_embed_slice.cpp").read_text()
marked = re.search(r"// \[embed a slice\]\n(.*?)\s*// \[embed a slice\]", example, re.S)
wanted = textwrap.dedent(marked.group(1)).strip()
blocks = [block.strip() for block in re.findall(r"```cpp\n(.*?)```", readme, re.S)]
if wanted not in blocks:
    failures.append("the C++ block differs from examples/01_embed_slice.cpp")
for path in re.findall(r"`((?:include|kernels|examples|bench|tests|weights_tools|cmake)/[\w./-]*)`", readme):
    if not (root / path).exists():
        failures.append(f"{path} does not exist")
for path in re.findall(r"\]\(([\w./-]+)\)", readme):
    if not (root / path).exists():
        failures.append(f"link to {path}, which does not exist")
print("\n".join(failures) if failures else "README.md agrees with the tree")
sys.exit(1 if failures else 0)
