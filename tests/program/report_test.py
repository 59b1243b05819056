# SPDX-License-Identifier: MIT
"""The first look: report.html, obs["stofm_cluster"], what is said about slice and weights, what to do next."""
import base64
import json
import re
import struct

import support

HOSTILE = b"</script><b>x</b>"  # as long as a region of the slice


def report_data(path):
    """The data element of a report; it must end where it says."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))


def groups(data):
    """key -> group of the menu, in its order."""
    return {group["key"]: group for group in data["groups"]}


def numbers(data, key):
    """Numbers of groups (-1: missing) of an array."""
    kind, text = data["arrays"][key]
    raw, code = base64.b64decode(text), {"u1": "B", "u2": "H", "u4": "I"}[kind]
    return [value - 1 for value in struct.unpack(f"<{len(raw) // struct.calcsize(code)}{code}", raw)]


class Report(support.EmbedCase):
    def report(self, slice_name="slice.h5ad", *options):
        self.done = self.ok("embed", slice_name, "-o", "out.h5ad", "--report", "report.html", "--overwrite", *options)
        return report_data(self.dir / "report.html")

    def entries(self):
        described = json.loads(self.ok("info", "out.h5ad", "--json").stdout)
        return {entry["path"]: entry for entry in described["entries"]}

    def test_it_opens_on_clusters_of_the_embedding_which_are_in_obs_too(self):
        data = self.report()
        first = data["groups"][0]
        self.assertEqual(first["key"], "cluster")
        self.assertIn("k-means of the embedding, k = 6", first["note"])  # 60 cells
        self.assertIn("not cell types", first["note"])
        labels = numbers(data, "cluster")
        sizes = [labels.count(k) for k in range(6)]
        self.assertEqual(sum(sizes), 60)
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertGreater(sizes[-1], 0)
        entries = self.entries()
        self.assertIn("stofm_cluster", entries["obs"]["note"])
        self.assertEqual(entries["uns/stofm_cluster_colors"]["shape"], "6")
        for colour in data["palette"][:6]:
            self.assertIn(colour.encode(), (self.dir / "out.h5ad").read_bytes())
        self.assertTrue(all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in data["palette"]))

    def test_clusters_as_many_as_asked_for_or_none(self):
        data = self.report("slice.h5ad", "--embedding-clusters", "3")
        self.assertIn("k = 3", groups(data)["cluster"]["note"])
        self.assertEqual(sorted(set(numbers(data, "cluster"))), [0, 1, 2])
        data = self.report("slice.h5ad", "--no-clusters")
        self.assertNotIn("cluster", groups(data))
        self.assertNotIn("stofm_cluster", self.entries()["obs"]["note"])
        self.refused(2, "embed", "slice.h5ad", "--no-clusters", "--embedding-clusters", "3", words=["--no-clusters"])
        self.ok("embed", "slice.h5ad", "--cells-only", "-o", "cells.h5ad")
        noted = json.loads(self.ok("info", "cells.h5ad", "--json").stdout)["entries"][0]["note"]
        self.assertIn("stofm_cells_cluster", noted)

    def test_labels_of_the_file_are_in_the_menu(self):
        data = self.report()
        region = next(group for group in data["groups"] if group["label"] == "region")
        self.assertEqual(region["heading"], "In your file")
        self.assertIn("White matter", region["names"])
        self.assertEqual(len(numbers(data, region["key"])), 60)
        self.assertTrue(0 <= max(numbers(data, region["key"])) < len(region["names"]))

    def test_steps_of_the_computation_are_called_so(self):
        data = self.report()
        self.assertIn("not a cell type", groups(data)["macro"]["note"])
        self.assertIn("not a region of the tissue", groups(data)["piece"]["note"])
        self.assertEqual(list(groups(data))[-2:], ["piece", "macro"])

    def test_it_says_what_was_read_and_what_comes_next(self):
        data = self.report()
        source, facts, following = dict(data["source"]), dict(data["facts"]), dict(data["next"])
        self.assertTrue(source["counts"].startswith("X ("))
        self.assertEqual(source["positions"], "obsm/spatial")
        self.assertIn("32 of 33", source["genes"])
        self.assertEqual(facts["genes matched"], "32 of 33")
        self.assertIn(facts["species"], ("human", "mouse"))
        self.assertIn('sc.pp.neighbors(adata, use_rep="X_stofm")', following["Python"])
        self.assertNotIn("stofm_embedded", following["Python"])
        self.assertIn('read_h5ad("out.h5ad"', following["R"])
        raw = (self.dir / "out.h5ad").read_bytes()
        for name in [b"positions", b"species", b"counts_scale", b"model_kind", b"demonstration weights"]:
            self.assertIn(name, raw)

    def test_cells_are_named_and_rows_are_those_of_the_file(self):
        data = self.report()
        self.assertEqual(len(data["names"]), 60)
        self.assertEqual(numbers(data, "rows"), [])
        self.copy("nan_coordinates.h5ad")
        data = self.report("nan_coordinates.h5ad", "--drop-bad-coords")
        rows = numbers(data, "rows")
        self.assertTrue(0 < len(rows) < 60)
        self.assertEqual(rows, sorted(set(rows)))
        self.assertNotEqual(rows, list(range(len(rows))))
        self.assertEqual(len(data["names"]), len(rows))
        self.assertIn('adata[adata.obs["stofm_embedded"]].copy()', dict(data["next"])["Python"])
        self.assertIn("stofm_embedded", self.done.stderr.splitlines()[-1])
        self.assertIn("left out", dict(data["source"]))

    def test_libraries_have_panels_of_their_own(self):
        data = self.report("slice.h5ad", "--library-key", "region")
        library = numbers(data, "library")
        self.assertGreater(len(data["libraries"]), 2)
        self.assertEqual(len(library), 60)
        self.assertTrue(set(library) <= set(range(len(data["libraries"]))))
        self.assertEqual(len(base64.b64decode(data["arrays"]["virtual_x"])), 4 * len(numbers(data, "virtual_library")))
        self.assertTrue(set(numbers(data, "virtual_library")) <= set(library))
        self.assertEqual(self.report()["libraries"], [])

    def test_names_of_the_file_stay_text(self):
        raw = self.slice.read_bytes()
        self.assertIn(b"Layer 2-3 lateral", raw)
        self.slice.write_bytes(raw.replace(b"Layer 2-3 lateral", HOSTILE))
        for options in ([], ["--library-key", "region"]):
            data = self.report("slice.h5ad", *options)
            text = (self.dir / "report.html").read_bytes()
            self.assertNotIn(HOSTILE, text)
            self.assertIn(b"default-src 'none'", text)
            names = [name for group in data["groups"] for name in group["names"]]
            self.assertIn(HOSTILE.decode(), names)
        self.assertNotIn(".innerHTML", text.decode())

    def test_demonstration_weights_and_slices_of_the_training_are_called_so(self):
        data = self.report()
        self.assertIn("Demonstration weights", data["banner"][0])
        self.assertEqual(len(data["banner"]), 1)
        self.assertIn("DEMONSTRATION", next(line for line in self.done.stderr.splitlines() if line.startswith("model ")))
        self.copy("csr_f32_gzip.h5ad", "xenium_mousebrain_4261.h5ad")
        data = self.report("xenium_mousebrain_4261.h5ad")
        self.assertIn("trained on a file of this name", data["banner"][1])
        self.assertIn("trained on a file of this name", self.done.stderr)


class Next(support.EmbedCase):
    def test_the_last_line_says_what_to_do(self):
        line = self.ok("embed", "slice.h5ad", "-o", "a.h5ad").stderr.splitlines()[-1]
        self.assertIn('use_rep="X_stofm"', line)
        self.assertNotIn("stofm_embedded", line)
        self.assertNotIn("next", self.ok("embed", "slice.h5ad", "--dry-run").stderr)
        self.assertEqual(self.ok("embed", "slice.h5ad", "-o", "b.h5ad", "-q").stderr, "")
        self.copy("csc.h5ad")
        (self.dir / "out").mkdir()
        several = self.ok("embed", "slice.h5ad", "csc.h5ad", "--output-dir", "out").stderr
        self.assertEqual(several.count("next, in Python"), 1)
        self.assertIn("next, in Python", several.splitlines()[-1])


class Slivers(support.EmbedCase):
    def test_small_pieces_are_said_and_merged_on_demand_and_are_no_notice(self):
        plan = self.ok("embed", support.SLICE, "--dry-run", "--strict").stdout
        self.assertIn("cells are in 2 sub-slices of fewer than 100 cells", plan)
        self.assertIn("plan: 8 sub-slices", plan)
        plan = self.ok("embed", support.SLICE, "--dry-run", "--merge-slivers").stdout
        self.assertNotIn("fewer than", plan)
        self.assertIn("plan: 6 sub-slices", plan)

    def test_merging_changes_the_pieces_and_is_an_option_of_the_result(self):
        self.ok("embed", "slice.h5ad", "-o", "a.h5ad", "--npy", "a.npy", "--split", "20")
        self.ok("embed", "slice.h5ad", "-o", "b.h5ad", "--npy", "b.npy", "--split", "20", "--merge-slivers")
        self.assertIn(b"merge-slivers", (self.dir / "b.h5ad").read_bytes())


class Info(support.EmbedCase):
    def test_a_slice_says_what_embed_would_use(self):
        text = self.ok("info", "slice.h5ad").stdout
        for word in ["counts", "X (", "32 of 33 genes matched", "obsm/spatial", '"region" (', "--dry-run"]:
            self.assertIn(word, text)
        described = json.loads(self.ok("info", "slice.h5ad", "--json").stdout)
        self.assertIn("32 of 33", described["for_embedding"]["genes"])
        self.assertEqual(described["genes"], 33)
        self.assertTrue(described["for_embedding"]["counts"].startswith("X ("))

    def test_what_embed_would_refuse_is_said_and_info_goes_on(self):
        done = self.ok("info", support.ZOO / "nan_coordinates.h5ad")
        self.assertIn("would stop here", done.stdout)
        self.assertIn("--drop-bad-coords", done.stdout)
        self.assertIn("csr_matrix", done.stdout)

    def test_a_model_card_is_for_reading(self):
        text = self.ok("info", support.demo_bundle()).stdout
        for word in ["small demonstration model", "trained on", "xenium_mousebrain_4261", "held out", "cosine"]:
            self.assertIn(word, text)
        for sign in "{}[]":
            self.assertNotIn(sign, text)
        self.assertTrue(all(len(line) < 125 for line in text.splitlines()))


if __name__ == "__main__":
    support.main()
