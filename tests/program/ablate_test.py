#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`stofm ablate`: rows, seeds, files, refusals."""
import csv
import json

import support


class Ablate(support.EmbedCase):
    def ablate(self, *arguments):
        return json.loads(self.ok("ablate", *arguments, "--json").stdout)

    def test_rows_of_each_group(self):
        # Two copies of 60 cells: what is learnt from is what judges, so that a head that works is far from chance.
        other = self.copy("csr_i32.h5ad", "other.h5ad")
        found = self.ablate("--train", self.slice, "--test", other, "--label", "region", "--seeds", 2, "--csv", "t.csv",
                            "--report", "r.html")
        rows = {row["row"]: row for row in found["rows"]}
        groups = {row["group"] for row in found["rows"]}
        self.assertEqual(groups, {"inputs", "scales", "virtual-cells", "alpha", "split", "geometry", "scaling", "context"})
        self.assertGreater(rows["genes"]["mean_accuracy"], 0.6)
        for name in ("gene only (cells)", "+ micro, no virtual cell", "+ micro, one virtual cell"):
            self.assertIn(name, rows)
        self.assertNotEqual(rows["gene only (cells)"]["macro_f1"], rows["+ micro, no virtual cell"]["macro_f1"])
        for row in found["rows"]:
            self.assertEqual(len(row["macro_f1"]), 2)
            self.assertTrue(0 <= min(row["macro_f1"]) and max(row["macro_f1"]) <= 1)
        with open(self.dir / "t.csv", newline="", encoding="utf-8") as table:
            lines = list(csv.DictReader(table))
        self.assertEqual(len(lines), 2 * len(found["rows"]))
        self.assertAlmostEqual(float(lines[0]["macro_f1"]), found["rows"][0]["macro_f1"][0], places=5)
        self.assertIn("macro F1", (self.dir / "r.html").read_text())

    def test_one_seed_one_result(self):
        other = self.copy("csr_i32.h5ad", "other.h5ad")
        words = ("--train", self.slice, "--test", other, "--label", "region", "--seeds", 1, "--rows", "inputs,scales")
        first = self.ablate(*words, "--threads", 1)
        self.assertEqual(first["rows"], self.ablate(*words, "--threads", 3)["rows"])
        self.assertNotEqual(first["rows"], self.ablate(*words, "--seed", 5)["rows"])

    def test_a_side_of_the_slice_judges_where_no_test_is_given(self):
        found = self.ablate("--train", support.SLICE, "--label", "region", "--rows", "inputs", "--seeds", 1, "--draw", 0.1)
        self.assertIn("one side", found["judged_by"])
        self.assertEqual([row["row"] for row in found["rows"]], ["genes", "PCA (30)", "PCA + mean of 10 neighbours"])

    def test_refusals(self):
        self.refused(2, "ablate", "--train", self.slice, words=["--label"])
        self.refused(2, "ablate", "--train", self.slice, "--test", self.slice, "--label", "region", words=["STOFM-2092"])
        self.refused(2, "ablate", "--train", self.slice, "--label", "region", "--rows", "inputs,nonsense", words=["nonsense"])
        line = self.refused(2, "ablate", "--train", self.slice, "--label", "layer", words=["layer"])
        self.assertIn("region", line)
        (self.dir / "t.csv").write_text("kept")
        self.refused(2, "ablate", "--train", self.slice, "--label", "region", "--csv", "t.csv", words=["t.csv"])


if __name__ == "__main__":
    support.main()
