# SPDX-License-Identifier: MIT
"""verify, tokenize, virtual-cells, subslices against the golden cases; info."""
import json
import os
from pathlib import Path

import support

GOLDEN = Path(os.environ.get("STOFM_GOLDEN", support.GOLDEN))
BUNDLES = ["se2_small", "se2_ragged", "se2_prenorm", "cell_encoder_small", "cell_encoder_gelu"]


def bundle(name):
    return support.GOLDEN / name / "bundle.safetensors"


def largest_difference(mine, reference):
    return max((abs(a - b) for a, b in zip(mine, reference)), default=0.0)


class Verify(support.Case):
    def test_golden_cases_are_reproduced(self):
        for name in BUNDLES:
            done = self.ok("verify", "--weights", bundle(name), support.GOLDEN / name / "case.safetensors")
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertTrue(lines)
            for line in lines:
                self.assertEqual(sorted(line), ["max_abs_diff", "ok", "tensor", "tolerance"])
                self.assertTrue(line["ok"])
                self.assertLessEqual(line["max_abs_diff"], line["tolerance"])

    def test_a_difference_gives_exit_code_1(self):
        done = self.run_program("verify", "--weights", bundle("se2_small"), support.GOLDEN / "se2_small/case.safetensors",
                                "--tolerance", "1e-12")
        self.assertEqual(done.returncode, 1)
        self.assertIn('"ok":false', done.stdout)

    def test_a_case_of_another_model_is_refused(self):
        self.refused(4, "verify", "--weights", bundle("se2_small"), support.GOLDEN / "cell_encoder_small/case.safetensors",
                     words=["case.safetensors", "STOFM-4350"])
        self.refused(3, "verify", "--weights", support.GOLDEN / "se2_small/se2transformer.pth",
                     support.GOLDEN / "se2_small/case.safetensors", words=["se2transformer.pth", "zip file", "convert.py"])
        self.refused(3, "verify", "--weights", "absent", "case.safetensors", words=["absent"])


