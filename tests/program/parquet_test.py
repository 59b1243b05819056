# SPDX-License-Identifier: MIT
"""Positions in Parquet: a program with Apache Arrow has the bits of the same table as text, one without says what to do."""
import csv
import gzip
import shutil
import struct

import support

TABLES = support.SOURCE / "tests" / "data" / "parquet"  # of make_parquet_fixtures.py


class Parquet(support.EmbedCase):
    def setUp(self):
        super().setUp()
        lines = (support.SOURCE / "weights_tools" / "genes" / "genes.tsv").read_text().splitlines()[1:31]
        self.ids = [line.split("\t")[0] for line in lines]

    def write_matrix(self, folder, cells):
        folder.mkdir(parents=True)
        entries = [(g + 1, c + 1, (3 * g + 5 * c) % 7) for c in range(len(cells)) for g in range(len(self.ids)) if (g + c) % 3]
        texts = {"barcodes.tsv.gz": "".join(cell + "\n" for cell in cells),
                 "features.tsv.gz": "".join(f"{gene}\t{gene}\tGene Expression\n" for gene in self.ids),
                 "matrix.mtx.gz": f"%%MatrixMarket matrix coordinate integer general\n{len(self.ids)} {len(cells)} "
                                  f"{len(entries)}\n" + "".join("%d %d %d\n" % e for e in entries)}
        for name, text in texts.items():
            (folder / name).write_bytes(gzip.compress(text.encode()))

    def reads(self, name, x, y, matrix, table, *options, kept=lambda row: True):
        """Imports with the table as text and as Parquet; the file has the positions of the table in every bit."""
        with open(TABLES / f"{name}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.write_matrix(self.dir / matrix, [next(iter(row.values())) for row in rows])
        table = self.dir / table
        table.parent.mkdir(parents=True, exist_ok=True)
        expected = b"".join(struct.pack("<2d", float(row[x]), float(row[y])) for row in rows if kept(row))
        shutil.copyfile(TABLES / f"{name}.csv", f"{table}.csv")
        self.ok("import", "outs", *options, "-o", "text.h5ad")
        self.assertIn(expected, (self.dir / "text.h5ad").read_bytes())
        table.with_name(table.name + ".csv").unlink()
        shutil.copyfile(TABLES / f"{name}.parquet", f"{table}.parquet")
        return table.with_name(table.name + ".parquet"), expected

    def equal(self, expected):
        self.assertIn(expected, (self.dir / "parquet.h5ad").read_bytes())
        for name in ("text", "parquet"):
            self.ok("embed", f"{name}.h5ad", "--npy", f"{name}.npy")
        self.assertEqual((self.dir / "text.npy").read_bytes(), (self.dir / "parquet.npy").read_bytes())

    def test_cells_of_xenium(self):
        file, expected = self.reads("xenium_cells", "x_centroid", "y_centroid", "outs/cell_feature_matrix", "outs/cells")
        if "STOFM-3917" in self.run_program("import", "outs", "-o", "parquet.h5ad").stderr:
            self.refused(3, "import", "outs", "-o", "out.h5ad",
                         words=["cells.parquet", "pandas.read_parquet('cells.parquet').to_csv('cells.csv', index=False)"])
            return
        self.equal(expected)
        whole = file.read_bytes()
        for damaged in (whole[:-1], whole[:4] + b"\xff" * 40 + whole[44:], b"PAR1", b""):
            file.write_bytes(damaged)
            self.refused(3, "import", "outs", "-o", "out.h5ad", words=["STOFM-3905", "cells.parquet"])
        shutil.copyfile(TABLES / "tissue_positions.parquet", file)
        self.refused(3, "import", "outs", "-o", "out.h5ad", words=["STOFM-3907", "cells.parquet", "cell_id"])

    def test_squares_of_visium_hd(self):
        squares = "outs/binned_outputs/square_008um"
        _, expected = self.reads("tissue_positions", "pxl_col_in_fullres", "pxl_row_in_fullres",
                                 f"{squares}/raw_feature_bc_matrix", f"{squares}/spatial/tissue_positions", "--bin", 8,
                                 kept=lambda row: row["in_tissue"] != "0")
        done = self.ok("import", "outs", "-o", "parquet.h5ad")
        if "no Apache Arrow" in done.stderr:
            self.assertIn("the grid of the squares", done.stderr)
            return
        self.assertIn("Visium HD, squares of 8 um: 42 cells", done.stderr)
        self.equal(expected)


if __name__ == "__main__":
    support.main()
