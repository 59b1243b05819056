# SPDX-License-Identifier: MIT
"""`stofm segment` and `stofm annotate` end to end on two crops of a slice (tests/data/make_crops.py)."""
import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import PROGRAM, SOURCE, EmbedCase, main  # noqa: E402

LEFT, RIGHT = SOURCE / "tests" / "data" / "crop_left.h5ad", SOURCE / "tests" / "data" / "crop_right.h5ad"
XENIUM = SOURCE / "examples" / "data" / "xenium_mousebrain_4261.h5ad"
TRAIN = ["--train", LEFT, "--label", "region"]
QUICK = ["--tune", "all", "--epochs", "2", "--no-floors"]


class Across(EmbedCase):
    def summary(self, *arguments):
        return json.loads(self.ok(*arguments, "--json").stdout)

    def test_fine_tuned_beside_floors(self):
        found = self.summary("segment", RIGHT, *TRAIN, "--tune", "all", "--epochs", "3", "-o", "out.h5ad", "--report", "out.html")
        run = found["runs"][0]
        self.assertEqual(run["cells"], 420)
        self.assertEqual(sorted(run["floors"]), ["genes", "pca", "pca+nbr"])
        self.assertGreater(run["accuracy"], 0.48)  # the largest class alone: 200 of 420
        self.assertEqual(found["heads"][0]["labelled_cells"], 408)  # twelve have no label
        self.assertEqual(found["classes"], ["Layer 2-3 lateral", "Layer 4", "Layer 5", "Layer 6"])
        page = (self.dir / "out.html").read_text()
        for word in ("Confusion of regions", "F1 of each region", "Training loss", "region (truth)", "#1b9e77"):
            self.assertIn(word, page)

    def test_same_bytes_at_any_thread_count(self):
        for threads in (1, 2, 5):
            self.ok("segment", RIGHT, *TRAIN, *QUICK, "--threads", threads, "-o", f"{threads}.h5ad")
        one = (self.dir / "1.h5ad").read_bytes()
        self.assertEqual(one, (self.dir / "2.h5ad").read_bytes())
        self.assertEqual(one, (self.dir / "5.h5ad").read_bytes())

    def test_several_heads_are_weighed_and_smoothed_by_held_out_labels(self):
        for threads in (1, 2, 5):
            done = self.ok("segment", RIGHT, *TRAIN, "--no-floors", "--threads", threads, "--json", "-o", f"{threads}.h5ad")
        one = (self.dir / "1.h5ad").read_bytes()
        self.assertEqual(one, (self.dir / "2.h5ad").read_bytes())
        self.assertEqual(one, (self.dir / "5.h5ad").read_bytes())
        self.assertIn("weights of the heads: stofm", done.stderr)
        self.assertIn("held out by place", done.stderr)
        found = json.loads(done.stdout)
        self.assertEqual(found["learnt"], "a mixture of logistic regressions on stofm+pca+nbr,pca,genes")
        head = found["heads"][0]
        self.assertEqual([member["use"] for member in head["members"]], ["stofm+pca+nbr", "pca", "genes"])
        self.assertAlmostEqual(sum(member["weight"] for member in head["members"]), 1)
        self.assertIn(head["smooth"], (0, 5, 10, 20, 40))
        for word in (b"chosen_macro_f1", b"places held out in turn", b"smooth"):
            self.assertIn(word, one)
        # Above the largest class alone, 200 of 420, by far.
        self.assertGreater(found["runs"][0]["accuracy"], 0.8)

    def test_several_slices_are_held_out_in_turn(self):
        third = self.dir / "third.h5ad"
        third.write_bytes(LEFT.read_bytes())
        done = self.ok("segment", third, "--train", LEFT, RIGHT, "--label", "region", "--use", "pca,genes", "--no-floors", "-o",
                       "out.h5ad")
        self.assertIn("held out slice by slice", done.stderr)
        self.assertIn(b"slices held out in turn", (self.dir / "out.h5ad").read_bytes())

    def test_saved_head_says_the_same(self):
        for name, options in (("tuned", QUICK), ("frozen", ["--tune", "none", "--no-floors"]),
                              ("genes", ["--tune", "none", "--use", "genes", "--no-floors"]),
                              ("pca", ["--tune", "none", "--use", "pca+nbr", "--no-floors"]),
                              ("both", ["--tune", "none", "--use", "cells+genes", "--no-floors"]),
                              ("several", ["--no-floors"]),
                              ("given", ["--use", "stofm+pca+nbr,pca+rings,genes", "--smooth", "7", "--no-floors"]),
                              ("components", [*QUICK, "--features", "pca"]),
                              ("centred", [*QUICK, "--center"])):
            with self.subTest(name):
                first = self.summary("segment", RIGHT, *TRAIN, *options, "--save", f"{name}.head", "-o", f"{name}.h5ad")
                again = self.summary("segment", RIGHT, "--head", f"{name}.head", "--label", "region", "-o",
                                     f"{name}2.h5ad")
                self.assertEqual(first["pooled"], again["pooled"])
        self.ok("segment", RIGHT, "--head", "tuned.head", "-o", "plain.h5ad")  # no truth is needed
        self.refused(2, "annotate", RIGHT, "--head", "tuned.head", "-o", "x.h5ad",
                     words=("STOFM-2087", "stofm segment"))
        self.refused(2, "segment", RIGHT, "--head", "tuned.head", "--train", LEFT, "-o", "x.h5ad", words=("--head",))
        self.refused(2, "segment", RIGHT, *TRAIN, *QUICK, "--save", "tuned.head", "-o", "x.h5ad", words=("tuned.head",))

    def test_a_matrix_of_the_files_own(self):
        for path, name in ((LEFT, "left"), (RIGHT, "right")):
            self.ok("embed", path, "-o", f"{name}.h5ad")
        given = ["segment", "right.h5ad", "--train", "left.h5ad", "--label", "region", "--no-floors"]
        own = self.summary(*given, "--use", "obsm:X_stofm", "--save", "own.head", "-o", "own.h5ad")
        model = self.summary(*given, "--use", "stofm", "-o", "model.h5ad")
        self.assertEqual(own["learnt"], "logistic regression on obsm:X_stofm")
        self.assertEqual(own["pooled"], model["pooled"])
        several = self.summary(*given, "--use", "obsm:X_stofm,obsm:X_stofm+genes", "-o", "several.h5ad")
        self.assertEqual([one["use"] for one in several["heads"][0]["members"]], ["obsm:X_stofm", "obsm:X_stofm+genes"])
        again = self.summary("segment", "right.h5ad", "--head", "own.head", "--label", "region", "-o", "again.h5ad")
        self.assertEqual(own["pooled"], again["pooled"])
        self.ok("cluster", "right.h5ad", "--use", "obsm:X_stofm", "--clusters", "4", "-o", "clusters.h5ad")
        # A file without it, for learning and later; no key; not a word of cluster.
        self.refused(2, "segment", RIGHT, "--train", "left.h5ad", "--label", "region", "--use", "obsm:X_stofm", "-o", "x.h5ad",
                     words=("X_stofm", "crop_right.h5ad"))
        self.refused(2, "segment", RIGHT, "--head", "own.head", "-o", "x.h5ad", words=("X_stofm", "crop_right.h5ad"))
        self.refused(2, *given, "--use", "obsm:", "-o", "x.h5ad", words=("obsm:KEY",))
        self.refused(2, "cluster", "right.h5ad", "--use", "obsm:", "-o", "x.h5ad", words=("obsm:KEY",))

    def test_leave_one_out_and_hold_out(self):
        (self.dir / "done").mkdir()
        found = self.summary("segment", LEFT, RIGHT, "--leave-one-out", "--label", "region", "--tune", "none",
                             "--no-floors", "--output-dir", "done")
        self.assertEqual([run["cells"] for run in found["runs"]], [408, 420])
        self.assertEqual(sorted(path.name for path in (self.dir / "done").iterdir()),
                         ["crop_left.segment.h5ad", "crop_right.segment.h5ad"])
        for how, words in (("random", "leaks"), ("block", "side 5")):
            done = self.ok("segment", LEFT, "--hold-out", how, "--label", "region", "--tune", "none", "--no-floors",
                           "--json", "-o", f"{how}.h5ad")
            self.assertIn(words, done.stderr)
            self.assertEqual(len(json.loads(done.stdout)["runs"]), 5)
        sizes = [run["cells"] for run in json.loads(done.stdout)["runs"]]
        self.assertEqual(sizes, [82] * 5)  # a fifth of 408, five times

    def test_own_labels_of_an_input_are_not_learnt(self):
        done = self.ok("segment", RIGHT, "--train", LEFT, RIGHT, "--label", "region", "--tune", "none", "--no-floors",
                       "--json", "-o", "out.h5ad")
        self.assertIn("not learnt from", done.stderr)
        self.assertEqual(json.loads(done.stdout)["heads"][0]["labelled_cells"], 408)
        self.refused(2, "segment", RIGHT, "--train", RIGHT, "--label", "region", "-o", "x.h5ad",
                     words=("STOFM-2085", "--leave-one-out"))

    def test_few_labels_smoothing_and_unsure_cells(self):
        found = self.summary("segment", RIGHT, *TRAIN, "--tune", "none", "--no-floors", "--labels-per-class", "5", "-o",
                             "five.h5ad")
        self.assertEqual(found["heads"][0]["labelled_cells"], 20)
        found = self.summary("segment", RIGHT, *TRAIN, "--tune", "none", "--no-floors", "--label-share", "0.05", "-o",
                             "share.h5ad")
        self.assertEqual(found["heads"][0]["labelled_cells"], 9 + 6 + 4 + 1)
        rough = self.summary("segment", RIGHT, *TRAIN, "--use", "genes", "--no-floors", "--smooth", "0", "-o", "rough.h5ad")
        found = self.summary("segment", RIGHT, *TRAIN, "--use", "genes", "--no-floors", "--smooth", "10", "-o", "ten.h5ad")
        self.assertGreater(found["runs"][0]["macro_f1"], rough["runs"][0]["macro_f1"] + 0.05)
        chosen = self.summary("segment", RIGHT, *TRAIN, "--use", "genes", "--no-floors", "-o", "auto.h5ad")
        self.assertGreater(chosen["heads"][0]["smooth"], 0)
        kept = self.summary("annotate", RIGHT, "--train", LEFT, "--label", "cell_type", "--no-floors", "-o", "kept.h5ad")
        self.assertEqual(kept["heads"][0]["smooth"], 0)
        smooth = self.ok("segment", RIGHT, *TRAIN, "--tune", "none", "--no-floors", "--smooth", "10",
                         "--unassigned-below", "0.5", "-o", "smooth.h5ad")
        self.assertIn("unassigned", smooth.stderr)
        self.assertIn(b"unassigned", (self.dir / "smooth.h5ad").read_bytes())

    def test_cell_types(self):
        found = self.summary("annotate", RIGHT, "--train", LEFT, "--label", "cell_type", *QUICK, "-o", "types.h5ad")
        self.assertGreater(found["runs"][0]["macro_f1"], 0)
        self.assertIn(b"stofm_cell_type_probabilities", (self.dir / "types.h5ad").read_bytes())


