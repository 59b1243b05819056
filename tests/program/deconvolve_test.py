# SPDX-License-Identifier: MIT
"""`stofm pseudospots` and `stofm deconvolve` end to end on two crops of a slice (tests/data/make_crops.py)."""
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import SOURCE, ZOO, EmbedCase, main  # noqa: E402

LEFT, RIGHT = SOURCE / "tests" / "data" / "crop_left.h5ad", SOURCE / "tests" / "data" / "crop_right.h5ad"
LABEL = ["--label", "cell_type"]
REFERENCE = ["--reference", LEFT, *LABEL]


class Made(EmbedCase):
    def summary(self, *arguments):
        return json.loads(self.ok(*arguments, "--json").stdout)

    def spots(self, *options, name="spots.h5ad", cells=RIGHT):
        return self.summary("pseudospots", cells, *LABEL, "-o", name, *options)["slices"][0]


class Pseudospots(Made):
    def test_squares(self):
        made = self.spots("--cells-per-spot", "6")
        self.assertGreater(made["spots"], 20)
        self.assertGreater(made["cells"] / made["spots"], 3)
        self.assertEqual(made["cells"] + made["cells_without_label"] + made["cells_of_sparse_squares"], 420)
        again = self.spots("--size", made["square"], name="again.h5ad")
        self.assertEqual((again["spots"], again["cells"]), (made["spots"], made["cells"]))
        self.ok("info", "spots.h5ad")

    def test_depth_noise_and_seed(self):
        whole, half = self.spots(), self.spots("--depth", "0.5", name="half.h5ad")
        # Binomial: five standard deviations of the mean over spots.
        counts = whole["mean_counts"] * whole["spots"]
        self.assertLess(abs(half["mean_counts"] * half["spots"] - counts / 2), 5 * (counts / 4) ** 0.5)
        noisy = self.spots("--platform-noise", "0.7", name="noisy.h5ad")
        self.assertLess(noisy["mean_counts"], whole["mean_counts"])
        for threads in (1, 2, 5):
            self.spots("--depth", "0.5", "--threads", threads, name=f"t{threads}.h5ad")
        one = (self.dir / "t1.h5ad").read_bytes()
        self.assertEqual(one, (self.dir / "t2.h5ad").read_bytes())
        self.assertEqual(one, (self.dir / "t5.h5ad").read_bytes())
        self.spots("--depth", "0.5", "--seed", "1", name="other.h5ad")
        self.assertNotEqual(one, (self.dir / "other.h5ad").read_bytes())

    def test_random(self):
        made = self.spots("--random", "30", "--cells-per-spot", "8")
        self.assertEqual(made["spots"], 30)

    def test_refusals(self):
        out = ["-o", "x.h5ad"]
        self.refused(2, "pseudospots", RIGHT, *out, words=("--label",))
        self.refused(2, "pseudospots", RIGHT, "--label", "cell_typ", *out, words=("cell_typ", "cell_type"))
        self.refused(2, "pseudospots", RIGHT, *LABEL, *out, "--size", "10", "--random", "5", words=("--size",))
        self.refused(4, "pseudospots", RIGHT, *LABEL, *out, "--size", "1e-6", "--min-cells", "50",
                     words=("STOFM-4761", "--min-cells"))
        self.refused(2, "pseudospots", RIGHT, *LABEL, *out, "--depth", "0", words=("--depth",))
        self.ok("pseudospots", RIGHT, *LABEL, *out)
        self.refused(2, "pseudospots", RIGHT, *LABEL, *out, words=("x.h5ad", "--overwrite"))


