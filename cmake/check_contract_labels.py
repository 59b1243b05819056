#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
r"""Docstrings are contracts with the same labels everywhere: *Shapes*, *Cost*, *Deterministic*, *Source*, \throws. Run by
CTest: structure.contract_labels.

    python3 cmake/check_contract_labels.py DIRECTORY...
"""
import pathlib
import re
import sys

OTHER_DIALECT = re.compile(r"///.*?(\*Throws\*|(?<![*\w])(?:Throws|Shapes|Cost|Deterministic|Source):(?!:))")
SUFFIXES = {".hpp", ".cuh", ".cu", ".inc"}


def main(directories):
    files = [path for root in directories for path in sorted(pathlib.Path(root).rglob("*")) if path.suffix in SUFFIXES]
    problems = [f"{path}:{number}: {match.group(1)}"
                for path in files for number, line in enumerate(path.read_text().splitlines(), 1)
                if (match := OTHER_DIALECT.search(line))]
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {len(problems)} labels of another dialect")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
