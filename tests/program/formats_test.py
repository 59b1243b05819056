# SPDX-License-Identifier: MIT
"""Every file of the format zoo through the program: the same embeddings, or a refusal that says what to do."""
import os
from pathlib import Path

import support

OPTIONS = {
    "lognorm_X_counts_layer.h5ad": ["--layer", "counts"],
    "lognorm_X_counts_raw.h5ad": ["--use-raw"],
    "no_obsm_spatial_xy_in_obs.h5ad": ["--x", "x", "--y", "y"],
    "nan_coordinates.h5ad": ["--drop-bad-coords"],
}
OTHER_CONTENT = {"nan_coordinates.h5ad", "two_all_zero_cells.h5ad", "symbols_only.h5ad"}


class Formats(support.EmbedCase):
    def test_every_form_of_a_slice_gives_the_same_embeddings(self):
        expected = None
        for path in sorted(support.ZOO.glob("*.h5ad")):
            if path.name == "zero_cells.h5ad":
                continue
            with self.subTest(path.name):
                self.ok("embed", path, "-o", f"{path.stem}.out.h5ad", "--npy", f"{path.stem}.npy",
                        *OPTIONS.get(path.name, []))
                if path.name in OTHER_CONTENT:
                    continue
                data = (self.dir / f"{path.stem}.npy").read_bytes()
                expected = expected or data
                self.assertEqual(data, expected)

    def test_what_can_not_be_used_is_refused_with_the_remedy(self):
        for name, words in {"zero_cells.h5ad": ["0 cells"],
                            "lognorm_X_counts_raw.h5ad": ["X", "--use-raw"]}.items():
            self.refused(4, "embed", support.ZOO / name, "-o", "out.h5ad", words=[name, *words])
        self.refused(4, "embed", support.ZOO / "lognorm_X_counts_layer.h5ad", "-o", "out.h5ad", "--counts-scale",
                     "log10", words=["log1p values (base e)", "Leave --counts-scale out"])
        self.refused(4, "embed", "slice.h5ad", "-o", "out.h5ad", "--layer", "none", words=["layers/none"])
        self.refused(4, "embed", "slice.h5ad", "-o", "out.h5ad", "--spatial-key", "none", words=["none"])
        self.refused(2, "embed", "slice.h5ad", "-o", "out.h5ad", "--gene-key", "none", words=["none"])

    def test_counts_come_back_from_log_values_with_one_notice(self):
        self.ok("embed", "slice.h5ad", "-o", "counts.h5ad", "--npy", "counts.npy")
        notice = "turned back into counts"
        source = support.ZOO / "lognorm_X_counts_layer.h5ad"
        for scale in ("auto", "log1p"):
            done = self.ok("embed", source, "-o", "log.h5ad", "--npy", "log.npy", "--overwrite", "--counts-scale", scale)
            self.assertEqual(done.stderr.count(notice), 1, done.stderr)
            self.assertIn("log1p values (base e)", done.stderr)
            self.assertEqual((self.dir / "log.npy").read_bytes(), (self.dir / "counts.npy").read_bytes())
        self.refused(4, "embed", source, "-o", "strict.h5ad", "--strict", words=[notice, "W3550"])
        self.refused(4, "embed", source, "-o", "forced.h5ad", "--counts-scale", "counts",
                     words=["log1p values (base e)"])
        done = self.ok("embed", source, "-o", "linear.h5ad", "--accept-noninteger")
        self.assertIn("--counts-scale log1p", done.stderr)
        tokens = self.ok("tokenize", source, "-o", "t.safetensors", "--counts-scale", "log1p")
        self.assertIn(notice, tokens.stderr)
        self.refused(2, "embed", "slice.h5ad", "-o", "x.h5ad", "--counts-scale", "log", words=["log1p"])
        self.refused(2, "embed", "slice.h5ad", "-o", "x.h5ad", "--counts-scale", "linear",
                     "--accept-noninteger", words=["--counts-scale"])

    def test_damaged_files_are_refused(self):
        data = self.slice.read_bytes()
        for name, content in {"cut": data[:-100], "empty": b"", "text": b"hello\n", "zeros": bytes(4096),
                              "head": data[:2000]}.items():
            (self.dir / f"{name}.h5ad").write_bytes(content)
            self.refused(3, "embed", f"{name}.h5ad", "-o", "out.h5ad", words=[f"{name}.h5ad", "STOFM-3"])

    def test_the_large_zoo_if_it_is_there(self):
        folder = os.environ.get("STOFM_FORMATS")
        if not folder:
            self.skipTest("STOFM_FORMATS is not set")
        for path in sorted(Path(folder).glob("*.h5ad")):
            with self.subTest(path.name):
                done = self.run_program("embed", path, "--dry-run", *OPTIONS.get(path.name, []))
                self.assertIn(done.returncode, (0, 3, 4), done.stderr)


if __name__ == "__main__":
    support.main()
