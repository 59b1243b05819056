# SPDX-License-Identifier: MIT
"""stofm.embed beside the program: the same bits and the same words; and what it does to an AnnData."""
import json
import os
import signal
import threading
import unittest
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse

import stofm
from stofm import _adata, _stofm
from support import LEFT, SOURCE, XENIUM, ZOO, Case, contents, quietly, read


class BesideTheProgram(Case):
    def assert_same(self, path, options=(), **arguments):
        theirs, npy = self.embedded_by_program(path, *options)
        adata = read(path)
        quietly(stofm.embed, adata, **arguments)
        key = "X_stofm_cells" if arguments.get("cells_only") else "X_stofm"
        self.assert_same_bits(adata.obsm[key], theirs.obsm[key])
        self.assert_same_bits(adata.obsm[key], npy)
        ours, record = dict(adata.uns["stofm"]), dict(theirs.uns["stofm"])
        del record["input_sha256"]
        # The same notices; where one names an option, here it names the argument.
        self.assertEqual(*([text.split(" ")[0] for text in of.pop("notices")] for of in (ours, record)))
        self.assertEqual(json.loads(ours.pop("options")), json.loads(record.pop("options")))
        self.assertEqual(ours, record)
        return adata

    def test_a_xenium_slice(self):
        self.assert_same(XENIUM)

    def test_an_osmfish_slice_with_empty_cells(self):
        self.assert_same(SOURCE / "tests" / "data" / "osmfish_sscortex_6471.h5ad")

    def test_slices_beside_the_checkout(self):
        folder = os.environ.get("STOFM_DATA")
        if not folder:
            self.skipTest("STOFM_DATA is not set")
        for name in ("starmap_BZ5", "her2st_G2", "visium_dlpfc_151510_500genes"):
            with self.subTest(name):
                self.assert_same(Path(folder) / f"{name}.h5ad")
        self.assert_same(Path(folder) / "merfish_mpoa_6509.h5ad", ["--counts-scale", "linear"], counts_scale="linear")

    def test_every_storage_of_the_zoo(self):
        for name in ("csr_f32_gzip", "csc", "dense_f32", "csr_i32", "csr_f64_idx64", "nullable_columns", "spatial_3d"):
            with self.subTest(name):
                self.assert_same(ZOO / f"{name}.h5ad")

    def test_log1p_values_are_turned_back(self):
        adata = self.assert_same(ZOO / "lognorm_X_counts_raw.h5ad", ["--use-raw"], use_raw=True)
        self.assertEqual(adata.uns["stofm"]["counts"], "raw/X")
        adata = self.assert_same(ZOO / "lognorm_X_counts_layer.h5ad")
        self.assertIn("log1p", adata.uns["stofm"]["counts_scale"])
        self.assert_same(ZOO / "lognorm_X_counts_layer.h5ad", ["--layer", "counts"], layer="counts")

    def test_options_that_change_the_result(self):
        for options, arguments in ((["--seed", "5"], {"seed": 5}),
                                   (["--cells-only"], {"cells_only": True}),
                                   (["--dtype", "bf16"], {"dtype": "bfloat16"}),
                                   (["--split", "300", "--merge-slivers"], {"split": 300, "merge_slivers": True}),
                                   (["--geometry", "stable"], {"geometry": "stable"})):
            with self.subTest(options):
                self.assert_same(LEFT, options, **arguments)

    def test_libraries(self):
        adata = read(LEFT)
        adata.obs["section"] = np.where(np.arange(adata.n_obs) % 2 == 0, "even", "odd")
        path = self.dir / "two.h5ad"
        adata.write_h5ad(path)
        ours = self.assert_same(path, ["--library-key", "section"], library_key="section")
        whole = quietly(stofm.embed, adata, overlay=True, copy=True)
        self.assertFalse(np.array_equal(ours.obsm["X_stofm"], whole.obsm["X_stofm"]))

    def test_the_program_takes_the_result_as_its_own(self):
        adata = read(LEFT)
        quietly(stofm.embed, adata)
        path = self.dir / "ours.h5ad"
        adata.write_h5ad(path)
        done = self.program("cluster", path, "--use", "stofm", "--clusters", "4", "-o", self.dir / "c.h5ad")
        self.assertIn('obsm["X_stofm"] of the file is used', done.stderr + done.stdout)


