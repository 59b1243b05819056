#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/data/parquet: tables of positions as instruments write them, in Parquet and the same as text. Needs pandas, pyarrow.

    python tests/program/make_parquet_fixtures.py
"""
import pathlib
import random

import pandas
import pyarrow
import pyarrow.parquet

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "data" / "parquet"
CELLS = 50


def write(name, table, schema, **options):
    table.to_csv(FOLDER / f"{name}.csv", index=False)
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(table, schema, preserve_index=False),
                                FOLDER / f"{name}.parquet", **options)


def main():
    FOLDER.mkdir(exist_ok=True)
    numbers = random.Random(5)
    place = [[numbers.uniform(0, 9000), numbers.uniform(0, 7000)] for _ in range(CELLS)]
    xenium = pandas.DataFrame({"cell_id": [f"aaaa{i:04d}-1" for i in range(CELLS)], "x_centroid": [x for x, _ in place],
                               "y_centroid": [y for _, y in place], "transcript_counts": range(CELLS)})
    write("xenium_cells", xenium, pyarrow.schema({"cell_id": pyarrow.string(), "x_centroid": pyarrow.float64(),
                                                  "y_centroid": pyarrow.float64(), "transcript_counts": pyarrow.uint64()}),
          compression="snappy", row_group_size=20)
    hd = pandas.DataFrame({"barcode": [f"s_008um_{i // 8:05d}_{i % 8:05d}-1" for i in range(CELLS)],
                           "in_tissue": [int(i % 7 > 0) for i in range(CELLS)], "array_row": [i // 8 for i in range(CELLS)],
                           "array_col": [i % 8 for i in range(CELLS)], "pxl_row_in_fullres": [y for _, y in place],
                           "pxl_col_in_fullres": [x for x, _ in place]})
    write("tissue_positions", hd, pyarrow.schema({"barcode": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
                                                  "in_tissue": pyarrow.uint8(), "array_row": pyarrow.int32(),
                                                  "array_col": pyarrow.int64(), "pxl_row_in_fullres": pyarrow.float64(),
                                                  "pxl_col_in_fullres": pyarrow.float64()}), compression="zstd")


if __name__ == "__main__":
    main()
