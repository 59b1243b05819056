#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`stofm impute`: genes that a slice lacks, hidden genes, refusals."""
import json

import support
from support import SLICE, SOURCE

XENIUM = SOURCE / "examples" / "data" / "xenium_mousebrain_4261.h5ad"
PLAIN = ("--surroundings", "none")  # the embedding has its own test


class Impute(support.EmbedCase):
    def impute(self, *arguments):
        return json.loads(self.ok("impute", *arguments, "--json").stdout)

    def test_hidden_genes_are_predicted_and_scored(self):
        found = self.impute(self.slice, "--reference", SLICE, "--test-genes", 6, "-o", "a.h5ad", *PLAIN)
        one = found["slices"][0]
        self.assertEqual(found["outputs"], [str(self.dir / "a.h5ad")] if found["outputs"][0].startswith("/") else ["a.h5ad"])
        self.assertEqual(len(one["genes"]), 6)
        self.assertEqual(one["learnt_genes"], 27)
        # These 60 cells are cells of the reference, whose genes go together: far from chance.
        self.assertGreater(one["measured_pearson"], 0.1)
        self.assertTrue((self.dir / "a.h5ad").exists())
        again = self.impute(self.slice, "--reference", SLICE, "--test-genes", 6, "-o", "b.h5ad", "--threads", 1, *PLAIN)
        self.assertEqual(again["slices"][0]["genes"], one["genes"])
        other = self.impute(self.slice, "--reference", SLICE, "--test-genes", 6, "-o", "c.h5ad", "--seed", 4, *PLAIN)
        self.assertNotEqual([gene["gene"] for gene in other["slices"][0]["genes"]], [gene["gene"] for gene in one["genes"]])

    def test_named_genes_of_the_slice_become_a_layer(self):
        self.ok("impute", self.slice, "--reference", SLICE, "--genes", "Gad2,rorb", "-o", "layer.h5ad", *PLAIN)
        info = json.loads(self.ok("info", "layer.h5ad", "--json").stdout)
        self.assertIn("stofm_imputed", json.dumps(info))
        # The result is a slice as the input was: it can be read again.
        self.ok("impute", "layer.h5ad", "--reference", SLICE, "--genes", "Vip", "-o", "again.h5ad", *PLAIN)

    def test_lacking_genes_make_a_new_file(self):
        found = self.impute(self.slice, "--reference", XENIUM, "--max-genes", 20, "--report", "r.html", *PLAIN)
        one = found["slices"][0]
        self.assertEqual(len(one["genes"]), 20)
        self.assertEqual(one["shared_genes"], 11)
        told = [gene["pearson"] for gene in one["genes"]]
        self.assertEqual([gene["told"] for gene in one["genes"]], [value >= 0.2 for value in told])
        self.assertTrue((self.dir / "slice.impute.h5ad").exists())
        self.assertIn("can't be told", (self.dir / "r.html").read_text() + str(found))
        self.refused(2, "impute", self.slice, "--reference", XENIUM, *PLAIN, words=["slice.impute.h5ad", "--overwrite"])
        self.refused(2, "impute", self.slice, "--reference", XENIUM, "--in-place", "--max-genes", 5, *PLAIN,
                     words=["STOFM-2057"])

    def test_counts_of_raw(self):
        plain = self.impute(self.slice, "--reference", self.copy("csr_i32.h5ad", "a.h5ad"), "--test-genes", 6, "-o",
                            "plain.h5ad", *PLAIN)["slices"][0]
        both = (self.copy("lognorm_X_counts_raw.h5ad", "raw.h5ad"), "--reference",
                self.copy("lognorm_X_counts_raw.h5ad", "b.h5ad"), "--use-raw", "--test-genes", 6, *PLAIN)
        found = self.impute(*both, "-o", "raw_out.h5ad")["slices"][0]
        self.assertEqual(found["genes"], plain["genes"])
        # raw may have other genes than X, and a layer has those of X: a new file it is, which can be read again.
        self.ok("impute", "plain.h5ad", "--reference", SLICE, "--genes", "Vip", "-o", "layer.h5ad", *PLAIN)
        self.refused(4, "impute", "raw_out.h5ad", "--reference", SLICE, "--genes", "Vip", *PLAIN)  # it has no counts
        self.refused(2, "impute", *both, "--in-place", words=["STOFM-2057", "raw"])

    def test_surroundings_by_the_model(self):
        reference = self.copy("csr_i32.h5ad", "reference.h5ad")
        found = self.impute(self.slice, "--reference", reference, "--genes", "Gad2", "-o", "m.h5ad")
        self.assertIn("X_stofm", found["slices"][0]["features"])
        knn = self.impute(self.slice, "--reference", reference, "--genes", "Gad2", "-o", "k.h5ad", "--method", "knn",
                          "--surroundings", "neighbours", "--align", "scale")
        self.assertIn("nearest cells", knn["slices"][0]["features"])

    def test_names_by_symbol_alone(self):
        reference = self.copy("symbols_only.h5ad")
        found = self.impute(self.slice, "--reference", reference, "--genes", "Gad2", "-o", "s.h5ad", *PLAIN)
        self.assertEqual([gene["gene"] for gene in found["slices"][0]["genes"]], ["Gad2"])

    def test_refusals(self):
        self.refused(2, "impute", self.slice, words=["--reference"])
        self.refused(4, "impute", self.slice, "--reference", XENIUM, "--genes", "Gad2,Nosuchgene", *PLAIN,
                     words=["STOFM-4775", "Nosuchgene"])
        self.refused(4, "impute", self.slice, "--reference", SLICE, *PLAIN, words=["STOFM-4778"])
        self.refused(4, "impute", self.slice, "--reference", SLICE, "--hold-out-genes", "Cux2", *PLAIN,
                     words=["STOFM-4776"])
        self.refused(2, "impute", self.slice, "--reference", SLICE, "--test-genes", 32, *PLAIN, words=["STOFM-4776"])
        self.refused(2, "impute", self.slice, "--reference", self.slice, *PLAIN, words=["STOFM-2056"])
        self.refused(2, "impute", self.slice, "--reference", SLICE, "--hold-out", 0.8, words=["0.5"])
        lognorm = self.copy("lognorm_X_counts_layer.h5ad")
        zero = self.copy("zero_cells.h5ad")
        self.refused(4, "impute", self.slice, "--reference", zero, "--genes", "Gad2", *PLAIN, words=["STOFM"])
        self.ok("impute", self.slice, "--reference", lognorm, "--genes", "Gad2", "-o", "l.h5ad", *PLAIN)  # counts in a layer


if __name__ == "__main__":
    support.main()