class Refusals(EmbedCase):
    def test_labels(self):
        def refused(code, words, *arguments):
            return self.refused(code, "segment", *arguments, "-o", "x.h5ad", words=words)

        line = refused(2, ("STOFM-3552", "regiom"), RIGHT, "--train", LEFT, "--label", "regiom")
        self.assertIn("cell_type", line)
        refused(2, ("STOFM-2082",), RIGHT, "--train", LEFT)
        refused(2, ("STOFM-2081",), RIGHT, "--label", "region")
        refused(2, ("not offered", "stofm adapt"), RIGHT, *TRAIN, "--tune", "all", "--tune-cell-encoder")
        refused(2, ("SE(2) Transformer",), RIGHT, *TRAIN, "--tune", "cells")
        for smooth in ("many", "-1", "1001", ""):
            refused(2, ("--smooth", "auto or 0 to 1000"), RIGHT, *TRAIN, f"--smooth={smooth}")
        refused(2, ("--use", "joined by + or ,"), RIGHT, *TRAIN, "--use", "stofm,,pca")
        refused(2, ("STOFM-2088", "linear-context"), RIGHT, *TRAIN, "--use", "pca,linear-context", "--save", "s.head")
        refused(2, ("STOFM-2088", "two bases"), RIGHT, *TRAIN, "--use", "stofm+pca+nbr", "--features", "pca", "--save", "s.head")
        refused(2, ("STOFM-2086",), RIGHT, "--leave-one-out", "--label", "region")
        most = ["Layer 4", "Layer 5", "Layer 6"]
        refused(4, ("STOFM-2084", "Layer 2-3 lateral"), RIGHT, *TRAIN, "--ignore-labels", *most)
        refused(4, ("STOFM-2083",), RIGHT, *TRAIN, "--ignore-labels", *most, "Layer 2-3 lateral")

    def test_class_of_the_truth_alone_is_said(self):
        done = self.ok("segment", RIGHT, *TRAIN, "--tune", "none", "--no-floors", "--use", "genes", "-o", "a.h5ad")
        self.assertNotIn("never predicted", done.stderr)
        # One type of the left crop has no cell in the right one.
        types = self.ok("annotate", LEFT, "--train", RIGHT, "--label", "cell_type", "--tune", "none", "--use", "genes",
                        "--no-floors", "-o", "b.h5ad")
        self.assertIn('never predicted: "Perivascular Macrophages"', types.stderr)

    def test_panels_and_counts(self):
        # 11 of the 33 genes of the crop are in the panel of the other slice.
        done = self.ok("segment", XENIUM, *TRAIN, "--tune", "none", "--use", "genes", "--no-floors", "-o", "x.h5ad")
        self.assertIn("different genes", done.stderr)
        self.refused(4, "segment", self.copy("nan_coordinates.h5ad"), *TRAIN, "-o", "y.h5ad")

    def test_head_of_another_model_and_no_head(self):
        self.ok("segment", RIGHT, *TRAIN, "--tune", "none", "--no-floors", "--save", "a.head", "-o", "a.h5ad")
        damaged = bytearray((self.dir / "a.head").read_bytes())
        damaged[-3] ^= 1
        (self.dir / "damaged.head").write_bytes(damaged)
        self.refused(3, "segment", RIGHT, "--head", "damaged.head", "-o", "x.h5ad", words=("STOFM-4746",))
        self.refused(3, "segment", RIGHT, "--head", RIGHT, "-o", "x.h5ad")


class Killed(EmbedCase):
    def test_resume_is_bitwise(self):
        command = ["segment", RIGHT, *TRAIN, "--tune", "all", "--epochs", "5", "--no-floors"]
        self.ok(*command, "-o", "whole.h5ad")
        words = [PROGRAM, *map(str, command), "--work", "work", "-o", "killed.h5ad"]
        running = subprocess.Popen(words, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while running.poll() is None and time.monotonic() < deadline:
            if len(list((self.dir / "work").rglob("*.safetensors"))) > 0:
                break
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
        self.assertFalse((self.dir / "killed.h5ad").exists(), "it ended before it was killed")
        for lock in (self.dir / "work").rglob("lock"):  # of the killed run; whoever comes next takes it away
            lock.unlink()
        self.refused(2, *command, "--work", "work", "-o", "killed.h5ad", words=("STOFM-4743",))
        self.ok(*command, "--work", "work", "--resume", "-o", "killed.h5ad")
        self.assertEqual((self.dir / "killed.h5ad").read_bytes(), (self.dir / "whole.h5ad").read_bytes())


if __name__ == "__main__":
    os.chdir(SOURCE)
    main()
