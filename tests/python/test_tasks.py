# SPDX-License-Identifier: MIT
"""stofm.cluster, annotate and segment beside the program; pl.spatial."""
import unittest

import numpy as np
import pandas as pd

import stofm
from support import LEFT, RIGHT, XENIUM, Case, contents, quietly, read


class TaskCase(Case):
    def assert_refused(self, code, function, *arguments, **options):
        adata = read(RIGHT)
        before = contents(adata)
        with self.assertRaises(stofm.Error) as raised:
            function(adata, *arguments, **options)
        self.assertEqual(raised.exception.code, code, raised.exception)
        self.assertEqual(contents(adata), before)


class BesideTheProgram(TaskCase):
    def classified(self, verb, key, *options):
        """What the program says of the right crop, by labels of the left one."""
        out = self.dir / f"{verb}.h5ad"
        self.program(verb, RIGHT, "--train", LEFT, "--label", "region" if verb == "segment" else "cell_type", "-o", out,
                     "--no-floors", "--overwrite", "-q", *options)
        return read(out)

    def assert_same_labels(self, ours, theirs, key):
        names = list(ours.obs[key].cat.categories)
        self.assertEqual(list(theirs.obs[key].cat.categories)[:len(names)], names)
        self.assertEqual(list(ours.uns[key + "_colors"]), list(theirs.uns[key + "_colors"])[:len(names)])
        self.assertEqual(list(ours.obs[key]), list(theirs.obs[key]))
        mine, other = ours.obsm[key + "_probabilities"], theirs.obsm[key + "_probabilities"]
        self.assertEqual(list(mine.columns), names)
        self.assert_same_bits(mine.to_numpy(np.float32), other[names].to_numpy(np.float32))
        # The program lists classes of the truth as well, which no labelled slice has.
        self.assertFalse(other.drop(columns=names).to_numpy().any())
        np.testing.assert_array_equal(ours.obs[key + "_probability"].to_numpy(float),
                                      theirs.obs[key + "_probability"].to_numpy(float))

    def test_clusters(self):
        path = self.dir / "embedded.h5ad"
        self.program("embed", XENIUM, "-o", path, "-q")
        for options, arguments in ((["--clusters", "7"], {"n_clusters": 7}),
                                   (["--resolution", "0.5"], {"resolution": 0.5}),
                                   (["--clusters", "5", "--method", "kmeans"], {"n_clusters": 5, "method": "kmeans"})):
            with self.subTest(options):
                out = self.dir / "clusters.h5ad"
                self.program("cluster", path, "--use", "stofm", "-o", out, "--layout", "none", "--overwrite", "-q", *options)
                adata = read(path)
                stofm.cluster(adata, **arguments)
                # Not assertEqual of lists: where they differ, unittest compares thousands of cells line by line, for minutes.
                np.testing.assert_array_equal(adata.obs["stofm_cluster"].to_numpy(str),
                                              read(out).obs["stofm_cluster"].to_numpy(str))
                self.assertEqual(list(adata.uns["stofm_cluster_colors"]), list(read(out).uns["stofm_cluster_colors"]))

    def test_cell_types(self):
        theirs = self.classified("annotate", "stofm_cell_type")
        adata = read(RIGHT)
        quietly(stofm.annotate, adata, read(LEFT), label="cell_type")
        self.assert_same_labels(adata, theirs, "stofm_cell_type")
        self.assertEqual(adata.uns["stofm"]["annotate"]["label"], "cell_type")

    def test_regions(self):
        theirs = self.classified("segment", "stofm_region", "--smooth", "5")
        adata = read(RIGHT)
        quietly(stofm.segment, adata, [read(LEFT)], label="region", smooth=5)
        self.assert_same_labels(adata, theirs, "stofm_region")

    def test_fine_tuned(self):
        theirs = self.classified("segment", "stofm_region", "--tune", "all", "--epochs", "2")
        adata = read(RIGHT)
        quietly(stofm.segment, adata, read(LEFT), label="region", tune="all", epochs=2)
        self.assert_same_labels(adata, theirs, "stofm_region")

    def test_heads_that_were_saved(self):
        """By either, used by the other: the labels are those of learning anew."""
        for verb, function, key, label, options, arguments in (
                ("segment", stofm.segment, "stofm_region", "region", ["--tune", "all", "--epochs", "1", "--center=on"],
                 {"tune": "all", "epochs": 1, "center": "on"}),
                ("segment", stofm.segment, "stofm_region", "region", ["--use", "cells+genes+pca+nbr", "--center=on"],
                 {"use": "cells+genes+pca+nbr", "center": "on"}),
                ("annotate", stofm.annotate, "stofm_cell_type", "cell_type", [], {})):
            with self.subTest(f"{verb} {options}"):
                mine, theirs = self.dir / "mine.safetensors", self.dir / "theirs.safetensors"
                learnt = self.classified(verb, key, *options, "--save", theirs)
                adata = read(RIGHT)
                quietly(function, adata, read(LEFT), label=label, save=mine, **arguments)
                self.assert_same_labels(adata, learnt, key)
                for head in (mine, theirs):
                    again = read(RIGHT)
                    quietly(function, again, head=head)
                    self.assertEqual(again.uns["stofm"][verb]["head"], str(head))
                    out = self.dir / "by_head.h5ad"
                    self.program(verb, RIGHT, "--head", head, "-o", out, "--no-floors", "--overwrite", "-q")
                    self.assert_same_labels(again, read(out), key)
                    np.testing.assert_array_equal(again.obs[key].to_numpy(str), adata.obs[key].to_numpy(str))
                mine.unlink()
                theirs.unlink()
        quietly(stofm.segment, read(RIGHT), read(LEFT), use="pca", save=mine)
        self.assert_refused("STOFM-2087", stofm.annotate, head=mine)
        self.assert_refused("STOFM-2094", stofm.segment, read(LEFT), head=mine)
        mine.write_bytes(mine.read_bytes()[:-1])
        self.assert_refused("STOFM-3110", stofm.segment, head=mine)
        self.assert_refused("STOFM-4744", stofm.segment, head=stofm.bundled_model())
        self.assert_refused("STOFM-2088", stofm.segment, read(LEFT), use="linear-context", save=mine)


    def test_a_matrix_of_ones_own(self):
        import pandas as pd
        import scipy.sparse as sp
        train, target, plain = read(LEFT), read(RIGHT), read(RIGHT)
        for one in (train, target):
            quietly(stofm.embed, one)
            values = one.obsm["X_stofm"]
            one.obsm["X_mine"] = values.astype(np.float64)
            one.obsm["frame"] = pd.DataFrame(values, index=one.obs_names).add_prefix("c")
            one.obsm["sparse"] = sp.csr_matrix(values)
        quietly(stofm.segment, plain, read(LEFT), use="stofm", smooth=0)
        head = self.dir / "own.safetensors"
        for key in ("frame", "sparse", "X_mine"):
            quietly(stofm.segment, target, train, use=f"obsm:{key}", smooth=0, save=head)
            np.testing.assert_array_equal(target.obs["stofm_region"].to_numpy(str), plain.obs["stofm_region"].to_numpy(str))
        quietly(stofm.segment, target, head=head)
        np.testing.assert_array_equal(target.obs["stofm_region"].to_numpy(str), plain.obs["stofm_region"].to_numpy(str))
        self.assert_refused("STOFM-4766", stofm.segment, read(LEFT), use="obsm:X_mine")
        self.assert_refused("STOFM-4766", stofm.segment, head=head)
        target.obsm["X_mine"][3, 1] = np.nan
        with self.assertRaises(stofm.DataError) as caught:
            stofm.segment(target, head=head)
        self.assertIn("STOFM-4765", str(caught.exception))
        self.assert_refused("STOFM-4792", stofm.segment, read(LEFT), use="pca", smooth=1001)


