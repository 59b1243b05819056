# SPDX-License-Identifier: MIT
"""Inputs that somebody else holds, and inputs that are no slices: said in one line, nothing is touched."""
import fcntl
import struct

import support


class Held(support.EmbedCase):
    def test_a_file_that_is_open_for_writing_elsewhere_is_refused(self):
        before = (self.dir / "slice.h5ad").read_bytes()
        with open(self.dir / "slice.h5ad", "rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for arguments in [("embed", "slice.h5ad", "-o", "out.h5ad"), ("embed", "slice.h5ad", "--in-place"),
                              ("info", "slice.h5ad")]:
                line = self.refused(3, *arguments, words=["open for writing in another process", "STOFM-3503"])
                self.assertNotIn("damaged", line)
        self.assertEqual((self.dir / "slice.h5ad").read_bytes(), before)

    def test_a_reader_elsewhere_is_no_obstacle_but_for_in_place(self):
        with open(self.dir / "slice.h5ad", "rb") as other:
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self.ok("embed", "slice.h5ad", "-o", "out.h5ad")
            line = self.refused(3, "embed", "slice.h5ad", "--in-place", words=["open in another process"])
            self.assertIn("STOFM-3503", line)
        self.ok("embed", "slice.h5ad", "--in-place")


class Relatives(support.EmbedCase):
    def test_folders_and_files_of_other_programs_are_named_with_the_line_that_converts_them(self):
        (self.dir / "s.zarr").mkdir()
        (self.dir / "s.zarr" / ".zgroup").write_text("{}")
        (self.dir / "outs" / "spatial").mkdir(parents=True)
        (self.dir / "outs" / "filtered_feature_bc_matrix.h5").write_bytes(b"x")
        (self.dir / "seurat.rds").write_bytes(b"\x1f\x8b\x08" + bytes(40))
        for name, words in [("s.zarr", ["a zarr store", "anndata.read_zarr("]),
                            ("outs", ["Space Ranger", "stofm import "]),
                            ("seurat.rds", ["an R object", "anndataR::write_h5ad("])]:
            for arguments in [("embed", name, "-o", "out.h5ad"), ("info", name)]:
                imported = arguments[:2] == ("embed", "outs")  # as far as it goes: the matrix is no HDF5
                line = self.refused(3, *arguments, words=["filtered_feature_bc_matrix.h5"] if imported else words)
                self.assertNotIn("damaged", line)

    def test_a_slice_given_to_a_verb_for_arrays_is_named(self):
        for verb in ["virtual-cells", "subslices"]:
            self.refused(3, verb, "slice.h5ad", "-o", "out.safetensors", words=["HDF5", "embed"])
        (self.dir / "page.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"x" * 100)
        self.refused(3, "info", "page.safetensors", words=["header length"])


if __name__ == "__main__":
    support.main()
