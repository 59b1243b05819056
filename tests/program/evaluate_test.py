# SPDX-License-Identifier: MIT
"""`stofm evaluate`: every figure against what scikit-learn and SciPy said (make_evaluate_fixture.py), awkward
labels, refusals, the same result at any thread count."""
import json
import shutil

import support

DATA = support.SOURCE / "tests" / "data" / "evaluate"


class Evaluate(support.Case):
    def setUp(self):
        if not support.has_hdf5():
            self.skipTest("built without HDF5")
        super().setUp()
        shutil.copyfile(DATA / "evaluate.h5ad", self.dir / "a.h5ad")
        self.expected = json.loads((DATA / "expected.json").read_text())

    def evaluate(self, *options):
        return json.loads(self.ok("evaluate", "a.h5ad", "--json", "-q", *options).stdout)

    def close(self, found, expected, tolerance=1e-12):
        for key, value in expected.items():
            self.assertAlmostEqual(found[key], value, delta=tolerance, msg=key)

    def test_labels_equal_scikit_learn(self):
        result = self.evaluate("--truth", "region", "--predicted", "stofm_region")
        labels, expected = result["labels"], self.expected
        self.assertEqual([labels["cells"], labels["without_truth"], labels["without_prediction"]],
                         [expected["both"], expected["without_truth"], expected["without_prediction"]])
        self.assertTrue(labels["names_shared"])
        self.close(labels["scores"], expected["labels"])
        self.assertEqual([one["name"] for one in labels["classes"]], [one["name"] for one in expected["classes"]])
        for found, one in zip(labels["classes"], expected["classes"]):
            self.close(found, {key: one[key] for key in ["cells", "predicted", "precision", "recall", "f1"]})
        counts = labels["confusion"]["counts"]
        self.assertEqual(labels["confusion"]["columns"], ["L1", "L2", "L3", "WM", "new"])
        self.assertEqual([sum(row) for row in counts], [one["cells"] for one in expected["classes"][:4]])
        for key, (low, high) in labels["intervals"].items():
            self.assertLessEqual(low, high)
            self.assertTrue(low - 0.2 < labels["scores"][key] < high + 0.2, key)
        # Bands of one label 3 cells wide: coherent, and more so than the prediction.
        self.assertGreater(labels["coherence"]["truth"], labels["coherence"]["predicted"])
        self.assertGreater(labels["coherence"]["predicted"], labels["coherence"]["predicted_by_chance"])

    def test_clusters_have_no_f1(self):
        labels = self.evaluate("--truth", "region", "--predicted", "cluster", "--bootstrap", "0")["labels"]
        self.assertFalse(labels["names_shared"])
        self.close(labels["scores"], self.expected["clusters"])
        self.assertNotIn("accuracy", labels["scores"])
        self.assertNotIn("intervals", labels)
        self.assertNotIn("classes", labels)
        self.assertEqual(labels["confusion"]["columns"], ["3", "4", "7", "8"])

    def test_slices_of_one_file_and_several_files(self):
        by_library = self.evaluate("--truth", "region", "--predicted", "stofm_region", "--by", "slice", "--library-key",
                                   "library")
        for one in by_library["labels"]["slices"]:
            self.close(one["scores"], self.expected["slices"][one["name"]])
        self.close(by_library["labels"]["scores"], self.expected["labels"])
        shutil.copyfile(self.dir / "a.h5ad", self.dir / "b.h5ad")
        both = json.loads(self.ok("evaluate", "a.h5ad", "b.h5ad", "--json", "--truth", "region", "--predicted",
                                  "stofm_region", "--by", "slice").stdout)
        self.assertEqual(both["labels"]["cells"], 2 * self.expected["both"])
        self.close(both["labels"]["scores"], {"accuracy": self.expected["labels"]["accuracy"]})
        self.assertEqual([one["name"] for one in both["labels"]["slices"]], ["a", "b"])
        self.assertEqual(both["inputs"], ["a.h5ad", "b.h5ad"])

    def test_silhouette(self):
        found = self.evaluate("--truth", "region", "--embedding", "X_small")["silhouette"]
        self.assertAlmostEqual(found["truth"], self.expected["silhouette_truth"], delta=1e-12)
        self.assertNotIn("predicted", found)
        done = self.ok("evaluate", "a.h5ad", "--truth", "one", "--embedding", "X_small")
        self.assertIn("no silhouette of one", done.stdout)

    def test_proportions_equal_scipy(self):
        expected = self.expected["proportions"]
        # Predicted shares are float32 in obsm once read: 6e-8 of each, divided by a spread of about 0.3.
        for truth, found in [("n_*", "stofm_proportions")]:
            result = self.evaluate("--truth-proportions", truth, "--predicted-proportions", found)["proportions"]
            self.assertEqual(result["spots"], expected["spots"])
            self.assertEqual(result["left_out"], self.expected["cells"] - expected["spots"])
            self.assertEqual(result["one_sided_types"], ["D"])
            self.close(result["scores"], {key: expected[key] for key in
                                          ["mean_pearson", "mean_spearman", "rmse", "mean_jensen_shannon"]}, 1e-6)
            for type_found, one in zip(result["types"], expected["types"]):
                self.assertEqual(type_found["name"], one["name"])
                self.close(type_found, {key: one[key] for key in ["pearson", "spearman", "rmse"]}, 1e-6)
            self.assertIsNone(result["types"][3]["pearson"])  # D is 0 throughout
            for low, high in result["intervals"].values():
                self.assertLess(low, high)

    def test_terminal_report_and_figures(self):
        done = self.ok("evaluate", "a.h5ad", "--truth", "region", "--predicted", "stofm_region", "--report", "r.html",
                       "--figures", "figures")
        self.assertIn("macro F1", done.stdout)
        self.assertIn(f"{self.expected['labels']['macro_f1']:.4g}", done.stdout)
        self.assertIn("left out: 4 cells without region, 2 more without stofm_region", done.stdout)
        self.assertIn("wrote r.html", done.stderr)
        self.assertTrue((self.dir / "figures").is_dir())
        self.refused(2, "evaluate", "a.h5ad", "--truth", "region", "--predicted", "stofm_region", "--report", "r.html",
                     words=["r.html", "exists"])
        same = self.ok("evaluate", "a.h5ad", "--truth", "region", "--predicted", "region", "--bootstrap", "0")
        self.assertRegex(same.stdout, r"accuracy +1\n")

    def test_awkward_labels(self):
        one = self.evaluate("--truth", "one", "--predicted", "stofm_region")
        self.assertIn("the truth is one class only", " ".join(one["notices"]))
        self.refused(4, "evaluate", "a.h5ad", "--truth", "empty", "--predicted", "region",
                     words=["no cell with both labels", "144 of 144", "4780"])
        self.refused(2, "evaluate", "a.h5ad", "--truth", "regoin", "--predicted", "stofm_region",
                     words=["obs has \"region\"", "3552"])
        self.refused(2, "evaluate", "a.h5ad", "--truth", "region", "--predicted", "score", words=["real numbers", "3553"])
        self.refused(2, "evaluate", "a.h5ad", "--truth", "region", words=["--predicted", "2054"])
        self.refused(2, "evaluate", "a.h5ad", words=["nothing to compare"])
        self.refused(2, "evaluate", words=["no slice"])
        self.refused(2, "evaluate", "a.h5ad", "--truth", "region", "--embedding", "X_smal", words=["\"X_small\"", "3552"])
        self.refused(4, "evaluate", "a.h5ad", "--truth-proportions", "X_small", "--predicted-proportions",
                     "stofm_proportions", words=["no type of", "4781"])
        self.refused(3, "evaluate", "absent.h5ad", "--truth", "a", "--predicted", "b", words=["absent.h5ad"])

    def test_only_some_cells(self):
        lower = self.evaluate("--truth", "region", "--predicted", "stofm_region", "--only", "library=lower")
        self.close(lower["labels"]["scores"], self.expected["slices"]["lower"])

    def test_one_seed_one_result(self):
        options = ["--truth", "region", "--predicted", "stofm_region", "--embedding", "X_small", "--silhouette-cells", "50"]
        first = self.evaluate(*options, "--threads", "1")
        self.assertEqual(first, self.evaluate(*options, "--threads", "3"))
        self.assertNotEqual(first, self.evaluate(*options, "--seed", "1"))


if __name__ == "__main__":
    support.main()
