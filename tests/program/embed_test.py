# SPDX-License-Identifier: MIT
"""`stofm embed` on one slice: what is written, what is said, rows C01 to C03, C05 to C07, C15, D21, D28, D31."""
import json
import os
import re
import struct

import support


class Output(support.EmbedCase):
    def test_without_options_the_result_is_written_to_the_current_directory(self):
        (self.dir / "sub").mkdir()
        done = self.ok("embed", "../slice.h5ad", cwd=self.dir / "sub")
        self.assertEqual(sorted(os.listdir(self.dir / "sub")), ["slice.stofm.h5ad"])
        self.assertEqual(done.stdout, "")
        for word in ["60 cells x 33 genes", "32 of 33 genes matched", "plan: 1 sub-slice", "time:", "peak memory",
                     "small demonstration model"]:
            self.assertIn(word, done.stderr)
        self.assertNotIn("\x1b", done.stderr)
        self.assertNotIn("\r", done.stderr)

    def test_the_result_holds_input_embeddings_and_provenance(self):
        self.ok("embed", "slice.h5ad", "-o", "out.h5ad", "--npy", "out.npy", "--csv", "out.csv")
        described = json.loads(self.ok("info", "out.h5ad", "--json").stdout)
        entries = {entry["path"]: entry for entry in described["entries"]}
        self.assertEqual(entries["obsm/X_stofm"]["shape"], "60 x 192")
        for path in ["X", "obsm/spatial", "uns/stofm"]:
            self.assertIn(path, entries)
        self.assertIn("stofm_macro", entries["obs"]["note"])
        raw = (self.dir / "out.h5ad").read_bytes()
        self.assertIn(b"small demonstration model", raw)
        shape, body = support.read_npy(self.dir / "out.npy")
        self.assertEqual(shape, (60, 192))
        numbers = struct.unpack(f"<{60 * 192}f", body)
        self.assertTrue(all(abs(value) < 1e6 for value in numbers))
        lines = (self.dir / "out.csv").read_text().splitlines()
        self.assertEqual(len(lines), 61)
        self.assertEqual(struct.pack("<192f", *map(float, lines[7].split(",")[-192:])), body[6 * 768:7 * 768])

    def test_bfloat16_products_move_cell_embeddings_by_little(self):
        """Of cells alone: a virtual cell that becomes another one moves the rest by more than the numbers do."""
        rows = []
        for name, options in [("float.npy", []), ("half.npy", ["--dtype", "bf16"])]:
            self.ok("embed", "slice.h5ad", "--cells-only", "--overwrite", "--npy", name, *options)
            (cells, width), body = support.read_npy(self.dir / name)
            numbers = struct.unpack(f"<{cells * width}f", body)
            rows.append([numbers[i * width:(i + 1) * width] for i in range(cells)])
        self.assertNotEqual(rows[0], rows[1])
        errors = [1 - sum(x * y for x, y in zip(a, b)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
                  for a, b in zip(*rows) if any(a)]  # a cell without counts is all zeros
        # Both operands are rounded by at most 2^-9 of each. Logits of this encoder go to log(2,058) = 7.6 (start_bundle.py), so
        # weights are right to 2 * 7.6 * 2^-9, and three products in a row to 6 * 2^-9 more; a cosine to half the square of both.
        self.assertLess(max(errors), ((6 + 2 * 7.6) / 512) ** 2 / 2)

    def test_bfloat16_is_said_everywhere(self):
        self.ok("embed", "slice.h5ad", "-o", "float.h5ad", "--npy", "float.npy")
        done = self.ok("embed", "slice.h5ad", "-o", "half.h5ad", "--npy", "half.npy", "--dtype", "bf16", "--report", "half.html")
        self.assertIn("bfloat16 products", done.stderr)
        self.assertIn('"bfloat16"', (self.dir / "half.html").read_text(encoding="utf-8"))
        self.assertNotEqual((self.dir / "float.npy").read_bytes(), (self.dir / "half.npy").read_bytes())

    def test_in_place_keeps_everything_else(self):
        before = json.loads(self.ok("info", "slice.h5ad", "--json").stdout)["entries"]
        self.ok("embed", "slice.h5ad", "--in-place")
        self.assertEqual(list(self.files()), ["slice.h5ad"])
        after = {entry["path"]: entry for entry in json.loads(self.ok("info", "slice.h5ad", "--json").stdout)["entries"]}
        for entry in before:
            if entry["path"] != "obs":
                self.assertEqual(after[entry["path"]], entry)
        self.assertIn("obsm/X_stofm", after)

    def test_the_report_is_one_file_that_asks_for_nothing(self):
        self.ok("embed", "slice.h5ad", "-o", "out.h5ad", "--report", "report.html")
        text = (self.dir / "report.html").read_text(encoding="utf-8")
        self.assertIn("default-src 'none'", text)
        self.assertIsNone(re.search(r"https?://|src=|@import|fetch\(", text))
        data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))
        self.assertIn("small demonstration model", data["banner"][0])
        self.assertEqual(data["title"], "slice.h5ad")
        self.assertIn(["cells", "60"], data["facts"])
        self.assertEqual(len(data["arrays"]["x"]), 60 * 4 * 4 // 3)
        self.assertTrue({"x", "y", "macro", "cluster", "genes", "piece", "pc1", "pc2"} <= set(data["arrays"]))
        for stage in ["read", "cell encoder", "virtual cells", "SE(2) encoder", "write"]:
            self.assertIn(stage, [name for name, _ in data["stages"]])

    def test_cell_embeddings_can_be_taken_out_and_given_back(self):
        self.ok("embed", "slice.h5ad", "-o", "cells.h5ad", "--cells-only", "--npy", "cells.npy")
        self.ok("embed", "slice.h5ad", "-o", "a.h5ad", "--npy", "a.npy", "--cell-embeddings", "cells.npy")
        self.ok("embed", "slice.h5ad", "-o", "b.h5ad", "--npy", "b.npy")
        self.assertEqual((self.dir / "a.npy").read_bytes(), (self.dir / "b.npy").read_bytes())
        shape, body = support.read_npy(self.dir / "cells.npy")
        data = bytearray((self.dir / "cells.npy").read_bytes())
        data[-4:] = struct.pack("<f", float("nan"))
        (self.dir / "nan.npy").write_bytes(bytes(data))
        self.refused(4, "embed", "slice.h5ad", "-o", "c.h5ad", "--cell-embeddings", "nan.npy", words=["nan.npy", "row 59"])
        cut = (self.dir / "cells.npy").read_bytes().replace(b"(60, 96)", b"(59, 96)")[:-384]
        (self.dir / "cut.npy").write_bytes(cut)
        self.refused(4, "embed", "slice.h5ad", "-o", "c.h5ad", "--cell-embeddings", "cut.npy", words=["cut.npy", "slice.h5ad"])
        self.assertEqual(shape, (60, 96))
        self.assertEqual(len(body), 60 * 384)

    def test_a_dry_run_prints_the_plan_and_writes_nothing(self):
        before = self.files()
        done = self.ok("embed", "slice.h5ad", "--dry-run")
        for word in ["60 cells", "genes matched", "plan:", "slice.stofm.h5ad"]:
            self.assertIn(word, done.stdout)
        self.assertEqual(self.files(), before)

    def test_quiet_is_silent_and_json_lines_are_objects(self):
        self.assertEqual(self.ok("embed", "slice.h5ad", "-q", "-o", "a.h5ad").stderr, "")
        lines = self.ok("embed", "slice.h5ad", "--log-json", "-o", "b.h5ad").stderr.splitlines()
        self.assertTrue(all("message" in json.loads(line) for line in lines))
        self.assertTrue(any("peak_bytes" in json.loads(line) for line in lines))


class Rows(support.EmbedCase):
    def test_c01_the_output_must_not_be_the_input(self):
        self.refused(2, "embed", "slice.h5ad", "-o", "slice.h5ad", "--overwrite", words=["slice.h5ad", "same file"])
        os.link(self.slice, self.dir / "hard.h5ad")
        os.symlink("slice.h5ad", self.dir / "soft.h5ad")
        for name in ["hard.h5ad", "soft.h5ad"]:
            self.refused(2, "embed", "slice.h5ad", "-o", name, "--overwrite", words=[name, "same file"])

    def test_c02_the_output_directory_is_checked_before_the_work(self):
        self.refused(2, "embed", "slice.h5ad", "-o", "none/out.h5ad", words=["none", "Create the directory"])
        self.refused(2, "embed", "slice.h5ad", "--output-dir", "none", words=["none"])
        self.refused(2, "embed", "slice.h5ad", "-o", "out.h5ad", "--report", "none/r.html", words=["none"])
        if os.geteuid() != 0:
            (self.dir / "shut").mkdir(mode=0o500)
            self.refused(2, "embed", "slice.h5ad", "-o", "shut/out.h5ad", words=["shut"])

    def test_c03_an_output_that_exists_is_kept_unless_overwrite(self):
        (self.dir / "out.h5ad").write_text("mine")
        self.refused(2, "embed", "slice.h5ad", "-o", "out.h5ad", words=["out.h5ad", "--overwrite"])
        self.assertEqual((self.dir / "out.h5ad").read_text(), "mine")
        self.ok("embed", "slice.h5ad", "-o", "out.h5ad", "--overwrite")
        self.assertGreater((self.dir / "out.h5ad").stat().st_size, 1000)

    def test_c05_the_cpu_can_be_named(self):  # cuda: device_test.py
        self.ok("embed", "slice.h5ad", "--device", "cpu", "-o", "a.h5ad")

    def test_c06_any_thread_count_gives_the_same_bytes(self):
        results = set()
        for threads in [0, 1, 2, 64]:
            self.ok("embed", "slice.h5ad", "--threads", threads, "-o", f"{threads}.h5ad", "--npy", f"{threads}.npy",
                    "--split", "20")
            results.add((self.dir / f"{threads}.npy").read_bytes())
        self.assertEqual(len(results), 1)
        self.assertEqual(len({(self.dir / f"{threads}.h5ad").read_bytes() for threads in [0, 1]}), 1)

    def test_c07_locale_and_odd_paths_change_nothing(self):
        odd = self.dir / "ein Schnitt äöü 切片"
        odd.mkdir()
        self.copy("csr_f32_gzip.h5ad", f"{odd.name}/slice – 1.h5ad")
        results = []
        for locale in ["C", "C.UTF-8", "de_DE.UTF-8"]:
            self.ok("embed", odd / "slice – 1.h5ad", "-o", odd / f"{locale}.h5ad", "--csv", odd / f"{locale}.csv",
                    env={"LC_ALL": locale, "LANG": locale})
            results.append((odd / f"{locale}.csv").read_bytes())
        self.assertEqual(len(set(results)), 1)
        self.assertIn(b"0.", results[0])

    def test_c15_more_than_the_memory_allowed_is_refused_before_the_work(self):
        line = self.refused(5, "embed", support.SLICE, "-o", "out.h5ad", "--max-memory", "20M",
                            words=["memory", "at most 20000000", "--max-memory"])
        self.assertIn("--split", line)
        done = self.run_program("embed", support.SLICE, "--max-memory", "20M", "--dry-run")
        self.assertEqual(done.returncode, 5)
        self.assertIn("plan:", done.stdout)

    def test_d21_cells_without_a_position(self):
        self.copy("nan_coordinates.h5ad")
        self.refused(4, "embed", "nan_coordinates.h5ad", words=["nan_coordinates.h5ad", "--drop-bad-coords"])
        done = self.ok("embed", "nan_coordinates.h5ad", "--drop-bad-coords", "--npy", "out.npy", "-o", "out.h5ad")
        self.assertIn("note:", done.stderr)
        shape, body = support.read_npy(self.dir / "out.npy")
        self.assertEqual(shape, (60, 192))
        numbers = struct.unpack(f"<{60 * 192}f", body)
        rows = [numbers[192 * i] for i in range(60)]
        self.assertTrue(0 < sum(value != value for value in rows) < 60)

    def test_strict_makes_a_note_an_error(self):
        self.copy("two_all_zero_cells.h5ad")
        self.assertIn("note:", self.ok("embed", "two_all_zero_cells.h5ad", "-o", "a.h5ad").stderr)
        self.refused(4, "embed", "two_all_zero_cells.h5ad", "-o", "b.h5ad", "--strict", words=["strict mode"])

    def test_weights_are_looked_for_and_refused_by_name(self):
        self.refused(3, "embed", "slice.h5ad", "--weights", "absent.safetensors", words=["absent.safetensors"])
        self.refused(3, "embed", "slice.h5ad", "--weights", "slice.h5ad", words=["slice.h5ad", "HDF5", "bundle"])
        self.refused(3, "embed", "absent.h5ad", words=["absent.h5ad"])


class Options(support.EmbedCase):
    def test_options_reach_the_computation(self):
        results = {}
        for name, options in {"plain": [], "seed": ["--seed", "7"], "kmeans": ["--clustering", "kmeans", "--clusters", "4"],
                              "alpha": ["--alpha", "1"], "resolution": ["--resolution", "3"], "split": ["--split", "20"],
                              "human": ["--species", "human"]}.items():
            self.ok("embed", "slice.h5ad", "-o", f"{name}.h5ad", "--npy", f"{name}.npy", *options)
            results[name] = (self.dir / f"{name}.npy").read_bytes()
        for name in ["kmeans", "alpha", "resolution", "split"]:
            self.assertNotEqual(results[name], results["plain"], name)
        self.assertEqual(results["human"], results["plain"])

    def test_positions_can_come_from_a_csv(self):
        self.ok("embed", "slice.h5ad", "-o", "a.h5ad", "--csv", "a.csv")
        names = [line.split(",")[0] for line in (self.dir / "a.csv").read_text().splitlines()[1:]]
        rows = [f"{name},{i * 7 % 60},{i * 11 % 60}" for i, name in enumerate(names)]
        (self.dir / "places.csv").write_text("\n".join(["cell,spatial_1,spatial_2"] + rows[::-1]) + "\n")
        self.ok("embed", "slice.h5ad", "-o", "b.h5ad", "--spatial-csv", "places.csv")
        (self.dir / "few.csv").write_text("\n".join(["cell,spatial_1,spatial_2"] + rows[:10]) + "\n")
        self.refused(4, "embed", "slice.h5ad", "-o", "c.h5ad", "--spatial-csv", "few.csv", words=["few.csv", "50 of 60"])


if __name__ == "__main__":
    support.main()