class Deconvolve(Made):
    def test_truth_is_found(self):
        self.spots("--cells-per-spot", "6")
        found = self.summary("deconvolve", "spots.h5ad", *REFERENCE, "-o", "out.h5ad", "--report", "out.html",
                             "--figures", "figures")["slices"][0]
        scores = found["scores"]
        self.assertEqual(found["genes"], 33)
        self.assertEqual(found["truth"], "obsm/truth_proportions")
        self.assertEqual(scores["spots"], found["spots"])
        self.assertGreater(scores["pearson"], 0.3)  # that of a constant estimate is 0
        self.assertLess(scores["rmse"], 0.2)
        self.assertGreater(scores["coverage"], 0.8)
        self.assertAlmostEqual(sum(found["mean_share"].values()), 1, places=6)
        self.assertIn("least_squares", found)
        page = (self.dir / "out.html").read_text()
        for word in ("Mean share of each type", "Pearson of each type", "Least squares".lower()):
            self.assertIn(word, page)
        self.assertTrue(any((self.dir / "figures").iterdir()))
        # What was written can be judged again, and the options are in the file.
        self.assertIn("stofm_proportions", (self.dir / "out.h5ad").read_bytes().decode("latin-1"))

    def test_options(self):
        self.spots("--cells-per-spot", "8")
        same = None
        for threads in (1, 2, 5):
            self.ok("deconvolve", "spots.h5ad", *REFERENCE, "--threads", threads, "-o", f"{threads}.h5ad")
            same = same or (self.dir / "1.h5ad").read_bytes()
            self.assertEqual(same, (self.dir / f"{threads}.h5ad").read_bytes())
        for name, options in (("nnls", ["--method", "nnls"]), ("counts", ["--as", "counts"]),
                              ("on", ["--platform-effect", "on"]), ("off", ["--platform-effect", "off"]),
                              ("prior", ["--prior", "5"]), ("none", ["--interval", "0", "--no-truth"])):
            with self.subTest(name):
                found = self.summary("deconvolve", "spots.h5ad", *REFERENCE, *options, "-o", f"{name}.h5ad")["slices"][0]
                if name != "none":
                    self.assertGreater(found["scores"]["pearson"], 0.2)
                    self.assertEqual(found["platform_effects"], name == "on")
                else:
                    self.assertNotIn("scores", found)
                if name == "prior":
                    self.assertGreater(found["prior_counts"], 5)
        kept = self.summary("deconvolve", "spots.h5ad", *REFERENCE, "--min-cells", "30", "-o", "few.h5ad")["slices"][0]
        self.assertGreater(len(kept["types_with_few_cells"]), 0)
        self.assertEqual(set(kept["types"]) & set(kept["types_with_few_cells"]), set())
        first = kept["types"][0]
        less = self.summary("deconvolve", "spots.h5ad", *REFERENCE, "--leave-out", first, "-o", "less.h5ad")["slices"][0]
        self.assertNotIn(first, less["types"])
        self.assertIn(first, less["scores"]["by_type"])  # a type that the reference lacks counts against it

    def test_head(self):
        self.spots("--cells-per-spot", "6")
        head = ["deconvolve", "spots.h5ad", *REFERENCE, "--method", "head"]
        found = self.summary(*head, "--threads", 1, "-o", "1.h5ad", "--report", "h.html")["slices"][0]
        self.assertGreater(found["scores"]["pearson"], 0.2)  # that of a constant estimate is 0
        self.assertFalse(found["platform_effects"])
        self.assertIn("least_squares", found)
        self.assertIn("head on the simplex", (self.dir / "h.html").read_text())
        written = (self.dir / "1.h5ad").read_bytes()
        for name in (b"stofm_proportions_low", b"stofm_misfit", b"stofm_explained_counts"):
            self.assertNotIn(name, written)
        self.ok(*head, "--threads", 3, "-o", "3.h5ad")
        self.assertEqual(written, (self.dir / "3.h5ad").read_bytes())
        self.ok(*head, "--seed", 1, "-o", "other.h5ad")
        self.assertNotEqual(written, (self.dir / "other.h5ad").read_bytes())
        counts = self.summary(*head, "--as", "counts", "-o", "counts.h5ad")["slices"][0]
        self.assertNotEqual(counts["mean_share"], found["mean_share"])
        (self.dir / "p.csv").write_text("gene,A,B\nGad2,9,0.5\nPlp1,1,20\nVip,0,3\n")
        self.refused(2, "deconvolve", "spots.h5ad", "--reference", "p.csv", "--method", "head", "-o", "x.h5ad",
                     words=("STOFM-2077", "--method"))

    def test_no_positions_several_references_and_a_table(self):
        self.spots()
        both = self.summary("deconvolve", "spots.h5ad", "--reference", LEFT, RIGHT, *LABEL, "-o", "both.h5ad")["slices"][0]
        one = self.summary("deconvolve", "spots.h5ad", *REFERENCE, "-o", "one.h5ad")["slices"][0]
        self.assertGreater(both["scores"]["pearson"], one["scores"]["pearson"])  # the spots' own cells are in it
        genes = [f"gene{g}" for g in range(3)]
        (self.dir / "none.csv").write_text("gene,A,B\n" + "".join(f"{g},1,2\n" for g in genes))
        self.refused(4, "deconvolve", "spots.h5ad", "--reference", "none.csv", "-o", "x.h5ad",
                     words=("STOFM-4751", "none.csv"))
        (self.dir / "p.csv").write_text("gene,A,B\nGad2,9,0.5\nPlp1,1,20\nVip,0,3\n")
        table = self.summary("deconvolve", "spots.h5ad", "--reference", "p.csv", "-o", "table.h5ad")["slices"][0]
        self.assertEqual((table["types"], table["genes"]), (["A", "B"], 3))
        self.assertNotIn("scores", table)

    def test_empty_spots_symbols_and_missing_labels(self):
        found = self.summary("deconvolve", ZOO / "two_all_zero_cells.h5ad", *REFERENCE, "-o", "zero.h5ad")["slices"][0]
        self.assertEqual(found["empty_spots"], 3)
        self.assertGreaterEqual(found["spots_with_few_counts"], 3)
        self.assertAlmostEqual(sum(found["mean_share"].values()), 1, places=6)  # over the others
        found = self.summary("deconvolve", ZOO / "symbols_only.h5ad", *REFERENCE, "-o", "symbols.h5ad")["slices"][0]
        self.assertEqual((found["matched_by"], found["genes"]), ("symbols", 33))
        holes = ZOO / "nullable_columns.h5ad"
        made = self.summary("pseudospots", holes, "--label", "text", "-o", "holes.h5ad", "--min-cells", "1")["slices"][0]
        self.assertEqual((made["cells_without_label"], made["cells"]), (20, 40))
        done = self.ok("deconvolve", "holes.h5ad", "--reference", holes, "--label", "text", "--min-cells", "1", "-o",
                       "filled.h5ad")
        self.assertIn("20 cells without text", done.stderr)

    def test_refusals(self):
        self.spots()
        out = ["-o", "x.h5ad"]
        spots = ["deconvolve", "spots.h5ad"]
        self.refused(2, *spots, *out, words=("--reference",))
        self.refused(2, *spots, "--reference", LEFT, *out, words=("STOFM-2073", "--label"))
        self.refused(2, *spots, "--reference", LEFT, "--label", "cell_typ", *out, words=("cell_typ", "cell_type"))
        self.refused(3, *spots, "--reference", "nowhere.h5ad", *LABEL, *out, words=("nowhere.h5ad",))
        self.refused(4, *spots, *REFERENCE, *out, "--min-cells", "100000", words=("STOFM-2075", "--min-cells"))
        for text, words in (("gene,A,B\nGad2,-1,2\n", ("line 2",)), ("gene,A,B\nGad2,x,2\n", ("line 2",)),
                            ("gene,A,A\nGad2,1,2\n", ("STOFM-2072",)), ("gene,A\nGad2,1\n", ("STOFM-2072",))):
            (self.dir / "bad.csv").write_text(text)
            self.refused(4, *spots, "--reference", "bad.csv", *out, words=words)
        (self.dir / "p.csv").write_text("gene,A,B\nGad2,9,0.5\nMbp,1,20\n")
        self.refused(2, *spots, "--reference", "p.csv", LEFT, *LABEL, *out, words=("STOFM-2073",))
        one = ["--leave-out", *[t for t in self.types() if t != "Pyramidal L6"]]
        self.refused(4, *spots, *REFERENCE, *one, *out, words=("STOFM-2074",))
        self.ok(*spots, *REFERENCE, *out)
        self.refused(2, *spots, *REFERENCE, *out, words=("x.h5ad",))
        self.refused(4, "deconvolve", ZOO / "zero_cells.h5ad", *REFERENCE, "-o", "none.h5ad")

    def types(self):
        return self.spots(cells=LEFT, name=f"types{len(self.files())}.h5ad")["types"]


if __name__ == "__main__":
    main()
