# SPDX-License-Identifier: MIT
"""`stofm cluster`: clusters and a view of one or many slices."""
import json

import support


class Cluster(support.EmbedCase):
    def setUp(self):
        super().setUp()
        self.other = self.copy("csr_f32_gzip.h5ad", "other.h5ad")

    def summary(self, *arguments):
        done = self.ok("cluster", *arguments, "--json", "-q")
        return json.loads(done.stdout)

    def test_one_slice_by_its_defaults(self):
        said = self.ok("cluster", self.slice, "--clusters", 3).stderr
        self.assertIn("3 clusters of 60 cells", said)
        self.assertIn("cluster 2:", said)
        self.assertIn("% of slice", said)
        self.assertTrue((self.dir / "slice.cluster.h5ad").exists())

    def test_exactly_as_many_as_asked_for_by_every_method(self):
        for method in ("leiden", "kmeans", "gmm", "minibatch"):
            for clusters in (1, 2, 5):
                with self.subTest(method=method, clusters=clusters):
                    found = self.summary(self.slice, "--method", method, "--clusters", clusters, "--overwrite",
                                         "--layout", "none", "--use", "pca")
                    self.assertEqual(found["clusters"], clusters)
                    self.assertEqual(sum(found["sizes"]), 60)
                    self.assertEqual(found["sizes"], sorted(found["sizes"], reverse=True))

    def test_every_embedding(self):
        for words in (["stofm"], ["cells"], ["context", "--rounds", "1"], ["context", "--features", "pca", "--rounds", "1"],
                      ["genes"], ["pca"], ["pca+nbr"], ["linear-context"], ["stofm", "--own-weight", "0.2"],
                      ["pca+nbr", "--own-weight", "0.2"]):
            with self.subTest(use=words):
                found = self.summary(self.slice, "--use", *words, "--clusters", 2, "--overwrite", "--layout", "none")
                self.assertEqual(found["clusters"], 2)

    def test_slices_are_clustered_together_with_the_same_labels(self):
        found = self.summary(self.slice, self.other, "--clusters", 3)
        self.assertEqual(len(found["outputs"]), 2)
        for first, second in found["counts"]:  # twins: the same cells in the same clusters
            self.assertEqual(first, second)
        for name in ("slice", "other"):
            text = self.ok("info", self.dir / f"{name}.cluster.h5ad").stdout
            self.assertIn("stofm_cluster", text)

    def test_sweep_suggests_a_number(self):
        found = self.summary(self.slice, "--sweep", "2:4", "--method", "kmeans", "--layout", "none", "--use", "pca")
        self.assertEqual([trial["clusters"] for trial in found["sweep"]], [2, 3, 4])
        best = max(found["sweep"], key=lambda trial: trial["stability"])
        self.assertEqual(found["clusters"], best["clusters"])
        for trial in found["sweep"]:
            self.assertLessEqual(trial["stability"], 1)

    def test_the_same_bytes_at_any_thread_count(self):
        for threads in (1, 3):
            self.ok("cluster", self.slice, "--clusters", 3, "--threads", threads, "-o", self.dir / f"out{threads}.h5ad")
        self.assertEqual((self.dir / "out1.h5ad").read_bytes(), (self.dir / "out3.h5ad").read_bytes())

    def test_report_and_figures(self):
        self.ok("cluster", self.slice, "--clusters", 3, "--report", self.dir / "r.html", "--figures", self.dir / "f")
        self.assertIn("stofm_cluster", (self.dir / "r.html").read_text())
        self.assertTrue(any((self.dir / "f").iterdir()))

    def test_refusals(self):
        self.refused(2, "cluster", self.slice, "--method", "kmeans", words=("--clusters", "STOFM-2059"))
        self.refused(2, "cluster", self.slice, "--method", "gmm", "--resolution", "1", words=("STOFM-2059",))
        self.refused(2, "cluster", self.slice, "--use", "pca", "--own-weight", "0.5", "--clusters", 2,
                     words=("--own-weight", "STOFM-2058"))
        self.refused(2, "cluster", self.slice, "--sweep", "9:3", words=("--sweep",))
        self.refused(2, "cluster", self.slice, "--sweep", "4", words=("--sweep",))
        self.refused(2, "cluster", self.slice, "--clusters", "0", words=("--clusters",))
        self.refused(4, "cluster", self.slice, "--clusters", "61", words=("STOFM-4720",))
        self.refused(2, "cluster", words=("no slice",))
        self.refused(3, "cluster", self.dir / "missing.h5ad", words=("missing.h5ad",))


if __name__ == "__main__":
    support.main()
