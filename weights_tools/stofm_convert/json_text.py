# SPDX-License-Identifier: MIT
"""Strict JSON: no duplicate keys, no NaN, bounded size and depth."""

import json
import math
import re

from .errors import USAGE, ConvertError, quoted
from .source import read_whole

MAX_JSON = 16 << 20
MAX_DEPTH = 64
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)    # a whole string, or one bracket


def parse_json(raw, file, code=3650, kind=None):
    """The object in `raw` (bytes). \\throws ConvertError"""
    options = {} if kind is None else {"kind": kind}

    def fail(where, found, expected):
        return ConvertError(code, file, where, found, expected, "Mend the JSON text.", **options)

    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise fail("byte %d" % e.start, "invalid UTF-8", "UTF-8 text") from None
    depth = 0
    for token in TOKENS.finditer(raw):
        bracket = token.group()[:1]
        depth += (bracket in b"[{") - (bracket in b"]}")
        if depth > MAX_DEPTH:
            raise fail("byte %d" % token.start(), "nesting deeper than %d" % MAX_DEPTH, "less depth")

    def pairs(items):
        result = dict(items)
        if len(result) != len(items):
            seen = set()
            twice = next(k for k, _ in items if k in seen or seen.add(k))
            raise fail("/" + quoted(twice)[1:-1], "the key twice", "unique keys")
        return result

    def number(literal):
        value = float(literal)
        if not math.isfinite(value):
            raise fail("", "the number " + quoted(literal, 40), "one that a double holds")
        return value

    def constant(word):
        raise fail("", quoted(word), "a JSON value")

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_float=number, parse_constant=constant)
    except ConvertError:
        raise
    except (ValueError, RecursionError) as e:
        position = getattr(e, "pos", None)
        where = "byte %d" % len(text[:position].encode()) if position is not None else ""
        raise fail(where, getattr(e, "msg", "an unreadable number"), "JSON") from None
    if not isinstance(value, dict):
        raise fail("", "a %s" % type(value).__name__, "a JSON object")
    return value


def read_json(path):
    return parse_json(read_whole(path, MAX_JSON, "a JSON file"), str(path), 3650, USAGE)