class Graph(support.Case):
    def test_cluster_writes_what_the_golden_case_holds(self):
        case = GOLDEN / "graph_tiny" / "case.safetensors"
        done = self.ok("virtual-cells", case, "-o", "out.safetensors")
        self.assertIn("modularity 0.48885", done.stderr)
        mine, reference = support.read_safetensors(self.dir / "out.safetensors"), support.read_safetensors(case)
        for name, tolerance in [("normalised", 1e-12), ("cluster_features", 1e-5), ("connectivities.indptr", 0),
                                ("connectivities.indices", 0), ("connectivities.data", 1e-4)]:
            self.assertEqual(mine[name][0], reference[name][0], name)
            self.assertLessEqual(largest_difference(mine[name][1], reference[name][1]), tolerance, name)
        for name in ["leiden_labels", "hyper_spatial", "hyper_features"]:
            self.assertEqual(mine[name][0], reference[name][0], name)

    def test_subslices_follow_the_labels_of_the_input(self):
        for name, split in [("graph_tiny", 1000), ("graph_osmfish", 400)]:
            case = GOLDEN / name / "case.safetensors"
            done = self.ok("subslices", case, "-o", f"{name}.safetensors", "--split", split, "--count", 1)
            self.assertIn("leiden_labels", done.stderr)
            mine, reference = support.read_safetensors(self.dir / f"{name}.safetensors"), support.read_safetensors(case)
            for tensor, tolerance in [("split_sizes", 0), ("split_indices", 0), ("subslice0.indices", 0),
                                      ("subslice0.token_types", 0), ("subslice0.distances", 4e-6),
                                      ("hyper_spatial", 1e-9), ("hyper_features", 1e-6)]:
                self.assertEqual(mine[tensor][0], reference[tensor][0], tensor)
                self.assertLessEqual(largest_difference(mine[tensor][1], reference[tensor][1]), tolerance, tensor)

    def test_subslices_merge_slivers_on_demand(self):
        places = [(float(i % 30), float(i // 30)) for i in range(900)] + [(31.0, 10.0 * i) for i in range(3)]
        support.write_safetensors(self.dir / "rim.safetensors", {
            "spatial": ("F64", [903, 2], [v for place in places for v in place]),
            "features": ("F32", [903, 2], [(i * 7 % 11) / 11 for i in range(1806)])})
        found = {}
        for name, options in {"plain": [], "merged": ["--merge-slivers"]}.items():
            done = self.ok("subslices", "rim.safetensors", "-o", f"{name}.safetensors", "--split", 200, *options)
            self.assertEqual("fewer than 20 cells" in done.stderr, name == "plain", done.stderr)
            found[name] = support.read_safetensors(self.dir / f"{name}.safetensors")
            self.assertEqual(sorted(found[name]["split_indices"][1]), list(range(903)))
        self.assertLess(min(found["plain"]["split_sizes"][1]), 20)
        self.assertGreaterEqual(min(found["merged"]["split_sizes"][1]), 20)
        self.assertEqual(found["plain"]["leiden_labels"], found["merged"]["leiden_labels"])

    def test_inputs_that_do_not_fit_are_refused(self):
        support.write_safetensors(self.dir / "a.safetensors", {"spatial": ("F64", [2, 2], [0, 0, 1, 1])})
        self.refused(3, "virtual-cells", "a.safetensors", "-o", "out.safetensors", words=["features", "a.safetensors"])
        support.write_safetensors(self.dir / "b.safetensors", {"spatial": ("F64", [2, 2], [0, 0, 1, 1]),
                                                                "features": ("F32", [3, 1], [1, 2, 3])})
        self.refused(4, "subslices", "b.safetensors", "-o", "out.safetensors", words=["features", "[2, width]"])
        self.refused(2, "virtual-cells", "a.safetensors", "-o", "a.safetensors", words=["a.safetensors", "STOFM-3011"])
        self.refused(2, "virtual-cells", "a.safetensors", "-o", "b.safetensors", words=["--overwrite"])


class Tokenize(support.Case):
    def test_tokens_equal_the_golden_ones(self):
        if not support.has_hdf5() or support.demo_bundle() is None:
            self.skipTest("built without HDF5 or without the demo bundle")
        done = self.ok("tokenize", support.SLICE, "-o", "tokens.safetensors", "--max-cells", 1000)
        self.assertIn("32 of 33 genes matched", done.stderr)
        mine = support.read_safetensors(self.dir / "tokens.safetensors")
        reference = support.read_safetensors(GOLDEN / "tokens_osmfish" / "case.safetensors")
        self.assertEqual(mine["offsets"][1], reference["offsets"][1][:1001])
        end = mine["offsets"][1][-1]
        for name in ["tokens", "values"]:
            self.assertEqual(mine[name][1], reference[name][1][:end])


class Info(support.Case):
    def test_a_bundle_is_described(self):
        text = self.ok("info", bundle("se2_small")).stdout
        for word in ["model bundle", "SE(2) Transformer", "num_attention_heads 4", "parameters", "training"]:
            self.assertIn(word, text)
        described = json.loads(self.ok("info", bundle("se2_small"), "--json").stdout)
        self.assertEqual(described["kind"], "bundle")
        self.assertIn("num_attention_heads", described["se2_config"])

    def test_a_plain_file_and_a_slice_are_described(self):
        text = self.ok("info", support.GOLDEN / "graph_tiny" / "case.safetensors").stdout
        self.assertIn("leiden_labels", text)
        if support.has_hdf5():
            text = self.ok("info", support.SLICE).stdout
            for word in ["6,471 cells x 33 genes", "obsm/spatial", "csr"]:
                self.assertIn(word, text)

    def test_what_is_neither_is_refused(self):
        (self.dir / "empty").touch()
        self.refused(3, "info", "empty", words=["empty", "8-byte header length"])
        self.refused(3, "info", ".", words=["a directory"])


if __name__ == "__main__":
    support.main()
