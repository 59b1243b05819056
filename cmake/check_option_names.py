#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Messages of the library name fields of its options structs ("H5adReadOptions::layer"), never the flags of a program
that has some; the program turns each into its flag. Run by CTest: structure.option_names.

    python3 cmake/check_option_names.py REPOSITORY
"""
import pathlib
import re
import sys

LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"')
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
FIELD = re.compile(r"\b([A-Z]\w*Options)::(\w+)")
STRUCT = re.compile(r"^struct (\w+Options) \{(.*?)^\};", re.S | re.M)
# Chosen by no flag of the program.
WITHOUT_FLAG = {"LogisticRegressionOptions::c", "PairAttentionOptions::gradients"}
# Lines that are typed: what `stofm import` and the converter of weights are given.
COMMANDS = {"--positions CELLS.csv", "Convert the weights with --mouse-to-human mouse_to_human.tsv."}


def literals(text):
    """The string literals of C++ code, without its comments."""
    kept = re.sub(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*', lambda m: "" if m.group(0).startswith("//") else m.group(0), text)
    return [match.group(0)[1:-1] for match in LITERAL.finditer(kept)]


def fields(headers):
    """The names that are declared in each options struct: what stands before ;, = or {."""
    found = {}
    for text in headers.values():
        for name, body in STRUCT.findall(text):
            body = re.sub(r"///?[^\n]*", "", body)
            found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:;|,|=|\{)", body))
    return found


def main(root):
    headers = {path.relative_to(root).as_posix(): path.read_text() for path in sorted((root / "include").rglob("*.hpp"))}
    declared, problems, named = fields(headers), [], set()
    for name, text in headers.items():
        for literal in literals(text):
            if literal not in COMMANDS:
                problems += [f"{name}: names the flag {flag}: \"{literal}\"" for flag in FLAG.findall(literal)]
            for struct, field in FIELD.findall(literal):
                named.add(f"{struct}::{field}")
                if field not in declared.get(struct, ()):
                    problems.append(f"{name}: {struct} has no {field}: \"{literal}\"")
    table = (root / "examples/stofm/option_flags.cpp").read_text()
    flags = {f"{struct}::{field}" for struct, field in FIELD.findall("\n".join(literals(table)))}
    problems += [f"option_flags.cpp: no flag for {field}, which a message names" for field in sorted(named - flags - WITHOUT_FLAG)]
    problems += [f"option_flags.cpp: no message names {field}" for field in sorted(flags - named)]
    for problem in problems:
        print(problem)
    print(f"{len(named)} fields named in messages, {len(problems)} problems")
    return 1 if problems or not named else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
