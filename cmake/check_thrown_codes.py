#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
r"""What a docstring says after \throws is what is thrown: every code there is one that the code has, and the class before it is
the class that it is thrown as. Run by CTest: structure.thrown_codes.

    python3 cmake/check_thrown_codes.py DIRECTORY...
"""
import collections
import pathlib
import re
import sys

SUFFIXES = {".hpp", ".cuh", ".cu", ".cpp"}
CLASSES = "(?:Shape|Value|Usage|File|Data|Resource|Device)Error"
THROWN = re.compile(rf'({CLASSES})\(\s*\{{\s*"STOFM-(\d{{4}})"')
CODE = re.compile(r'"STOFM-(\d{4})"')
# \throws up to the next label; then classes and codes as they stand: "DataError (STOFM-4755), 4701; ShapeError 4713"
SAID = re.compile(r"\\throws(.*?)(?=\*[A-Z]\w+\*|\\(?:param|return|p\b|tparam)|$)", re.S)
WORD = re.compile(rf"({CLASSES})|(?<![<>=] )\b(?:STOFM-)?([1-6]\d{{3}})\b(?! (?:bytes|cells|genes|nodes|rows|points))|(;)")


def docstrings(text):
    """(number of the first line, text) of each run of lines that begin with ///."""
    number, lines = 0, []
    for at, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip().startswith("///"):
            number = number or at
            lines.append(line.strip()[3:])
        elif lines:
            yield number, "\n".join(lines)
            number, lines = 0, []


def main(directories):
    files = [path for root in directories for path in sorted(pathlib.Path(root).rglob("*")) if path.suffix in SUFFIXES]
    texts = {path: path.read_text() for path in files}
    known, classes = set(), collections.defaultdict(set)
    for text in texts.values():
        known.update(CODE.findall(text))
        for name, code in THROWN.findall(text):
            classes[code].add(name)
    problems, said = [], 0
    for path, text in texts.items():
        for number, words in docstrings(text):
            for block in SAID.findall(words):
                name = None
                for word in WORD.finditer(block):
                    if word[3] or word[1]:
                        name = word[1]
                        continue
                    said += 1
                    if word[2] not in known:
                        problems.append(f"{path}:{number}: STOFM-{word[2]} is thrown nowhere")
                    elif name and classes[word[2]] and name not in classes[word[2]]:
                        problems.append(f"{path}:{number}: STOFM-{word[2]} is thrown as {', '.join(sorted(classes[word[2]]))}, "
                                        f"not {name}")
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {said} codes after \\throws, {len(problems)} problems")
    return 1 if problems or not said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
