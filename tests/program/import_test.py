# SPDX-License-Identifier: MIT
"""`stofm import` from folder to embedding: two formats of the same numbers give the same bits, refusals leave nothing."""
import gzip
import random

import support


class Import(support.EmbedCase):
    def setUp(self):
        super().setUp()
        lines = (support.SOURCE / "weights_tools" / "genes" / "genes.tsv").read_text().splitlines()[1:61]
        self.ids = [line.split("\t")[0] for line in lines]
        numbers = random.Random(3)
        self.cells = [f"cell{i}-1" for i in range(50)]
        self.places = {cell: (numbers.randrange(8000) / 8, numbers.randrange(8000) / 8) for cell in self.cells}
        self.counts = [[numbers.randrange(6) * numbers.randrange(2) for _ in self.ids] for _ in self.cells]

    def positions(self):
        return "cell_id,x_centroid,y_centroid\n" + "".join(
            f"{cell},{x},{y}\n" for cell, (x, y) in sorted(self.places.items(), reverse=True))

    def xenium(self, name="outs"):
        """A folder of Xenium as text; two controls."""
        folder = self.dir / name
        matrix = folder / "cell_feature_matrix"
        matrix.mkdir(parents=True)
        (folder / "experiment.xenium").write_text('{"major_version": 12}')
        features = self.ids + ["NegControlProbe_1", "UnassignedCodeword_2"]
        entries = [(g + 1, c + 1, v) for c, row in enumerate(self.counts) for g, v in enumerate(row + [3, 4]) if v]
        texts = {"barcodes.tsv.gz": "".join(cell + "\n" for cell in self.cells),
                 "features.tsv.gz": "".join(f"{f}\t{f}\t{'Gene Expression' if g < len(self.ids) else 'Unassigned Codeword'}\n"
                                            for g, f in enumerate(features)),
                 "matrix.mtx.gz": f"%%MatrixMarket matrix coordinate integer general\n{len(features)} {len(self.cells)} "
                                  f"{len(entries)}\n" + "".join("%d %d %d\n" % e for e in entries)}
        for file, text in texts.items():
            (matrix / file).write_bytes(gzip.compress(text.encode()))
        (folder / "cells.csv.gz").write_bytes(gzip.compress(self.positions().encode()))
        return folder

    def test_from_folder_to_embedding(self):
        self.xenium("sample/outs")
        done = self.ok("import", "sample/outs")
        self.assertIn("50 cells, 60 genes", done.stderr)
        self.assertIn("2 Unassigned Codeword features are no genes", done.stderr)
        self.assertIn("wrote sample.h5ad", done.stderr)
        (self.dir / "counts.csv").write_text(
            "\t".join(["gene", *self.cells]) + "\n" +
            "".join("\t".join([gene, *(str(row[g]) for row in self.counts)]) + "\n" for g, gene in enumerate(self.ids)))
        (self.dir / "cells.csv").write_text(self.positions())
        self.ok("import", "counts.csv", "--positions", "cells.csv", "-o", "tables.h5ad")
        for name in ("sample", "tables"):
            self.ok("embed", f"{name}.h5ad", "--npy", f"{name}.npy")
        self.assertEqual((self.dir / "sample.npy").read_bytes(), (self.dir / "tables.npy").read_bytes())
        self.assertIn("50 cells", self.ok("info", "sample.h5ad").stdout)
        self.ok("embed", "sample", "--npy", "direct.npy", "-o", "direct.h5ad")
        self.assertEqual((self.dir / "direct.npy").read_bytes(), (self.dir / "sample.npy").read_bytes())
        self.assertEqual(sorted(path.name for path in self.dir.glob("*tmp*")), [])
        self.assertIn("sample/outs: 50 cells x 60 genes", self.ok("embed", "sample/outs", "--dry-run").stdout)
        before = (self.dir / "sample.h5ad").read_bytes()
        self.refused(2, "import", "sample/outs", words=["STOFM-3010", "sample.h5ad"])
        self.ok("import", "sample/outs", "--overwrite")
        self.assertEqual((self.dir / "sample.h5ad").read_bytes(), before)

    def test_refusals_name_the_file_and_leave_nothing(self):
        folder = self.xenium()
        self.refused(4, "import", "outs", "--strict", "-o", "strict.h5ad", words=["W3902"])
        self.refused(2, "import", "outs", "--format", "zenium", words=["visium"])
        self.refused(2, "import", "outs", "--bin", "8", words=["STOFM-3919", "--bin"])
        self.refused(3, "import", "none", words=["none"])
        (folder / "cell_by_gene.csv").write_text("cell,A\n")
        self.refused(3, "import", "outs", words=["STOFM-3902", "Xenium", "MERSCOPE", "--format xenium"])
        self.ok("import", "outs", "--format", "xenium", "-o", "named.h5ad")
        cells = folder / "cells.csv.gz"
        cells.write_bytes(cells.read_bytes()[:-20])
        self.refused(3, "import", "outs", "--format", "xenium", words=["STOFM-3904", "cells.csv.gz"])
        cells.unlink()
        self.refused(3, "import", "outs", "--format", "xenium", words=["STOFM-3903", "cells.csv.gz"])
        (folder / "cells.zarr.zip").write_bytes(b"PK")
        self.refused(3, "import", "outs", "--format", "xenium", words=["only cells.zarr.zip", "cells.parquet"])
        self.refused(3, "import", "outs/cells.zarr.zip", words=["cells.csv.gz or cells.parquet", "folder"])
        self.refused(3, "embed", "outs/cells.zarr.zip", words=["Xenium", "stofm import"])
        alone = self.dir / "alone"
        alone.mkdir()
        (alone / "cell_feature_matrix.zarr.zip").write_bytes(b"PK")
        self.refused(3, "import", "alone", words=["only cell_feature_matrix.zarr.zip", "cell_feature_matrix.h5"])


if __name__ == "__main__":
    support.main()
