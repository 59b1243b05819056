#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The C++ block of README.md is the marked part of examples/01_embed_slice.cpp, every C++ block of docs/cpp.md a marked
part of an example or of a consumer of tests/packaging/; every file, folder and heading that README.md, the pages beside it
and those of docs/ name exists, and every option of the program too; the index has every page of docs/.

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
parts = [textwrap.dedent(part).strip()
         for folder in ("examples", "tests/packaging/consumer") for path in (root / folder).glob("*.cpp")
         for _, part in re.findall(r"// \[([\w ]+)\]\n(.*?)\n *// \[\1\]", path.read_text(), re.S)]
snippets = [block.strip() for block in re.findall(r"```cpp\n(.*?)```", (root / "docs" / "cpp.md").read_text(), re.S)]
for block in snippets:
    if block not in parts:
        failures.append(f"cpp.md: no example has the block that begins with {block.splitlines()[0]!r}")
if len(snippets) < 6:
    failures.append(f"cpp.md: {len(snippets)} blocks of C++, one for each header of a purpose is expected")


def headings(page):
    """Names that links to a page may end in, as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in page.read_text().splitlines() if line.startswith("#")}


options = set(re.findall(r"--[a-z][a-z-]+", "".join(path.read_text() for path in (root / "examples" / "stofm").rglob("*.cpp"))))
for page in [*(root / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted((root / "docs").glob("*.md"))]:
    text = page.read_text()
    for path in re.findall(r"`((?:include|kernels|examples|bench|tests|weights_tools|cmake|docs)/[\w./-]*)`", text):
        if not (root / path).exists():
            failures.append(f"{page.name}: {path} does not exist")
    for path, heading in re.findall(r"\]\(([\w./-]*)#?([\w-]*)\)", text):
        target = page.parent / path if path else page
        if not target.exists():
            failures.append(f"{page.name}: link to {path}, which does not exist")
        elif heading and heading not in headings(target):
            failures.append(f"{page.name}: link to #{heading}, which is no heading of {target.name}")
    for line in re.findall(r"`((?:build/)?stofm [a-z][a-z-]* [^`]*)`|`(--[a-z][^`]*)`", text):
        for option in re.findall(r"--[a-z][a-z-]+", "".join(line)):
            if option not in options:
                failures.append(f"{page.name}: the program has no {option}")
index = (root / "docs" / "README.md").read_text()
failures += [f"docs/README.md does not link to {page.name}" for page in sorted((root / "docs").glob("*.md"))
             if page.name != "README.md" and f"]({page.name})" not in index]
print("\n".join(failures) if failures else "README.md and docs/ agree with the tree")
sys.exit(1 if failures else 0)
