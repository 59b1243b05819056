#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of the fuzz targets to tests/fuzz/corpus/<target>/. Deterministic; run it again after a change here.

Files named crash-* in the corpus are findings that were kept; this script does not touch them.
"""
import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"


def put(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype, shape, begin, end, **extra):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **extra}


def safetensors_seeds():
    sizes = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8,
             "I64": 8, "F64": 8}
    for dtype, size in sizes.items():
        data = bytes(range(6 * size))
        yield "dtype_" + dtype, safetensors({"a.weight": tensor(dtype, [2, 3], 0, 6 * size)}, data)
    everything, at = {"__metadata__": {"format": "pt", "k\u00e9y": "v\n"}}, 0
    for dtype, size in sizes.items():
        everything[f"layer.{dtype}"] = tensor(dtype, [3], at, at + 3 * size)
        at += 3 * size
    yield "all_dtypes", safetensors(everything, bytes(at))
    yield "scalar_and_empty", safetensors({"s": tensor("F32", [], 0, 4), "e": tensor("F32", [0, 5], 4, 4)}, b"\0\0\x80\x3f")
    yield "rank_8", safetensors({"r": tensor("U8", [1] * 8, 0, 1)}, b"x")
    yield "trailing_blanks", safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   ', b"x")
    yield "extra_fields", safetensors({"a": tensor("U8", [1], 0, 1, more={"x": [1, {"y": None}]}, flag=True)}, b"x")
    yield "escaped_name", safetensors('{"a\\u0062\\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x")
    yield "inf_and_nan", safetensors({"h": tensor("F16", [4], 0, 8)}, b"\0\x7c\0\xfc\1\x7e\1\0")
    one = '{"a":{"dtype":%s,"shape":%s,"data_offsets":%s}}'
    bad = {
        "no_header": b"", "short": b"\1\0\0", "zero_length": bytes(8), "huge_length": b"\xff" * 8 + b"{}",
        "longer_than_file": safetensors("{}", length=100), "empty_object": safetensors("{}"), "array": safetensors("[]"),
        "not_json": safetensors("hello"), "bom": safetensors(b"\xef\xbb\xbf{}"), "utf16": safetensors("{}".encode("utf-16")),
        "blank_before": safetensors(" {}"), "nul_behind": safetensors("{}\0"), "deep": safetensors('{"a":' + "[" * 80),
        "offsets_reversed": safetensors(one % ('"U8"', "[4]", "[4,0]"), b"abcd"),
        "offsets_negative": safetensors(one % ('"U8"', "[4]", "[-1,3]"), b"abcd"),
        "offsets_three": safetensors(one % ('"U8"', "[4]", "[0,4,8]"), b"abcd"),
        "offsets_float": safetensors(one % ('"U8"', "[4]", "[0.0,4e0]"), b"abcd"),
        "offsets_huge": safetensors(one % ('"U8"', "[4]", "[0,18446744073709551615]"), b"abcd"),
        "shape_overflow": safetensors(one % ('"F64"', "[1099511627776,4194304]", "[0,4]"), b"abcd"),
        "shape_zero_and_huge": safetensors(one % ('"U8"', "[0,9223372036854775808]", "[0,0]")),
        "shape_mismatch": safetensors(one % ('"F32"', "[4]", "[0,4]"), b"abcd"),
        "rank_9": safetensors(one % ('"U8"', "[1,1,1,1,1,1,1,1,1]", "[0,1]"), b"a"),
        "dtype_lower": safetensors(one % ('"f32"', "[1]", "[0,4]"), b"abcd"),
        "dtype_fp8": safetensors(one % ('"F8_E4M3"', "[4]", "[0,4]"), b"abcd"),
        "dtype_missing": safetensors('{"a":{"shape":[1],"data_offsets":[0,1]}}', b"a"),
        "key_twice": safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"I8","shape":[1],'
                                 '"data_offsets":[0,1]}}', b"a"),
        "overlap": safetensors({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, b"abc"),
        "hole": safetensors({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, b"abc"),
        "trailing": safetensors({"a": tensor("U8", [1], 0, 1)}, b"aPK\x05\x06" + bytes(18)),
        "cut": safetensors({"a": tensor("U8", [9], 0, 9)}, b"abc"),
        "metadata_number": safetensors({"__metadata__": {"k": 1}, "a": tensor("U8", [1], 0, 1)}, b"a"),
        "metadata_nested": safetensors({"__metadata__": {"k": {}}, "a": tensor("U8", [1], 0, 1)}, b"a"),
        "metadata_only": safetensors({"__metadata__": {"k": "v"}}),
        "name_empty": safetensors({"": tensor("U8", [1], 0, 1)}, b"a"),
        "name_control": safetensors({"a\x07": tensor("U8", [1], 0, 1)}, b"a"),
        "name_surrogate": safetensors('{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
        "name_path": safetensors({"../../etc/x": tensor("U8", [1], 0, 1)}, b"a"),
        "odd_offset": safetensors({"a": tensor("U8", [3], 0, 3), "d": tensor("F64", [1], 3, 11)}, bytes(11)),
    }
    yield from bad.items()


def npy(text, data=b"", version=(1, 0), length=None):
    pad = -(10 + (2 if version[0] > 1 else 0) + len(text) + 1) % 64
    body = text.encode() + b" " * pad + b"\n"
    size = len(body) if length is None else length
    return b"\x93NUMPY" + bytes(version) + struct.pack("<I" if version[0] > 1 else "<H", size) + body + data


def npy_seeds():
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }"
    for kind, size in [("|b1", 1), ("|u1", 1), ("<i2", 2), ("<f2", 2), (">f4", 4), ("<f4", 4), ("<f8", 8), ("<u8", 8)]:
        yield "type_" + kind.strip("<>|") + str(ord(kind[0])), npy(text % (kind, False, (2, 3)), bytes(range(6 * size)))
    yield "fortran", npy(text % ("<f4", True, (2, 2)), bytes(16))
    yield "scalar", npy(text % ("<f8", False, ()), bytes(8))
    yield "one", npy(text % ("<f8", False, "(1,)"), bytes(8))
    yield "empty", npy(text % ("<f8", False, "(0, 7)"))
    yield "version2", npy(text % ("<f4", False, "(1,)"), bytes(4), (2, 0))
    yield "version3", npy(text % ("<f4", False, "(1,)"), bytes(4), (3, 0))
    yield "double_quotes", npy('{"shape":(1,),"fortran_order":False,"descr":"=f4"}', bytes(4))
    yield "version9", npy(text % ("<f4", False, "(1,)"), bytes(4), (9, 0))
    yield "object", npy(text % ("|O", False, "(1,)"), b"\x80\x04.")
    yield "structured", npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}", bytes(4))
    yield "negative", npy(text % ("<f4", False, "(-1,)"))
    yield "overflow", npy(text % ("<f8", False, "(1099511627776, 1099511627776)"))
    yield "rank_9", npy(text % ("<f4", False, (1,) * 9), bytes(4))
    yield "header_longer", npy(text % ("<f4", False, "(1,)"), length=60000)
    yield "header_huge", b"\x93NUMPY\x02\0\xff\xff\xff\xff"
    yield "short", npy(text % ("<f4", False, "(2,)"), b"abc")
    yield "trailing", npy(text % ("<f4", False, "(1,)"), b"abcdefgh")
    yield "npz", b"PK\x03\x04"
    yield "nothing", b""
    for index, bad in enumerate(["{", "{}", "[]", "{'descr'}", "{'descr': '<f4',}", "{'shape': (1 2)}", "{'shape': (,)}"]):
        yield f"syntax_{index}", npy(bad)


def csv_seeds():
    cases = ["", "a", "a\n", "cell,spatial_1,spatial_2\na,1,2\nb,-3.5,1e3\n", "a,b\r\n1,2\r\n", "\ufeffa,b\n1,2\n", "a,b\n1\n",
             '"a,b","c ""d"""\n"two\nlines",x\n', '"open', 'a"b', '"a"b', "a\rb", "a\n\n\n", "a\n\nb", "a,b\n,\n", ",,,", '""', '""\n""\n',
             "a\tb\n", "n\u00e4me,\u2603\n1,2\n", "i,v\n1,nan\n2,inf\n3,+1e400\n4, 5 \n5,0x1\n", "\n\n"]
    for index, case in enumerate(cases):
        yield f"case_{index:02d}", case.encode()
    yield "nul", b"a,b\n1,\0\n"
    yield "latin1", b"a,b\n1,\xe9\n"
    yield "utf16", "a,b\n".encode("utf-16")
    yield "gzip", b"\x1f\x8b\x08"
    yield "zip", b"PK\x03\x04"