class WhatItDoesToAnAnnData(Case):
    def test_numbers_of_threads_give_the_same_bits(self):
        adata = read(LEFT)
        one = quietly(stofm.embed, adata, threads=1, copy=True).obsm["X_stofm"]
        before = _stofm.thread_count()
        self.assert_same_bits(one, quietly(stofm.embed, adata, threads=3, copy=True).obsm["X_stofm"])
        self.assertEqual(_stofm.thread_count(), before)

    def test_only_obsm_and_uns_change(self):
        adata = read(LEFT)
        before, obsm = contents(adata), set(adata.obsm)
        copy, parts = quietly(stofm.embed, adata, key_added="X_b", copy=True, return_parts=True)
        self.assertEqual(contents(adata), before)
        self.assertEqual(set(copy.obsm) - obsm, {"X_b"})
        self.assertEqual(copy.obsm["X_b"].dtype, np.float32)
        self.assertEqual((len(parts.macro), len(parts.piece)), (adata.n_obs, adata.n_obs))
        self.assertEqual(sum(piece["cells"] for piece in parts.pieces), adata.n_obs)
        self.assertEqual(int(parts.piece.max()) + 1, len(parts.pieces))
        self.assertEqual(int(parts.macro.max()) + 1, copy.uns["stofm"]["virtual_cells"])
        self.assertIsNone(quietly(stofm.embed, adata))
        self.assertEqual(list(adata.obs.columns), list(copy.obs.columns))

    def test_tasks_of_uns_are_kept(self):
        adata = read(LEFT)
        adata.uns["stofm"] = {"cluster": {"resolution": 1.0}, "model": "another"}
        quietly(stofm.embed, adata)
        self.assertEqual(adata.uns["stofm"]["cluster"], {"resolution": 1.0})
        self.assertNotEqual(adata.uns["stofm"]["model"], "another")

    def test_a_view_is_embedded(self):
        adata = read(LEFT)
        some = adata[np.arange(adata.n_obs) < 300]
        self.assertTrue(some.is_view)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stofm.embed(some, progress=False)
        self.assertEqual(some.obsm["X_stofm"].shape[0], 300)
        self.assertNotIn("X_stofm", adata.obsm)

    def test_a_result_can_be_written_and_read(self):
        adata = read(LEFT)
        quietly(stofm.embed, adata)
        adata.write_h5ad(self.dir / "a.h5ad")
        again = read(self.dir / "a.h5ad")
        self.assert_same_bits(again.obsm["X_stofm"], adata.obsm["X_stofm"])
        self.assertEqual(again.uns["stofm"]["model_sha256"], adata.uns["stofm"]["model_sha256"])

    def test_counts_are_read_where_they_are(self):
        def addresses(matrix):
            adata = read(LEFT)
            adata.X = matrix
            return _adata.make_slice(adata).addresses, adata.X

        counts = read(LEFT).X
        for dtype in (np.float32, np.int32, np.float64, np.uint16):
            found, held = addresses(scipy.sparse.csr_matrix(counts, dtype=dtype))
            self.assertEqual(found, [part.ctypes.data for part in (held.data, held.indices, held.indptr)])
            found, held = addresses(np.asarray(counts.todense(), dtype=dtype))
            self.assertEqual(found, [held.ctypes.data])
            found, held = addresses(np.asfortranarray(counts.todense(), dtype=dtype))
            self.assertEqual(found, [held.ctypes.data])
        with self.assertLogs("stofm", "INFO") as said:  # a copy is said
            addresses(scipy.sparse.csc_matrix(counts))
        self.assertIn("a copy is made", said.output[0])

    def test_every_type_and_order_gives_the_same_bits(self):
        adata = read(LEFT)
        expected = quietly(stofm.embed, adata, copy=True).obsm["X_stofm"]
        counts = scipy.sparse.csr_matrix(adata.X)
        dense = np.asarray(counts.todense())
        for matrix in (counts.astype(np.int16), counts.astype(np.float64), counts.tocsc(), counts.tocoo().tocsr(),
                       dense, np.asfortranarray(dense), dense.astype(">f4"), dense.astype(np.uint64), dense[:, ::1]):
            other = adata.copy()
            other.X = matrix
            quietly(stofm.embed, other)
            self.assert_same_bits(other.obsm["X_stofm"], expected)