class Arguments(TaskCase):
    def test_refusals(self):
        one = read(LEFT)
        one.obs["region"] = "a"
        none = read(LEFT)
        none.obs["region"] = None
        self.assert_refused("STOFM-2081", stofm.segment, [])
        self.assert_refused("STOFM-3552", stofm.segment, read(LEFT), "no such column")
        self.assert_refused("STOFM-2084", stofm.segment, one)
        self.assert_refused("STOFM-2083", stofm.segment, none)
        self.assert_refused("STOFM-2053", stofm.segment, read(LEFT), use="umap", progress=False)
        self.assert_refused("STOFM-2094", stofm.segment, read(LEFT), tune="last:2")
        self.assert_refused("STOFM-3552", stofm.cluster)
        self.assert_refused("STOFM-2059", stofm.cluster, method="gmm")
        self.assert_refused("STOFM-4720", lambda adata: stofm.cluster(adata, 10**6, use_rep="spatial"))

    def test_unassigned(self):
        adata = read(RIGHT)
        quietly(stofm.segment, adata, read(LEFT), use="pca", unassigned_below=0.9)
        unsure = adata.obsm["stofm_region_probabilities"].max(axis=1) < 0.9
        self.assertTrue(0 < unsure.sum() < len(unsure))
        self.assertTrue((adata.obs["stofm_region"][unsure] == "unassigned").all())
        self.assertEqual(len(adata.uns["stofm_region_colors"]), len(adata.obs["stofm_region"].cat.categories))
        self.assertFalse((adata.obs["stofm_region"][~unsure] == "unassigned").any())

    def test_the_same_functions_under_tl(self):
        for name in stofm.tl.__all__:
            self.assertIs(getattr(stofm.tl, name), getattr(stofm, name))


class Plot(Case):
    def test_a_panel_for_each_colour(self):
        try:
            import matplotlib
        except ImportError:
            self.skipTest("matplotlib is not installed")
        matplotlib.use("Agg")
        adata = read(XENIUM)
        adata.uns["cell_type_colors"] = ["#102030"] * adata.obs["cell_type"].astype("category").cat.categories.size
        gene = adata.var_names[0]
        axes = stofm.pl.spatial(adata, ["cell_type", gene], save=self.dir / "map.png")
        self.assertEqual([one.get_title() for one in axes], ["cell_type", gene])
        self.assertGreater((self.dir / "map.png").stat().st_size, 20000)
        points = sum(len(drawn.get_offsets()) for drawn in axes[0].collections)
        self.assertEqual(points, adata.n_obs)
        self.assertEqual(matplotlib.colors.to_hex(axes[0].collections[0].get_facecolor()[0]), "#102030")
        np.testing.assert_array_equal(axes[1].collections[0].get_array(),
                                      np.asarray(adata[:, gene].X.todense()).ravel())
        self.assertTrue(axes[0].yaxis_inverted())
        with self.assertRaises(stofm.UsageError):
            stofm.pl.spatial(adata, "no such thing")

    def test_cells_without_a_label_are_drawn(self):
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            self.skipTest("matplotlib is not installed")
        adata = read(LEFT)
        adata.obs["part"] = pd.Categorical(["a", None] * (adata.n_obs // 2) + ["b"] * (adata.n_obs % 2))
        figure, ax = plt.subplots()
        self.assertIs(stofm.pl.spatial(adata, "part", ax=ax), ax)
        self.assertEqual(sum(len(drawn.get_offsets()) for drawn in ax.collections), adata.n_obs)
        plt.close(figure)


if __name__ == "__main__":
    unittest.main()
