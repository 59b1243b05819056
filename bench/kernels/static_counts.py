#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts what the compiled CUDA kernels are made of, without a device, and writes one JSON.

    python3 bench/kernels/static_counts.py --objects build/CMakeFiles/stofm_kernels.dir/kernels -o counts.json
    python3 bench/kernels/static_counts.py --objects ... --bounds bench/kernels/static_bounds.json

--objects: object files or cubins of nvcc, or folders of them. For each kernel and architecture: registers, spilled
bytes (stack frame), static shared memory, SASS instructions, tensor core instructions (HMMA), and each loop that holds
some of these: its own instructions, those of loops within it left out. Instructions in a loop are what is there, not what
a turn executes: branches skip some.

--bounds: a JSON list of {kernel, architecture, what, most}; `kernel` is a piece of the demangled name, `what` one of
registers, stack, main_loop, inner_loop. More than `most`, or no such kernel, ends with exit code 1.

Needs cuobjdump of the CUDA Toolkit on the PATH (or --cuobjdump) and c++filt; exit code 77 without them.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

INSTRUCTION = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(.*?);")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def demangled(names):
    out = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return dict(zip(names, out.split("\n")))


def functions_of(sass):
    """(architecture, mangled name, [(address, text)]) of every kernel of a `cuobjdump -sass`."""
    architecture, name, lines = "", None, []
    for line in sass.split("\n"):
        if found := re.search(r"code for (sm_\w+)", line):
            architecture_next = found[1]
        elif found := re.search(r"Function : (\S+)", line):
            if name:
                yield architecture, name, lines
            architecture, name, lines = architecture_next, found[1], []
        elif name and (found := INSTRUCTION.match(line)):
            lines.append((int(found[1], 16), found[2]))
    if name:
        yield architecture, name, lines


def is_hmma(text):
    return re.search(r"\b[HI]MMA\b|\b[HI]MMA\.|WGMMA|HGMMA", text) is not None


def successors_of(lines):
    """For each instruction the numbers of those that may follow it."""
    number = {address: i for i, (address, _) in enumerate(lines)}
    meets = {}  # barrier register to where its threads meet, as the last BSSY above says
    after = []
    for i, (_, text) in enumerate(lines):
        guarded = text.startswith("@") and not text.startswith("@PT")
        operation = re.sub(r"^@\S+\s+", "", text)
        follows = [i + 1] if i + 1 < len(lines) else []
        if found := re.match(r"BSSY\S*\s+(B\d+)\s*,\s*(0x[0-9a-f]+)", operation):
            meets[found[1]] = number.get(int(found[2], 16), i + 1)
        elif found := re.match(r"BSYNC\S*\s+(B\d+)", operation):
            follows = ([meets[found[1]]] if found[1] in meets else []) + (follows if guarded else [])
        elif operation.startswith("BRA"):
            target = number.get(int(re.findall(r"0x[0-9a-f]+", operation)[-1], 16))
            guarded = guarded or re.search(r"[ ,]!?U?P\d", operation) is not None
            follows = ([] if target is None else [target]) + (follows if guarded else [])
        elif operation.startswith(("EXIT", "RET")) and not guarded:
            follows = []
        after.append(follows)
    return after


def loops_in(lines):
    """Natural loops: number of the head to the set of its instructions (dominators by Cooper, Harvey, Kennedy 2001)."""
    after = successors_of(lines)
    order, state, stack = [], {0: 1}, [(0, iter(after[0]))]
    while stack:
        node, rest = stack[-1]
        following = next((n for n in rest if n not in state), None)
        if following is None:
            order.append(node)
            stack.pop()
        else:
            state[following] = 1
            stack.append((following, iter(after[following])))
    place = {node: i for i, node in enumerate(order)}
    before = {node: [] for node in order}
    for node in order:
        for n in after[node]:
            before[n].append(node)
    dominator, changed = {0: 0}, True
    while changed:
        changed = False
        for node in reversed(order[:-1]):
            known = [n for n in before[node] if n in dominator]
            best = known[0]
            for n in known[1:]:
                while best != n:
                    while place[best] < place[n]:
                        best = dominator[best]
                    while place[n] < place[best]:
                        n = dominator[n]
            if dominator.get(node) != best:
                dominator[node], changed = best, True

    def dominates(a, b):
        while place[b] < place[a]:
            b = dominator[b]
        return a == b

    loops = {}
    for node in order:
        for head in after[node]:
            if dominates(head, node):
                body, pending = loops.setdefault(head, {head}), [node]
                while pending:
                    n = pending.pop()
                    if n not in body:
                        body.add(n)
                        pending += before[n]
    return loops


