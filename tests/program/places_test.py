# SPDX-License-Identifier: MIT
"""Where cells are, asked of the program: tables of instruments, verbs that need no positions. Rows H07, H36, D21."""
import csv
import gzip

import support


class Places(support.EmbedCase):
    def embed(self, *options):
        self.ok("embed", "slice.h5ad", "-o", "out.h5ad", "--npy", "out.npy", "--overwrite", *options)
        return (self.dir / "out.npy").read_bytes()

    def cells(self):
        """Names of the cells."""
        self.ok("embed", "slice.h5ad", "--cells-only", "-o", "names.h5ad", "--csv", "names.csv")
        with open(self.dir / "names.csv", newline="", encoding="utf-8") as file:
            return [row[0] for row in csv.reader(file)][1:]

    def test_h36_tables_of_instruments_give_one_result(self):
        cells = self.cells()
        self.assertEqual(len(cells), 60)
        places = [(name, 10.5 * (i % 8), 9.0 * (i // 8)) for i, name in enumerate(cells)]

        def write(name, rows, header=None, delimiter=","):
            opened = gzip.open if name.endswith(".gz") else open
            with opened(self.dir / name, "wt", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter=delimiter)
                if header:
                    writer.writerow(header)
                writer.writerows(rows)

        write("ours.csv", places, ["cell", "spatial_1", "spatial_2"])
        write("cells.csv.gz", places, ["cell_id", "x_centroid", "y_centroid"])
        write("cell_metadata.tsv", [(7, *place) for place in reversed(places)], ["fov", "EntityID", "center_x", "center_y"],
              "\t")
        write("tissue_positions_list.csv", [(name, 1, 0, 0, y, x) for name, x, y in places])
        write("own.csv", places, ["id", "u", "v"])
        expected = self.embed("--spatial-csv", "ours.csv")
        self.assertNotEqual(expected, self.embed())
        for table in ["cells.csv.gz", "cell_metadata.tsv", "tissue_positions_list.csv"]:
            self.assertEqual(self.embed("--spatial-csv", table), expected, table)
        self.refused(3, "embed", "slice.h5ad", "-o", "o.h5ad", "--spatial-csv", "own.csv", words=["\"u\"", "--x NAME --y NAME"])
        self.assertEqual(self.embed("--spatial-csv", "own.csv", "--x", "u", "--y", "v"), expected)

    def test_d21_verbs_that_need_no_positions_ask_for_none(self):
        self.copy("nan_coordinates.h5ad")
        self.ok("tokenize", "nan_coordinates.h5ad", "-o", "tokens.safetensors")
        self.ok("embed", "nan_coordinates.h5ad", "--cells-only", "-o", "cells.h5ad", "--npy", "cells.npy")
        shape, _ = support.read_npy(self.dir / "cells.npy")
        self.assertEqual(shape[0], 60)

    def test_h07_one_pair_of_obs_is_used_and_said(self):
        self.copy("no_obsm_spatial_xy_in_obs.h5ad", "slice.h5ad")
        done = self.ok("embed", "slice.h5ad", "-o", "a.h5ad")
        self.assertIn("positions are taken from obs[\"x\"], obs[\"y\"]", done.stderr)
        self.assertEqual(self.embed(), self.embed("--x", "x", "--y", "y"))

    def test_only_leaves_cells_out(self):
        self.refused(2, "embed", "slice.h5ad", "-o", "o.h5ad", "--only", "absent", words=["obs/absent", "--only"])


if __name__ == "__main__":
    support.main()
