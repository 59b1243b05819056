# SPDX-License-Identifier: MIT
"""convert.py as a program: golden checkpoints, the command line, configurations, names and shapes, gene tables, outputs."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "weights_tools")]
sys.dont_write_bytecode = True

from builders import torch_file  # noqa: E402
from stofm_convert import cli, genes, json_text  # noqa: E402
from stofm_convert.errors import ConvertError, Notices  # noqa: E402
from stofm_convert.safetensors_file import header_bytes, read_safetensors  # noqa: E402
from stofm_convert.source import BytesSource, FileSource  # noqa: E402
from stofm_convert.torch_file import read_torch  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
CASES = ("se2_small", "se2_ragged", "se2_prenorm", "cell_encoder_small", "cell_encoder_gelu")
try:
    import torch
except ImportError:
    torch = None


def run(*arguments):
    """(exit code, stdout, stderr) of the command line, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(a) for a in arguments])
    return code, out.getvalue(), err.getvalue()


def bundle(path):
    with FileSource(path) as source:
        weights, metadata = read_safetensors(source)
        return {name: w.array() for name, w in weights.items()}, metadata


class Scratch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.out = self.dir / "out.safetensors"

    def copy(self, case, name="ckpt"):
        shutil.copytree(GOLDEN / case, self.dir / name)
        for path in [self.dir / name, *(self.dir / name).rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return self.dir / name

    def refuse(self, exit_code, code, *words, arguments):
        """The one line on stderr, and that nothing was left behind."""
        before = sorted(self.dir.rglob("*"))
        status, out, err = run(*arguments)
        self.assertEqual((status, out), (exit_code, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn("[STOFM-%d]" % code, err)
        for word in words:
            self.assertIn(word, err)
        self.assertEqual(sorted(self.dir.rglob("*")), before)
        return err

    def edit_json(self, path, **changes):
        config = json.loads(path.read_text())
        for key, value in changes.items():
            config.pop(key, None)
            if value is not KeyError:
                config[key] = value
        path.write_text(json.dumps(config))


class Golden(Scratch):
    def test_golden_checkpoints_give_the_committed_bundles(self):
        for case in CASES:
            with self.subTest(case):
                for repeat in range(2):
                    out = self.dir / ("%s.%d" % (case, repeat))
                    status, text, _ = run(GOLDEN / case, "-o", out, "--no-genes", "--licence", "MIT")
                    self.assertEqual(status, 0)
                    self.assertIn("parameters", text)
                    self.assertEqual(out.read_bytes(), (GOLDEN / case / "bundle.safetensors").read_bytes())

    def test_the_numbers_are_those_of_the_checkpoint(self):
        tensors, metadata = bundle(GOLDEN / "cell_encoder_small" / "bundle.safetensors")
        with FileSource(GOLDEN / "cell_encoder_small" / "cell_bert" / "pytorch_model.bin") as source:
            direct = {name: w.array() for name, w in read_torch(source).items()}
        self.assertEqual(len(tensors), len(direct) + 2)
        for name, array in direct.items():
            np.testing.assert_array_equal(tensors["cell_encoder/bert/" + name.removeprefix("bert.")], array)
        hashes = json.loads(metadata["sha256"])
        for name, array in tensors.items():
            self.assertEqual(hashes[name], hashlib.sha256(array.tobytes()).hexdigest())
        self.assertEqual((metadata["format"], metadata["format_version"]), ("stofm-bundle", "1"))

    @unittest.skipIf(torch is None, "torch is not installed")
    def test_torch_reads_the_same_numbers(self):
        for path in sorted(GOLDEN.glob("*/*.pth")) + sorted(GOLDEN.glob("*/*.bin")) + sorted(GOLDEN.glob("*/*/*.bin")):
            expected = torch.load(path, weights_only=True)
            with FileSource(path) as source:
                found = {name: w.array() for name, w in read_torch(source).items()}
            self.assertEqual(sorted(found), sorted(expected))
            for name, value in expected.items():
                np.testing.assert_array_equal(found[name], value.numpy())

    @unittest.skipIf(torch is None, "torch is not installed")
    def test_what_torch_saves_is_read_whatever_its_layout(self):
        base = torch.arange(24.0).reshape(4, 6)
        state = {"transposed": base.T, "slice": base[1:3, 2:5], "scalar": base[0, 3], "half": base.half(), "bf": base.bfloat16(),
                 "empty": base[:0], "double": base.double(), "parameter": torch.nn.Parameter(base), "ints": base.long()}
        torch.save(state, self.dir / "t.pth")
        with FileSource(self.dir / "t.pth") as source:
            found = read_torch(source)
            for name, value in state.items():
                array = found[name].array()
                if name == "bf":
                    array = (array.astype("<u4") << 16).view("<f4")
                    value = value.float()
                np.testing.assert_array_equal(array, value.detach().numpy())

    def test_both_halves_make_one_bundle_with_their_gene_table(self):
        folder = self.copy("cell_encoder_small")
        se2 = self.copy("se2_small", "se2")
        self.edit_json(se2 / "config.json", input_dim=20)
        config = json.loads((se2 / "config.json").read_text())
        with FileSource(se2 / "se2transformer.pth") as source:
            arrays = {name: w.array() for name, w in read_torch(source).items()}
        arrays["embedding_layer.weight"] = np.ones((config["embedding_dim"], 20), "<f4")
        (se2 / "se2transformer.pth").write_bytes(torch_file(arrays, prefix="module.model."))
        table = "ensembl_id\tsymbols\ttoken\tmedian\n" + "".join("ENSG%03d\t\t%d\t1.5\n" % (i, i + 2) for i in range(98))
        (self.dir / "genes.tsv").write_text(table)
        (self.dir / "mouse.tsv").write_text("mouse_ensembl_id\thuman_ensembl_id\nENSMUSG1\tENSG001\nENSMUSG2\tENSG001\nENSMUSG3\tX\n")
        status, text, err = run("--se2", se2, "--cell-encoder", folder, "-o", self.out, "--genes", self.dir / "genes.tsv",
                                "--mouse-map", self.dir / "mouse.tsv", "--name", "mine", "--licence", "MIT")
        self.assertEqual(status, 0, err)
        self.assertIn('prefix "module.model." removed from 43 names', text)
        self.assertIn("STOFM-W3683", err)      # J13: many to one
        self.assertIn("STOFM-W3684", err)      # J13: unknown target
        tensors, metadata = bundle(self.out)
        self.assertEqual(tensors["genes/table"].tobytes().decode(), table)
        self.assertEqual(json.loads(metadata["model_info"])["name"], "mine")
        self.assertEqual(len(tensors), 43 + 55 + 2)
        status, text, _ = run("--info", self.out)
        self.assertEqual(status, 0)
        self.assertIn("sha256 of all 100 tensors verified", text)
        self.refuse(4, 3699, "STOFM-W3683", arguments=["--se2", se2, "--cell-encoder", folder, "-o", self.dir / "s", "--strict",
                                                       "--genes", self.dir / "genes.tsv", "--mouse-map", self.dir / "mouse.tsv"])

    def test_pretraining_heads_are_kept(self):
        folder = self.copy("se2_small")
        with FileSource(folder / "se2transformer.pth") as source:
            arrays = {"model." + name: w.array() for name, w in read_torch(source).items()}
        heads = {"lm_head.0.weight": (32, 32), "lm_head.0.bias": (32,), "lm_head.2.weight": (32, 32), "lm_head.2.bias": (32,),
                 "pair_head.0.weight": (4, 4), "pair_head.0.bias": (4,), "pair_head.2.weight": (1, 4), "pair_head.2.bias": (1,)}
        arrays.update({name: np.ones(shape, "<f4") for name, shape in heads.items()})
        (folder / "se2transformer.pth").unlink()
        (folder / "pytorch_model.bin").write_bytes(torch_file(arrays))
        self.assertEqual(run(folder, "-o", self.out)[0], 0)
        self.assertLessEqual({"se2/" + name for name in heads}, set(bundle(self.out)[0]))
        del arrays["pair_head.2.bias"]
        (folder / "pytorch_model.bin").write_bytes(torch_file(arrays))
        self.refuse(3, 3662, "pair_head.2.bias", arguments=[folder, "-o", self.dir / "x"])


class Refusals(Scratch):
    def test_J01_J02_J03_J04_J05_J07_J08_J09_J14_configurations(self):
        folder = self.copy("se2_small")
        config, good = folder / "config.json", (GOLDEN / "se2_small" / "config.json").read_text()
        for text, words in (("[1]", "list"), ("{", "byte"), ('{"a":1,"a":2}', "/a"), ('{"a":NaN}', "NaN"), ('{"a":1e400}', "1e400"),
                            ("[" * 100_000, "nesting"), ("\ufeff{}", "JSON"), ("", "JSON")):
            config.write_text(text)
            self.refuse(2, 3650, words, str(config), arguments=[folder, "-o", self.out])
        for key, value, words in (("embedding_dim", 30, "multiple of num_attention_heads"), ("num_attention_heads", 0, "1 to"),
                                  ("num_hidden_layers", 1.5, "1.5"), ("num_hidden_layers", "2", '"2"'),
                                  ("num_hidden_layers", True, "True"), ("input_dim", 2**53, "9007199254740992"),
                                  ("dropout", 1.0, "[0, 1)"), ("dropout", -0.1, "-0.1"), ("activation_fn", "swish", "gelu, relu"),
                                  ("pre_layernorm", 1, "true or false"), ("pad_type_id", 0, "one of 3"), ("hidden_size", 99, "32"),
                                  ("bias", False, "True")):
            config.write_text(good)
            self.edit_json(config, **{key: value})
            self.refuse(2, 3651, "/" + key, words, arguments=[folder, "-o", self.out])
        config.write_text(good)
        self.edit_json(config, num_attention_heads=KeyError, num_head=4)
        self.refuse(2, 3651, "/num_head", "Did you mean num_attention_heads?", arguments=[folder, "-o", self.out])
        shutil.copy(GOLDEN / "cell_encoder_small" / "cell_bert" / "config.json", config)
        self.refuse(2, 3651, "no embedding_dim", "gaussian_hidden_dim", arguments=[folder, "-o", self.out])

    def test_S27_S28_S29_S31_names_shapes_and_values(self):
        folder = self.copy("se2_small")
        path = folder / "se2transformer.pth"
        with FileSource(path) as source:
            good = {name: w.array() for name, w in read_torch(source).items()}
        path.write_bytes(torch_file({k: v for k, v in good.items() if "layers.1" not in k}))
        self.refuse(3, 3662, "16 tensors missing", "and 6 more", "config.json", arguments=[folder, "-o", self.out])
        path.write_bytes(torch_file({**good, "fc.weight": np.ones((1, 1), "<f4")}))
        self.assertIn("fc.weight", run(folder, "-o", self.out, "--overwrite")[2])
        self.refuse(4, 3699, "fc.weight", arguments=[folder, "-o", self.dir / "s", "--strict"])
        name = "encoder.layers.0.fc1.weight"
        path.write_bytes(torch_file({**good, name: np.ones((48, 64), "<f4")}))
        self.refuse(3, 3663, name, "[48, 64]", "[48, 32]", "(embedding_dim in", arguments=[folder, "-o", self.dir / "s"])
        self.edit_json(folder / "config.json", gaussian_hidden_dim=128)
        path.write_bytes(torch_file(good))
        self.refuse(3, 3663, "gaussian.means.weight", "gaussian_hidden_dim", arguments=[folder, "-o", self.dir / "s"])
        self.edit_json(folder / "config.json", gaussian_hidden_dim=16)
        bad = good[name].copy()
        bad[3, 5], bad[4, 0] = np.nan, np.inf
        path.write_bytes(torch_file({**good, name: bad}))
        self.refuse(4, 3671, name, "2 values", "[3, 5]", "--allow-nonfinite", arguments=[folder, "-o", self.dir / "s"])
        self.assertIn("STOFM-W3671", run(folder, "-o", self.dir / "s", "--allow-nonfinite")[2])

    def test_S30_S32_other_types_and_blank_matrices(self):
        folder = self.copy("se2_small")
        path = folder / "se2transformer.pth"
        with FileSource(path) as source:
            good = {name: w.array() for name, w in read_torch(source).items()}
        exact = {name: array.astype("<f2").astype("<f4") for name, array in good.items()}
        for dtype, label in (("<f2", "F16"), ("<f8", "F64")):
            path.write_bytes(torch_file(exact, dtype=dtype))
            status, _, err = run(folder, "-o", self.out, "--overwrite")
            self.assertEqual(status, 0)
            self.assertEqual(err.count("STOFM-W3672"), 1)
            self.assertIn("43 tensors converted from %s" % label, err)
            for name, array in bundle(self.out)[0].items():
                np.testing.assert_array_equal(array, exact[name[4:]])
        path.write_bytes(torch_file({**good, "encoder.layers.0.fc1.weight": np.full((48, 32), 1e-40, "<f4")}))
        self.assertIn("fc1.weight", [line for line in run(folder, "-o", self.out, "--overwrite")[2].split("\n") if "W3673" in line][0])

    def test_J12_vocabulary_and_embedding_rows(self):
        err = self.refuse(4, 3682, "25427", "101", "--no-genes", arguments=[GOLDEN / "cell_encoder_small", "-o", self.out])
        self.assertIn("genes.tsv", err)

    def test_J10_J11_gene_tables(self):
        good = ["ensembl_id\tsymbols\ttoken\tmedian", "ENSG1\tA\t2\t1.5", "ENSG2\t\t3\t0.25"]
        check = lambda lines: genes.check_genes("\n".join(lines).encode() + b"\n", "g.tsv")
        self.assertEqual(check(good)[0], 5)
        self.assertEqual(check(good + ["<pad>\t\t0\t", "<mask>\t\t1\t", "<cls>\t\t4\t"])[0], 5)
        for line, word in (("ENSG3\t\t3\t1", "also of line 3"), ("ENSG3\t\t5\t1", "no gene for it"), ("ENSG3\t\t-4\t1", '"-4"'),
                           ("ENSG3\t\t2147483648\t1", "2^31-1"), ("ENSG3\t\t1\t1", "<mask>"), ("ENSG2\t\t4\t1", "twice"),
                           ("ENSG3\t\t4\t0", "median"), ("ENSG3\t\t4\t-1", "median"), ("ENSG3\t\t4\tnan", "median"),
                           ("ENSG3\t\t4\t", "median"), ("ENSG3\t4", "2 fields"), ("<pad>\t\t0\t", "no such row"), ("\t\t4\t1", "no id")):
            with self.assertRaises(ConvertError) as caught:
                check(good + [line])
            self.assertIn(word, str(caught.exception))
            self.assertEqual(caught.exception.exit_code, 4)
        for lines in (["a\tb"], [""], good[:1]):
            self.assertRaises(ConvertError, check, lines)
        self.assertRaises(ConvertError, genes.check_mouse, b"mouse_ensembl_id\thuman_ensembl_id\nA\tB\nA\tC\n", "m", {}, Notices())

    def test_safetensors_input_is_read_strictly(self):
        good = header_bytes([("w", "F32", (2,), bytes(8))], {}) + bytes(8)
        self.assertEqual(read_safetensors(BytesSource(good))[0]["w"].shape, (2,))
        entry = lambda **o: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **o}
        text = lambda header: len(json.dumps(header)).to_bytes(8, "little") + json.dumps(header).encode() + bytes(8)
        bad = [good[:cut] for cut in range(len(good))]
        bad += [good + b"\0", b"\xff" * 8 + good[8:], bytes(8), text([1]), text({}), text({"w": entry(dtype="F8_E4M3")})]
        bad += [text({"w": entry(shape=s)}) for s in ([3], [-2], [2.0], [1 << 63, 0], [1] * 9, "2", [0, 1 << 61])]
        bad += [text({"w": entry(data_offsets=o)}) for o in ([8, 0], [0, 16], [0], [4, 12], [0, 8, 8])]
        bad += [text({"w": entry(), "v": entry()}), text({"w": entry(data_offsets=[0, 4], shape=[1])}), text({"w": {}}),
                text({"__metadata__": {"a": 1}, "w": entry()}), text({"": entry()}), text({"a\nb": entry()})]
        for data in bad:
            with self.assertRaises(ConvertError) as caught:
                read_safetensors(BytesSource(data, "s"))
            self.assertIn("[STOFM-3640]", str(caught.exception))

    def test_safetensors_refusals_say_what_is_wrong(self):
        entry = lambda **o: {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **o}}
        text = lambda header: len(json.dumps(header)).to_bytes(8, "little") + json.dumps(header).encode() + bytes(8)
        for data, word in ((b"\xff" * 8 + b"{}", "at most 16777216"), (bytes(8) + b"{}", "1 to the 2 bytes"),
                           (b"\x05" + bytes(7) + b"{}", "1 to the 2 bytes"), (b"\x03" + bytes(7) + b" {}", "opening brace"),
                           (b"\x02" + bytes(7) + b"{}", "no weights"), (text(entry(shape=[0, 1 << 61], data_offsets=[0, 0])), "below 2^62"),
                           (text(entry(data_offsets=[8, 0])), "bytes 8 to 0"), (text(entry(data_offsets=[0, 16])), "bytes 0 to 16")):
            with self.assertRaises(ConvertError) as caught:
                read_safetensors(BytesSource(data, "s"))
            self.assertIn(word, str(caught.exception))

    def test_json_texts_are_bounded(self):
        for raw in (b'{"a":"' + b"\\" * 99_999, b'{"\xff":1}', b'{"a":' + b"1" * 10_000 + b"}", b'{"a":1}}', b"{" * 70):
            self.assertRaises(ConvertError, json_text.parse_json, raw, "j")
        self.assertEqual(json_text.parse_json(b'{"a]]]]":"\\"[[[["}', "j"), {"a]]]]": '"[[[['})


class CommandLine(Scratch):
    def test_usage_errors(self):
        case = GOLDEN / "se2_small"
        for arguments, words in (([], "no output"), (["-o", self.out], "checkpoint directory"), ([case], "no output"),
                                 ([case, "-o", self.out, "--frobnicate"], "--frobnicate"), ([case, case, "-o", self.out], "arguments"),
                                 ([case, "-o", self.out, "--no-genes", "--genes", "x"], "--no-genes"),
                                 ([case, "-o", self.out, "--gene-names-pickle", "x"], "--genes-pickle")):
            status, _, err = run(*arguments)
            self.assertEqual(status, 2, err)
            self.assertIn(words, err)
            self.assertEqual(err.count("\n"), 1)
        self.refuse(2, 3601, "no such directory", arguments=[self.dir / "absent", "-o", self.out])
        self.refuse(2, 3601, "a file", arguments=[case / "config.json", "-o", self.out])
        self.refuse(2, 3601, "neither", arguments=[self.dir, "-o", self.out])

    def test_parts_that_are_missing(self):
        folder = self.copy("cell_encoder_gelu")
        (folder / "cell_proj.bin").unlink()
        self.refuse(3, 3601, "cell_proj.bin", arguments=[folder, "-o", self.out, "--no-genes"])
        folder = self.copy("se2_small", "se2")
        (folder / "config.json").unlink()
        self.refuse(3, 3601, "config.json", arguments=[folder, "-o", self.out])
        os.mkfifo(folder / "config.json")
        self.refuse(3, 3601, "not a regular file", arguments=[folder, "-o", self.out])

    def test_C01_C02_C03_outputs(self):
        folder = self.copy("se2_small")
        self.refuse(2, 3691, "input files", arguments=[folder, "-o", folder / "config.json", "--overwrite"])
        os.link(folder / "se2transformer.pth", self.dir / "link")
        self.refuse(2, 3691, "input files", arguments=[folder, "-o", self.dir / "link", "--overwrite"])
        self.refuse(2, 3691, "no directory", arguments=[folder, "-o", self.dir / "no" / "out"])
        self.refuse(2, 3691, "a directory", arguments=[folder, "-o", self.dir])
        self.out.write_text("mine")
        self.refuse(2, 3691, "--overwrite", arguments=[folder, "-o", self.out])
        self.assertEqual(self.out.read_text(), "mine")
        self.assertEqual(run(folder, "-o", self.out, "--overwrite")[0], 0)
        self.assertGreater(self.out.stat().st_size, 10_000)

    def test_R05_a_full_disk_leaves_nothing_behind(self):
        program = "ulimit -f 8; trap '' XFSZ; exec %s %s %s -o %s" % (sys.executable, ROOT / "weights_tools" / "convert.py",
                                                                    GOLDEN / "se2_small", self.out)
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("STOFM-3692", done.stderr)
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_the_program_runs_alone_and_tells_what_a_file_is(self):
        program = [sys.executable, str(ROOT / "weights_tools" / "convert.py")]
        helped = subprocess.run(program + ["--help"], capture_output=True, text=True, timeout=60)
        self.assertEqual(helped.returncode, 0)
        self.assertIn("convert.py ckpt -o stofm.safetensors", helped.stdout)
        done = subprocess.run(program + ["--info", str(GOLDEN / "se2_small" / "bundle.safetensors")], capture_output=True, text=True)
        self.assertIn("se2: 43 tensors, 16310 parameters", done.stdout)
        self.refuse(3, 3693, "not a bundle", arguments=["--info", GOLDEN / "cell_encoder_gelu" / "cell_bert" / "model.safetensors"])
        damaged = bytearray((GOLDEN / "se2_small" / "bundle.safetensors").read_bytes())
        damaged[-1] ^= 1
        self.out.write_bytes(damaged)
        self.refuse(3, 3694, "sha256", arguments=["--info", self.out])


if __name__ == "__main__":
    unittest.main()