def json_seeds():
    config = {"num_hidden_layers": 4, "hidden_size": 256, "dropout": 0.1, "names": ["a", "b\u00e9\n"], "flag": True, "none": None,
              "nested": {"x": {"y": [[], {}, [1, -2, 3.5e-7]]}}}
    yield "config", json.dumps(config, indent=1).encode()
    cases = ["[]", "{}", "0", "-0", "-1.5e+10", "1e400", "1e-400", "18446744073709551615", "18446744073709551616",
             "-9223372036854775809", "true", "nul", "NaN", '"\\u00e9\\ud83d\\ude00\\n\\/"', '"\\ud800"', '"\\u0000"', '{"a":1,"a":2}',
             '{"a":1,"\\u0061":2}', "[1,]", "[1 2]", '{"a"}', "[1]x", '"\t"', "01", "1.", ".5", "[" * 70, '{"a":' * 70,
             " [ 1 , 2 ] ", '["\u20ac"]']
    for index, case in enumerate(cases):
        yield f"case_{index:02d}", case.encode()
    yield "bom", b"\xef\xbb\xbf{}"
    yield "utf16", "{}".encode("utf-16")
    yield "utf16be", "{}".encode("utf-16-be")
    yield "invalid_utf8", b'["\xff"]'
    yield "overlong", b'["\xc0\x80"]'
    yield "surrogate_bytes", b'["\xed\xa0\x80"]'


for target, seeds in [("safetensors", safetensors_seeds()), ("npy", npy_seeds()), ("csv", csv_seeds()), ("json", json_seeds())]:
    for seed_name, seed in seeds:
        put(target, seed_name, seed)