class Refusals(Case):
    def assert_refused(self, code, change=None, kind=stofm.Error, word="", **arguments):
        adata = read(LEFT)
        if change:
            change(adata)
        before = contents(adata)
        with self.assertRaises(kind) as raised:
            quietly(stofm.embed, adata, **arguments)
        self.assertEqual(raised.exception.code, code, raised.exception)
        self.assertIn(f"[{code}]", str(raised.exception))
        self.assertIn(word, str(raised.exception))
        self.assertNotRegex(raised.exception.remedy, "--|Options::")
        self.assertEqual(contents(adata), before)
        return raised.exception

    def test_codes_and_kinds(self):
        def negative(adata):
            adata.X = adata.X.copy()
            adata.X.data[7] = -1

        def not_finite(adata):
            adata.obsm["spatial"] = adata.obsm["spatial"].astype(float)
            adata.obsm["spatial"][3, 0] = np.nan

        def wrong_index(adata):
            adata.X = scipy.sparse.csr_matrix(adata.X)
            adata.X.indices[0] = adata.n_vars

        self.assert_refused("STOFM-3530", negative, stofm.DataError, "negative")
        self.assert_refused("STOFM-3531", not_finite, stofm.DataError, "row 3")
        self.assert_refused("STOFM-3513", wrong_index, stofm.FileError)
        self.assert_refused("STOFM-3506", lambda a: a.obsm.pop("spatial"), stofm.DataError, "spatial_key")
        self.assert_refused("STOFM-3505", layer="raw_counts", kind=stofm.DataError, word="layer")
        self.assert_refused("STOFM-3505", use_raw=True)
        self.assert_refused("STOFM-3537", layer="a", use_raw=True, kind=stofm.UsageError)
        self.assert_refused("STOFM-3538", library_key="slide", kind=stofm.UsageError, word="library_key")
        self.assert_refused("STOFM-3538", gene_key="symbol", kind=stofm.UsageError, word="gene_key")
        self.assert_refused("STOFM-4304", split=0, kind=stofm.UsageError)
        self.assert_refused("STOFM-4342", max_memory=1000, kind=stofm.ResourceError, word="max_memory")
        self.assert_refused("STOFM-2094", dtype="float16", kind=stofm.UsageError)
        self.assert_refused("STOFM-3550", counts_scale="sqrt", kind=stofm.UsageError)

    def test_errors_are_those_that_python_knows(self):
        self.assertTrue(issubclass(stofm.DataError, ValueError))
        self.assertTrue(issubclass(stofm.UsageError, ValueError))
        self.assertTrue(issubclass(stofm.ResourceError, RuntimeError))
        for kind in (stofm.DataError, stofm.UsageError, stofm.FileError, stofm.ResourceError, stofm.DeviceError):
            self.assertTrue(issubclass(kind, stofm.Error))

    def test_scaled_values_name_where_counts_are(self):
        def scale(adata):
            adata.layers["counts"] = adata.X.copy()
            adata.X = np.asarray(adata.X.todense()) - 0.7

        error = self.assert_refused("STOFM-3529", scale, stofm.DataError)
        self.assertIn('layer="counts"', error.remedy)

    def test_a_backed_file_is_refused_with_the_way_out(self):
        import anndata
        adata = anndata.read_h5ad(LEFT, backed="r")
        with self.assertRaises(stofm.UsageError) as raised:
            stofm.embed(adata, progress=False)
        self.assertEqual(raised.exception.code, "STOFM-2093")
        self.assertIn("to_memory", raised.exception.remedy)
        adata.file.close()

    def test_models_that_are_none(self):
        missing = self.dir / "no.safetensors"
        self.assertEqual(self.assert_refused("STOFM-3001", model=missing, kind=stofm.FileError).file, str(missing))
        broken = self.dir / "broken.safetensors"
        broken.write_bytes(Path(stofm.bundled_model()).read_bytes()[:-5])
        self.assert_refused("STOFM-3110", model=broken, kind=stofm.FileError)

    def test_a_warning_made_an_error_leaves_the_slice_as_it_is(self):
        adata = read(LEFT)
        before = contents(adata)
        with warnings.catch_warnings():
            warnings.simplefilter("error", stofm.StofmWarning)
            with self.assertRaises(stofm.StofmWarning):
                stofm.embed(adata, progress=False)
        self.assertEqual(contents(adata), before)

    def test_notices_are_warnings_with_codes(self):
        with self.assertWarns(stofm.StofmWarning) as warned:
            stofm.embed(read(ZOO / "spatial_3d.h5ad"), progress=False)
        self.assertTrue(any("[STOFM-W3508]" in str(one.message) for one in warned.warnings))
        self.assertEqual(Path(warned.filename).name, Path(__file__).name)


