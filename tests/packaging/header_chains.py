# SPDX-License-Identifier: MIT
"""Which headers can be tried alone in one translation unit.

A header that stands behind others sees what they include. That hides nothing if it includes all of it itself: then
compiling A, B, C in this order shows the same as compiling each of them alone, at the cost of the last. Headers that
include something after their first code are always tried alone.
"""
import re

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+[<"]([^>"]+)[>"]', re.M)
CODE = re.compile(r"^(namespace|template|inline|struct|class|enum|using)\b", re.M)


def reach(read, names):
    """name -> the names that including it brings, itself among them; `read(name)`: its text, or None if it is not ours."""
    known = {}

    def of(name):
        if name not in known:
            known[name] = {name}  # ends a circle
            text = read(name)
            for other in INCLUDE.findall(text or ""):
                known[name] |= of(other)
        return known[name]

    return {name: frozenset(of(name)) for name in names}


def chains(reached, alone=frozenset()):
    """Lists of names, each name in one list and each within the reach of the next; those of `alone` begin a list."""
    result = []
    for name in sorted(reached, key=lambda name: (len(reached[name]), name)):
        fitting = [chain for chain in result if reached[chain[-1]] <= reached[name]]
        if fitting and name not in alone:
            max(fitting, key=lambda chain: len(reached[chain[-1]])).append(name)
        else:
            result.append([name])
    return result


def source(chain):
    """A translation unit that includes each header of a chain twice."""
    return "".join(f"#include <{name}>\n#include <{name}>\n" for name in chain) + "int main() {}\n"


def check(headers, read, compiles, pool):
    """Tries all headers. \\return [(name, message)] of those that do not compile alone"""
    def failures(chain):
        result = compiles(source(chain))
        if result.returncode == 0:
            return []
        if len(chain) == 1:
            return [(chain[0], result.stderr)]
        return [failure for name in chain for failure in failures([name])]

    late = {name for name in headers if (code := CODE.search(read(name))) and INCLUDE.search(read(name), code.start())}
    longest_first = sorted(chains(reach(read, headers), late), key=len, reverse=True)
    return [failure for found in pool.map(failures, longest_first) for failure in found]
