# SPDX-License-Identifier: MIT
"""Which headers can be tried alone in one translation unit.

A header that stands behind others sees what they include. That hides nothing if it includes all of it itself: then
compiling A, B, C in this order shows the same as compiling each of them alone, at the cost of the last. Headers that
include something after their first code are always tried alone.
"""
import re

BODIES = re.compile(r"^#if STOFM_(H5AD_)?BODIES\b", re.M)
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


def source_with_bodies(name, read):
    """A translation unit of a header that stofm::compiled has bodies of: its own are compiled, and those of what it includes,
    which are tried by themselves, only declared. Nothing is seen that the header does not include."""
    own = [other for other in INCLUDE.findall(read(name)) if read(other) is not None]
    return ("".join(f"#include <{other}>\n" for other in own) + "#undef STOFM_BODIES\n#define STOFM_BODIES 1\n" +
            f"#include <{name}>\n#include <{name}>\nint main() {{}}\n")


def base_of(chain, reached, bases):
    """Of `bases`, the one that brings most and nothing that the first header of the chain does not bring itself; or None.
    Having it compiled before hides nothing then."""
    fitting = [base for base in bases if base not in chain and reached[base] <= reached[chain[0]]]
    return max(fitting, key=lambda base: len(reached[base]), default=None)


def check(headers, read, compiles, pool, bases=()):
    """Tries all headers by compiles(source, base), `base` one of `bases`, which are compiled before, or None.
    \\return [(name, message)] of those that do not compile alone"""
    reached = reach(read, headers)
    bodies = [name for name in headers if BODIES.search(read(name))]

    def failures(chain):
        result = compiles(source_with_bodies(chain[0], read) if chain[0] in bodies else source(chain),
                          base_of(chain, reached, bases))
        if result.returncode == 0:
            return []
        if len(chain) == 1:
            return [(chain[0], result.stderr)]
        return [failure for name in chain for failure in failures([name])]

    late = {name for name in headers if (code := CODE.search(read(name))) and INCLUDE.search(read(name), code.start())}
    rest = {name: reached[name] for name in headers if name not in bodies}
    longest_first = sorted(chains(rest, late), key=len, reverse=True)
    tried = [[name] for name in bodies] + longest_first
    return [failure for found in pool.map(failures, tried) for failure in found]
