# SPDX-License-Identifier: MIT
"""Rows P01 to P15 and P24 to P27: hostile pickles in .pth files. Each refusal names the file, the place and the remedy."""

import pathlib
import struct
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from hostile import ONE, HostileCase, ScratchFiles  # noqa: E402  (sets the paths for the next)
from builders import (MARK, NO_HOOKS, PROTO, archive, glob, integer, state, storage, tensor, text, torch_file,  # noqa: E402
                      tup)
from stofm_convert import genes, model_weights, pickle_machine  # noqa: E402
from stofm_convert.errors import ConvertError, Notices  # noqa: E402
from stofm_convert.source import BytesSource  # noqa: E402
from stofm_convert.torch_file import read_torch  # noqa: E402


class Pickles(HostileCase):
    def test_P01_other_globals_are_refused_by_name(self):
        self.assertEqual(len(pickle_machine.GLOBALS), 13)
        for module, name in (("os", "system"), ("builtins", "eval"), ("functools", "partial"), ("_codecs", "encode"),
                             ("torch", "load"), ("collections", "defaultdict"), ("torch.nn.modules.linear", "Linear"),
                             ("posix\x1b[31m", "system"), ("torch._utils", "_rebuild_tensor")):
            pickle = PROTO + glob(module, name) + tup(text("touch /tmp/owned")) + b"R."
            e = self.refuse_pickle(pickle, 3620, "13", "nothing was run", "data.pkl at pickle offset 2")
            self.assertIn(name, str(e))
        # A storage class is a name of the list, but not a function.
        self.refuse_pickle(PROTO + glob("torch", "FloatStorage") + b")R.", 3625, "REDUCE")

    def test_P02_other_opcodes_and_protocols_are_refused(self):
        for opcode, name in ((b"\x93", "STACK_GLOBAL"), (b"ios\nsystem\n", "INST"), (b"o", "OBJ"), (b"\x82\1", "EXT1"),
                             (b"\x83\1\0", "EXT2"), (b"\x84\1\0\0\0", "EXT4"), (b"\x81", "NEWOBJ"), (b"\x92", "NEWOBJ_EX"),
                             (b"\x95" + bytes(8), "FRAME"), (b"\x94", "MEMOIZE"), (b"0", "POP"), (b"2", "DUP"),
                             (b"I1\n", "INT"), (b"Pabc\n", "PERSID"), (b"\x8f", "EMPTY_SET"), (b"\xff", "0xff"),
                             (b"C\1a", "SHORT_BINBYTES"), (b"\x8b" + bytes(4), "LONG4")):
            self.refuse_pickle(PROTO + b"}" + opcode + b".", 3627, name, "pickle offset 3")
        for protocol in (0, 1, 3, 4, 5, 255):
            self.refuse_pickle(b"\x80" + bytes([protocol]) + b"}.", 3627, "pickle protocol %d" % protocol)
        self.refuse_pickle(b"}.", 3627, "PROTO as the first")
        self.refuse_pickle(PROTO + PROTO + b"}.", 3627, "PROTO")
        # BUILD: torch's _metadata on an OrderedDict and nothing else.
        build = lambda key, target=NO_HOOKS: PROTO + target + b"}" + text(key) + b"}sb."
        self.refuse_pickle(build("__class__"), 3627, "BUILD")
        self.refuse_pickle(build("_metadata", b"}"), 3627, "BUILD")
        self.refuse_pickle(build("_metadata"), 3634, "no weights")
        self.assertEqual(list(self.accept(archive(state(
            {"w": tensor(storage(6), (2, 3), (3, 1))}, b"}" + text("_metadata") + NO_HOOKS + b"sb."), {"0": ONE.tobytes()}))), ["w"])

    def test_P03_every_prefix_of_a_pickle_is_refused(self):
        pickle = state({"w": tensor(storage(6), (2, 3), (3, 1)), "v": tensor(storage(6), (6,), (1,))})
        self.assertEqual(len(self.accept(archive(pickle, {"0": ONE.tobytes()}))), 2)
        for cut in range(len(pickle)):
            with self.assertRaises(ConvertError) as caught:
                read_torch(BytesSource(archive(pickle[:cut], {"0": ONE.tobytes()})))
            self.assertIn("truncated at byte %d" % cut, str(caught.exception))

    def test_P04_every_opcode_on_an_empty_stack(self):
        for opcode in (b"R", b"Q", b"b", b"s", b"u", b"a", b"e", b"t", b"\x85", b"\x86", b"\x87", b"q\0", b"r" + bytes(4), b"."):
            e = self.refuse_pickle(PROTO + opcode + b".", 3622, "underflow")
            self.assertIn(pickle_machine.NAMES[chr(opcode[0])], e.where)
        for opcode in (b"R", b"Q", b"b", b"s", b"a", b"\x85"):     # a mark is no value
            self.refuse_pickle(PROTO + MARK + opcode + b".", 3622, "mark")

    def test_P05_memo_indices(self):
        self.refuse_pickle(PROTO + b"h\7.", 3623, "memo index 7, never set")
        self.refuse_pickle(PROTO + b"j" + b"\xff" * 4 + b".", 3623, "4294967295")
        self.refuse_pickle(PROTO + b"}r" + b"\xff" * 4 + b".", 3623, "below 65536")

    def test_P06_items_set_on_the_wrong_type(self):
        self.refuse_pickle(PROTO + b"]" + text("k") + b"Ns.", 3625, "SETITEM", "list")
        self.refuse_pickle(PROTO + b"}Na.", 3625, "APPEND", "dict")
        self.refuse_pickle(PROTO + b"}(Ne.", 3625, "APPENDS", "dict")
        self.refuse_pickle(PROTO + storage(6) + text("k") + b"Ns.", 3625, "storage")
        self.refuse_pickle(PROTO + b"}(" + text("k") + b"u.", 3625, "even number")
        self.refuse_pickle(PROTO + b"})Ns.", 3625, "tuple as dict key")
        self.refuse_pickle(PROTO + b"}" + (text("k") + b"Ns") * 2 + b".", 3625, "twice")

    def test_P07_a_string_of_4_GiB_in_20_bytes(self):
        self.refuse_pickle(PROTO + b"X\xff\xff\xff\xffabc.", 3624, "4294967295")
        self.refuse_pickle(PROTO + b"X\x00\x00\x10\x00abc.", 3621, "truncated")
        self.refuse_pickle(PROTO + text(b"\xff\xfe") + b".", 3624, "UTF-8")
        self.refuse_pickle(PROTO + b"\x8a\xff" + b"\xff" * 255 + b".", 3624, "255 bytes")

    def test_P08_marks_nesting_and_doubling(self):
        self.refuse_pickle(PROTO + MARK * 5_000_000 + b".", 3626, "1000000 opcodes")
        self.refuse_pickle(PROTO + b")" + b"\x85" * 1_000_000 + b".", 3626, "1000000 opcodes")
        self.refuse_pickle(PROTO + b")" + b"\x85" * 1000 + b".", 3626, "nested")
        laughs = PROTO + b"]" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(100))
        self.refuse_pickle(laughs + b".", 3626, "expanded")
        self.refuse_pickle(PROTO + b"]q\0h\0a.", 3626, "contains itself")
        self.refuse_pickle(bytes(17 << 20), 3626, "at most 16777216")

    def test_P09_no_stop_or_bytes_after_it(self):
        good = state({"w": tensor(storage(6), (2, 3), (3, 1))})
        self.refuse_pickle(good[:-1], 3621, "no STOP")
        self.refuse_pickle(good + b"x", 3628, "1 bytes after STOP")
        self.refuse_pickle(good + good, 3628, "after STOP")
        self.refuse_pickle(PROTO + b"}}.", 3628, "1 more values")

    def test_P10_storage_records(self):
        good = state({"w": tensor(storage(6), (2, 3), (3, 1))})
        self.refuse(archive(good, {}), 3630, "no record", "data/0", "24")
        for size in (0, 23, 25):
            self.refuse(archive(good, {"0": bytes(size)}), 3630, "%d bytes" % size, "24")

    def test_P10_persistent_ids(self):
        for pid, words in ((text("x"), "str"), (b")", "tuple"), (tup(text("module"), b"N", b"N", b"N", b"N"), "tuple"),
                           (tup(text("storage"), b"N", text("0"), text("cpu"), integer(1)), "storage class"),
                           (tup(text("storage"), glob("collections", "OrderedDict"), text("0"), text("cpu"), integer(1)), "class"),
                           (tup(text("storage"), glob("torch", "FloatStorage"), text("../0"), text("cpu"), integer(1)), "key"),
                           (tup(text("storage"), glob("torch", "FloatStorage"), integer(0), text("cpu"), integer(1)), "key")):
            self.refuse_pickle(PROTO + pid + b"Q.", 3629, "BINPERSID", words)

    def test_P12_calls_with_other_arguments(self):
        call = lambda function, args: PROTO + function + args + b"R."
        rebuild = glob("torch._utils", "_rebuild_tensor_v2")
        self.refuse_pickle(call(text("f"), b")"), 3625, "a call of a str")
        self.refuse_pickle(call(glob("collections", "OrderedDict"), b"]"), 3625, "with a list")
        self.refuse_pickle(call(glob("collections", "OrderedDict"), tup(integer(1))), 3625, "OrderedDict with 1 arguments")
        self.refuse_pickle(call(rebuild, b")"), 3630, "other arguments")
        self.refuse_pickle(call(rebuild, tup(*[integer(0)] * 6)), 3630, "other arguments")
        self.refuse_pickle(call(rebuild, tup(*[storage(6)] * 8)), 3630, "other arguments")
        self.refuse_pickle(call(rebuild, tup(storage(6), integer(0), b"]", b"]", b"\x89", NO_HOOKS)), 3630, "kinds")
        self.refuse_pickle(call(rebuild, tup(storage(6), text("0"), b")", b")", b"\x89", NO_HOOKS)), 3630, "no integer")
        self.refuse_pickle(call(rebuild, tup(storage(6), integer(0), tup(b"\x88"), tup(integer(1)), b"\x89", NO_HOOKS)), 3630,
                           "no integer")
        self.refuse_pickle(call(rebuild, tup(storage(6), integer(0), b")", b")", integer(0), NO_HOOKS)), 3630, "hooks")

    def test_P11_numel_lies(self):
        for numel, word in ((7, "28"), (-1, "count >= 0"), (1 << 61, "9223372036854775808"), (1 << 62, "count >= 0"),
                            (5, "at most the 5")):
            self.refuse_tensor(tensor(storage(numel), (2, 3), (3, 1)), 3630, word)
        self.refuse_tensor(tensor(storage(6), (1 << 61, 8), (8, 1)), 3630, "at most the 6")
        self.refuse_tensor(tensor(storage(6), (0, 1 << 61), (1, 1)), 3630, "product")
        two = state({"v": tensor(storage(6), (2,), (1,)), "w": tensor(storage(3, "0", "DoubleStorage"), (2,), (1,))})
        self.refuse_pickle(two, 3630, "one type and size", records={"0": bytes(24)})

    def test_P12_strides_beyond_the_storage(self):
        self.refuse_tensor(tensor(storage(6), (2, 3), (4, 1)), 3630, "last element 6")
        self.refuse_tensor(tensor(storage(6), (2, 3), (3, 1), offset=1), 3630, "last element 6")
        self.refuse_tensor(tensor(storage(6), (2, 3), (-3, 1), offset=3), 3630, "nothing negative")
        self.refuse_tensor(tensor(storage(6), (2,), (1,), offset=-1), 3630, "nothing negative")
        self.refuse_tensor(tensor(storage(6), (2,), (1 << 62,)), 3630, "last element")
        self.refuse_tensor(tensor(storage(6), (0,), (1,), offset=7), 3630, "offset 7")
        self.refuse_tensor(tensor(storage(6), (1,) * 9, (1,) * 9), 3630, "rank 9")
        self.refuse_tensor(tensor(storage(6), (2, 3), (1,)), 3630, "lengths")

    def test_P13_stride_zero(self):
        self.refuse_tensor(tensor(storage(6), (1 << 40,), (0,)), 3630, "expanded")
        self.refuse_tensor(tensor(storage(6), (6,), (0,)), 3630, "stride 0", "contiguous()")
        empty = self.accept(archive(state({"w": tensor(storage(0), (0, 3), (0, 0))}), {"0": b""}))
        self.assertEqual(empty["w"].shape, (0, 3))
        one = self.accept(archive(state({"w": tensor(storage(6), (1, 6), (1 << 62, 1))}), {"0": ONE.tobytes()}))
        np.testing.assert_array_equal(one["w"][0], ONE.ravel())
        self.assertEqual(self.accept(archive(state({"w": tensor(storage(6), (1, 6), (0, 1))}), {"0": ONE.tobytes()}))["w"].shape,
                         (1, 6))

    def test_P14_a_transposed_tensor_is_made_contiguous(self):
        got = self.accept(archive(state({"w": tensor(storage(6), (3, 2), (1, 3)), "v": tensor(storage(6), (2,), (3,), 1),
                                         "s": tensor(storage(6), (), (), 5)}), {"0": ONE.tobytes()}))
        np.testing.assert_array_equal(got["w"], ONE.T)
        np.testing.assert_array_equal(got["v"], ONE[:, 1])
        self.assertEqual(got["s"], 5.0)
        self.assertTrue(got["w"].flags.c_contiguous)

    def test_P15_tied_tensors_share_a_storage(self):
        got = self.accept(archive(state({"w": tensor(storage(6), (2, 3), (3, 1)), "v": tensor(storage(6), (6,), (1,))}),
                                  {"0": ONE.tobytes()}))
        np.testing.assert_array_equal(got["w"].ravel(), got["v"])
        many = state({"w%d" % i: tensor(storage(60_000), (60_000,), (1,)) for i in range(100)})
        self.refuse(archive(many, {"0": bytes(240_000)}), 3630, "expand")

    def test_P24_not_a_state_dict(self):
        save = "state_dict()"
        self.refuse_pickle(PROTO + glob("__main__", "SToFMModel") + b")\x81.", 3620, "SToFMModel", save)
        optimizer = PROTO + b"}(" + text("state") + b"}" + text("param_groups") + b"]u."
        self.refuse_pickle(optimizer, 3634, "optimizer", save)
        nested = PROTO + b"}" + text("model") + state({"w": tensor(storage(6), (2, 3), (3, 1))}, b"")[2:] + b"s."
        self.refuse_pickle(nested, 3634, "nested dict", save)
        self.refuse_pickle(PROTO + b"].", 3634, "list", save)
        self.refuse_pickle(PROTO + tensor(storage(6), (6,), (1,)) + b".", 3634, save)
        self.refuse_pickle(state({"w": integer(3)}), 3634, "int", save)
        self.refuse_pickle(PROTO + NO_HOOKS + b".", 3634, "no weights")
        for name in ("", "a\x1b[2J", "x" * 513):
            self.refuse_pickle(state({name: tensor(storage(6), (6,), (1,))}), 3634, "not printable")
        many = b"".join(text("%d" % i) + b"h\0" for i in range(65_537))
        self.refuse_pickle(PROTO + tensor(storage(6), (6,), (1,)) + b"q\0" + b"\x85" + NO_HOOKS + MARK + many + b"u\x86.", 3634, "tuple")
        self.refuse_pickle(PROTO + NO_HOOKS + text("w") + tensor(storage(6), (6,), (1,)) + b"q\0s" + MARK + many + b"u.", 3634,
                           "65538 tensors")

    def test_P25_tensors_of_other_kinds(self):
        for module, name, word in (("torch._utils", "_rebuild_qtensor", "quantized"), ("torch", "QInt8Storage", "quantized"),
                                   ("torch._utils", "_rebuild_sparse_tensor", "sparse"),
                                   ("torch._utils", "_rebuild_meta_tensor_no_storage", "meta"),
                                   ("torch", "ComplexFloatStorage", "complex")):
            self.refuse_pickle(PROTO + glob(module, name) + b".", 3631, word)
        self.refuse_tensor(tensor(storage(6, place="meta"), (6,), (1,)), 3631, "meta")
        self.refuse_tensor(tensor(storage(6), (6,), (1,), extra=b"}" + text("neg") + b"\x88s"), 3631, "metadata")
        self.refuse_tensor(tensor(storage(6), (6,), (1,), hooks=b"}" + text("h") + b"Ns"), 3630, "hooks")
        parameter = glob("torch._utils", "_rebuild_parameter") + tup(tensor(storage(6), (6,), (1,)), b"\x88", NO_HOOKS) + b"R"
        self.assertEqual(len(self.accept(archive(state({"w": parameter}), {"0": ONE.tobytes()}))), 1)
        self.refuse_pickle(state({"w": glob("torch._utils", "_rebuild_parameter") + b")R"}), 3630, "_rebuild_parameter")
        # A record of whole numbers is readable, but is no weight.
        weights = read_torch(BytesSource(torch_file({"w": ONE}, dtype="<i8")))
        with self.assertRaises(ConvertError) as caught:
            model_weights.select(weights, {"w": ((2, "a"), (3, "b"))}, [], "f", "config.json", Notices(), [])
        self.check_error(caught.exception, 3664, "I64", "F32")

    def test_P26_prefixes_are_removed_and_ambiguity_is_refused(self):
        shapes = {"a.weight": ((2, "x"), (3, "y")), "model.b": ((2, "x"), (3, "y"))}
        def chosen(names):
            lines, weights = [], read_torch(BytesSource(torch_file({n: ONE for n in names})))
            return sorted(model_weights.select(weights, shapes, [], "f.pth", "config.json", Notices(), lines)), lines
        for names in (["a.weight", "model.b"], ["module.a.weight", "module.model.b"], ["module.model.bert.a.weight", "model.b"]):
            got, lines = chosen(names)
            self.assertEqual(got, ["a.weight", "model.b"])
            if names[0] != "a.weight":
                self.assertIn('"%s" -> "a.weight"' % names[0], "".join(lines))
        with self.assertRaises(ConvertError) as caught:
            chosen(["a.weight", "model.a.weight", "model.b"])
        self.check_error(caught.exception, 3661, "two names", '"model.a.weight"')

    def test_P27_gene_tables_from_pickles_by_the_same_machine(self):
        plain = lambda items: b"\x80\x04\x95" + struct.pack("<Q", len(items) + 3) + b"}(" + items + b"u."
        word = lambda s: b"\x8c" + bytes([len(s)]) + s.encode() + b"\x94"
        number = lambda x: b"G" + struct.pack(">d", x)
        with ScratchFiles() as files:
            tokens = files("tokens.pkl", plain(word("<pad>") + integer(0) + word("<mask>") + integer(1) +
                                               word("ENSG2") + integer(3) + word("ENSG1") + integer(2)))
            medians = files("medians.pkl", plain(word("ENSG1") + number(1.5) + word("ENSG2") + number(0.1)))
            names = files("names.pkl", plain(word("TP53") + word("ENSG1")))
            table = genes.genes_from_pickles(tokens, medians, names)
            self.assertEqual(table.decode().split("\n"), ["ensembl_id\tsymbols\ttoken\tmedian", "ENSG1\tTP53\t2\t1.5",
                                                          "ENSG2\t\t3\t0.1", ""])
            self.assertEqual(genes.check_genes(table, "t")[0], 5)
            self.assertEqual(genes.mouse_from_pickle(files("mouse.pkl", plain(word("ENSMUSG1") + word("ENSG1")))),
                             b"mouse_ensembl_id\thuman_ensembl_id\nENSMUSG1\tENSG1\n")
            for bad in (b"\x80\x04" + glob("os", "system") + b".", b"\x80\x04}" + word("a") + storage(1) + b"s.",
                        b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"\x80\x04" + b")\x85" + b"R."):
                with self.assertRaises(ConvertError) as caught:
                    genes.read_plain_pickle(files("bad.pkl", bad), "tokens")
                self.check_error(caught.exception, 3627, "opcode")
            with self.assertRaises(ConvertError) as caught:
                genes.read_plain_pickle(files("bad.pkl", b"\x80\x04\x95" + b"\xff" * 8 + b"}."), "tokens")
            self.check_error(caught.exception, 3621, "a frame of 18446744073709551615 bytes")
            for value in (number(0.0), number(-1.0), number(float("nan")), b"N"):       # J11
                with self.assertRaises(ConvertError) as caught:
                    genes.genes_from_pickles(tokens, files("m.pkl", plain(word("ENSG1") + value + word("ENSG2") + number(1.0))))
                self.check_error(caught.exception, 3681, "ENSG1", "median")
            with self.assertRaises(ConvertError) as caught:                             # J10
                genes.genes_from_pickles(files("t.pkl", plain(word("ENSG1") + integer(2))), medians)
            self.check_error(caught.exception, 3681, "<pad>")


if __name__ == "__main__":
    unittest.main()