def loops_of(lines):
    """Loops that hold HMMA, outermost first, each with its own instructions: those of loops within it left out."""
    every = loops_in(lines)
    counted = []
    for body in sorted(every.values(), key=len, reverse=True):
        if not any(is_hmma(lines[i][1]) for i in body):
            continue
        own = body.difference(*(other for other in every.values() if other < body))
        counted.append({"depth": sum(body < other for other in every.values()), "instructions": len(own),
                        "hmma": sum(is_hmma(lines[i][1]) for i in own)})
    return counted


def resources_of(text):
    """Mangled name to registers, stack, shared of a `cuobjdump --dump-resource-usage`, by architecture."""
    found = {}
    architecture = name = ""
    for line in text.split("\n"):
        if match := re.search(r"code for (sm_\w+)|arch = (sm_\w+)|\.target\s+(sm_\w+)", line):
            architecture = next(filter(None, match.groups()))
        elif match := re.search(r"Function (\S+):", line):
            name = match[1]
        elif match := re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)", line):
            found[architecture, name] = dict(zip(("registers", "stack", "static_shared"), map(int, match.groups())))
    return found


def counts_of(path, cuobjdump):
    kernels = []
    resources = resources_of(run(cuobjdump, "--dump-resource-usage", str(path)))
    only = {name: v for (_, name), v in resources.items()} if len({a for a, _ in resources}) < 2 else {}
    for architecture, name, lines in functions_of(run(cuobjdump, "-sass", str(path))):
        code = [(a, t) for a, t in lines if "NOP" not in t]
        loops = loops_of(code)
        kernels.append({"kernel": name, "architecture": architecture,
                        **(resources.get((architecture, name)) or only.get(name) or {}),
                        "instructions": len(code), "hmma": sum(is_hmma(t) for _, t in code), "loops": loops})
    return kernels


def value_of(kernel, what):
    if what in ("registers", "stack"):
        return kernel.get(what)
    of_depth = [loop["instructions"] for loop in kernel["loops"] if loop["depth"] == (what == "inner_loop")]
    return max(of_depth, default=None)


def check(kernels, bounds):
    """Lines about what is broken; empty if all is within the bounds."""
    wrong = []
    for bound in bounds:
        fitting = [k for k in kernels if bound["kernel"] in k["kernel"] and k["architecture"] == bound["architecture"]]
        said = f'{bound["kernel"]} on {bound["architecture"]}: {bound["what"]}'
        if not fitting:
            wrong.append(f"{said}: no such kernel among the {len(kernels)} counted")
        for kernel in fitting:
            value = value_of(kernel, bound["what"])
            if value is None or value > bound["most"]:
                wrong.append(f'{said} {value}, at most {bound["most"]} ({kernel["kernel"]})')
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", nargs="+", required=True, type=pathlib.Path)
    parser.add_argument("--only", default="", help="file names that contain this")
    parser.add_argument("--bounds", type=pathlib.Path)
    parser.add_argument("--cuobjdump", default="cuobjdump")
    parser.add_argument("-o", "--output", type=pathlib.Path)
    options = parser.parse_args()
    for tool in (options.cuobjdump, "nvdisasm", "c++filt"):
        if not shutil.which(tool):
            print(f"static_counts: skipped, {tool} is not on the PATH (CUDA Toolkit, binutils)")
            return 77
    files = [f for given in options.objects
             for f in (sorted(p for p in given.rglob("*") if p.suffix in (".o", ".cubin")) if given.is_dir() else [given])
             if options.only in f.name]
    if not files:
        print(f"static_counts: no object file in {' '.join(map(str, options.objects))}", file=sys.stderr)
        return 2
    kernels = [kernel for file in files for kernel in counts_of(file, options.cuobjdump)]
    names = demangled([k["kernel"] for k in kernels])
    for kernel in kernels:
        kernel["kernel"] = re.sub(r"\b(void |stofm::|kernels::|backend::)", "", names[kernel["kernel"]])
    if options.output:
        text = ",\n".join("  " + json.dumps(kernel) for kernel in sorted(kernels, key=lambda k: (k["kernel"], k["architecture"])))
        options.output.write_text(f"[\n{text}\n]\n")
    wrong = check(kernels, json.loads(options.bounds.read_text())) if options.bounds else []
    for line in wrong:
        print(line)
    spilled = sum(k.get("stack", 0) > 0 for k in kernels)
    print(f"static_counts: {len(kernels)} kernels of {len(files)} files, {spilled} with a stack frame, {len(wrong)} out of bounds")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