class Running(Case):
    def interrupted(self, progress, error):
        adata = read(XENIUM)
        before = contents(adata)
        with self.assertRaises(error):
            quietly(stofm.embed, adata, progress=progress)
        self.assertEqual(contents(adata), before)

    def test_ctrl_c_stops_at_the_next_unit_of_work(self):
        heard = []

        def interrupt(stage, done, total, unit):
            heard.append((stage, done, total))
            if len(heard) == 1:
                os.kill(os.getpid(), signal.SIGINT)

        self.interrupted(interrupt, KeyboardInterrupt)
        # Far from the end of the first of three stages.
        self.assertEqual({stage for stage, _, _ in heard}, {"cells"})
        self.assertTrue(all(done < total for _, done, total in heard), heard)

    def test_what_a_callback_raises_is_raised(self):
        def fail(stage, done, total, unit):
            raise LookupError("enough")

        self.interrupted(fail, LookupError)

    def test_progress_goes_through_three_stages_to_their_ends(self):
        heard = []
        quietly(stofm.embed, read(XENIUM), progress=lambda *event: heard.append(event))
        stages = list(dict.fromkeys(event[0] for event in heard))
        self.assertEqual(stages, ["cells", "virtual cells", "pieces"])
        last = {event[0]: event for event in heard}
        for stage in stages:
            self.assertEqual(last[stage][1], last[stage][2])

    def test_other_threads_go_on(self):
        counted, seen, stop = [0], [], threading.Event()

        def count():
            while not stop.is_set():
                counted[0] += 1

        other = threading.Thread(target=count)
        other.start()
        try:
            quietly(stofm.embed, read(XENIUM), progress=lambda *event: seen.append(counted[0]))
        finally:
            stop.set()
            other.join()
        self.assertGreater(len(seen), 2)
        # Events may come one right after the other; with the lock held the other thread would stand still throughout.
        self.assertLess(seen[0], seen[-1])

    def test_two_slices_at_once(self):
        expected = quietly(stofm.embed, read(LEFT), copy=True).obsm["X_stofm"]
        results = []
        threads = [threading.Thread(target=lambda: results.append(quietly(stofm.embed, read(LEFT), copy=True)))
                   for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(results), 2)
        for adata in results:
            self.assert_same_bits(adata.obsm["X_stofm"], expected)

    def test_a_child_of_fork_embeds(self):
        expected = quietly(stofm.embed, read(LEFT), copy=True).obsm["X_stofm"]
        child = os.fork()
        if child == 0:
            same = np.array_equal(quietly(stofm.embed, read(LEFT), copy=True).obsm["X_stofm"], expected)
            os._exit(0 if same else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


if __name__ == "__main__":
    unittest.main()
