# SPDX-License-Identifier: MIT
"""safetensors: a strict reader (the rules of include/stofm/io/safetensors.hpp) and a writer with stable bytes."""

import json
import struct

import numpy as np

from .errors import ConvertError, quoted
from .json_text import parse_json
from .torch_file import NUMPY, Weight

MAX_HEADER = 16 << 20
MAX_TENSORS = 65_536
ITEM = {name: np.dtype(kind).itemsize for name, kind in NUMPY.items()}
AGAIN = "Download or save the file again."


def read_safetensors(source):
    """({name: Weight}, metadata). Ranges must tile the data exactly; nothing is read from a declared size unchecked."""
    def fail(where, found, expected, remedy=AGAIN):
        return ConvertError(3640, source.path, where, found, expected, remedy)

    if source.size < 8:
        raise fail("header", "a file of %d bytes" % source.size, "an 8-byte header length", "Truncated? " + AGAIN)
    length = struct.unpack("<Q", source.read(0, 8))[0]
    if length > MAX_HEADER:
        raise fail("header length", str(length), "at most %d" % MAX_HEADER, "Is this a safetensors file? " + AGAIN)
    if length == 0 or length > source.size - 8:
        raise fail("header length", str(length), "1 to the %d bytes that follow" % (source.size - 8), "Truncated? " + AGAIN)
    raw = source.read(8, length)
    if raw[:1] != b"{":
        raise fail("header", quoted(raw[:1]), "an opening brace as its first byte")
    header = parse_json(raw, source.path, 3640)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise fail("__metadata__", "values that are not strings", "strings")
    if len(header) > MAX_TENSORS:
        raise fail("header", "%d tensors" % len(header), "at most %d" % MAX_TENSORS)
    if not header:
        raise fail("header", "no weights", "at least one tensor")
    data, ranges, weights = source.size - 8 - length, [], {}
    for name, entry in header.items():
        where = "tensor " + quoted(name)
        if not name or len(name.encode("utf-8", "surrogatepass")) > 512 or not name.isprintable():
            raise fail(where, "a name that is empty, long or not printable", "a plain name")
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise fail(where, "another set of fields", "dtype, shape, data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in ITEM:
            raise fail(where, "dtype " + quoted(str(dtype)), "one of " + ", ".join(ITEM), "Convert to F32, F16 or BF16.")
        is_count = lambda v: type(v) is int and 0 <= v < 1 << 62
        if not isinstance(shape, list) or len(shape) > 8 or not all(map(is_count, shape)):
            raise fail(where, "shape " + quoted(str(shape)), "at most 8 counts")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(is_count, offsets)):
            raise fail(where, "data_offsets " + quoted(str(offsets)), "two counts")
        begin, end = offsets
        count, span = 1, ITEM[dtype]
        for d in shape:
            count, span = count * d, span * max(d, 1)
        if span >= 1 << 62:     # a zero must not hide an absurd other size
            raise fail(where, "shape %s" % shape, "sizes whose product is below 2^62")
        if begin > end or end > data:
            raise fail(where, "bytes %d to %d" % (begin, end), "a range within the %d bytes of data" % data, "Truncated? " + AGAIN)
        if count * ITEM[dtype] != end - begin:
            raise fail(where, "%d bytes" % (end - begin), "%d for %s %s" % (count * ITEM[dtype], dtype, shape))
        ranges.append((begin, end, name))
        weights[name] = Weight(dtype, shape, lambda b=begin, e=end, k=dtype, s=tuple(shape): np.frombuffer(
            source.read(8 + length + b, e - b), NUMPY[k]).reshape(s) if e > b else np.zeros(s, NUMPY[k]))
    at = 0
    for begin, end, name in sorted(ranges):
        if begin != at:
            raise fail("tensor " + quoted(name), "begin %d" % begin, "%d: ranges %s" % (at, "overlap" if begin < at else "leave a hole"))
        at = end
    if at != data:
        raise fail("data", "%d bytes" % data, "%d as the tensors say" % at)
    return weights, metadata


def header_bytes(tensors, metadata):
    """`tensors`: [(name, dtype, shape, bytes)] in the order of the data. Keys are sorted, blanks pad to a multiple of 8,
    as include/stofm/io/safetensors_writer.hpp does it."""
    entries, at = {}, 0
    for name, dtype, shape, content in tensors:
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(content)]}
        at += len(content)
    header = {"__metadata__": dict(sorted(metadata.items())), **dict(sorted(entries.items()))}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    return struct.pack("<Q", len(text) + -len(text) % 8) + text + b" " * (-len(text) % 8)
