# SPDX-License-Identifier: MIT
"""`stofm corpus`: the same manifest on any number of threads and after a kill; duplicates, broken files, splits by donor;
check and its exit codes; what `pretrain` and `adapt` do with it."""
import gzip
import json
import os
import shutil
import signal
import subprocess
import time

import support
from corpus_support import CorpusCase, tissue

TINY = ["--from-scratch", "--config", "tiny", "--split", "40", "--batch", "2", "--steps", "3"]


class Corpus(CorpusCase):
    def test_build_finds_duplicates_broken_files_and_donors(self):
        whole = tissue(1, cells=90)
        panel, places, counts = whole
        self.write("data/a/whole.h5ad", whole)
        self.write("data/a/window.h5ad", (panel, places[:50], counts[:50]))
        fewer = [[value for value, gene in zip(row, panel) if gene in panel[:25]] for row in counts]
        self.write("data/b/fewer_genes.h5ad", (panel[:25], [(2 * y, 500 - 2 * x) for x, y in places], fewer))
        self.write("data/b/other.h5ad", tissue(2))
        self.write("data/b/small.h5ad", tissue(3, cells=12))
        self.write("data/strangers.h5ad", (["ENSDARG%011d" % i for i in range(40)], *tissue(4)[1:]))
        shutil.copyfile(self.dir / "data/b/other.h5ad", self.dir / "data/copy.h5ad")
        (self.dir / "data/broken.h5ad").write_bytes((self.dir / "data/b/other.h5ad").read_bytes()[:5000])
        (self.dir / "slices.csv").write_text("file,donor,technology,licence,split\n"
                                             "data/a/whole.h5ad,P1,MERFISH,CC0,\nsmall,P1,MERFISH,,\nother,P2,,,test\n")
        build = ["corpus", "build", "data", "--table", "slices.csv", "--min-cells", 20, "--technology", "unknown"]
        done = self.ok(*build, "-o", "one", "--threads", 1)
        self.assertIn("6 slices indexed, 0 as they were, 2 refused", done.stderr)
        lines = self.by_name("one")
        self.assertEqual(sorted(lines), ["copy", "fewer_genes", "other", "small", "whole", "window"])
        self.assertEqual([line["file"] for line in self.lines("one")], sorted(line["file"] for line in self.lines("one")))
        self.assertEqual(lines["whole"]["file"], "../data/a/whole.h5ad")
        self.assertEqual((lines["whole"]["cells"], lines["whole"]["known_genes"], lines["whole"]["species"]), (90, 40, "human"))
        self.assertEqual((lines["whole"]["technology"], lines["whole"]["technology_in_file"]), ("MERFISH", "tables"))
        self.assertEqual((lines["whole"]["donors"], lines["whole"]["licence"]), (["P1"], "CC0"))
        self.assertEqual(lines["window"]["duplicate_of"], lines["whole"]["file"])
        self.assertEqual(lines["fewer_genes"]["duplicate_of"], lines["whole"]["file"])
        self.assertEqual(lines["copy"]["sha256"], lines["other"]["sha256"])
        self.assertEqual(lines["copy"]["duplicate_of"], lines["other"]["file"])
        self.assertEqual(lines["small"]["excluded"], "12 cells, fewer than 20")
        self.assertNotIn("excluded", lines["whole"])
        self.assertEqual({lines[name]["split"] for name in ("whole", "window", "fewer_genes", "small")}, {"train"})
        self.assertEqual((lines["other"]["split"], lines["copy"]["split"]), ("test", "test"))
        totals = [sum(row) for row in counts]
        self.assertEqual(lines["whole"]["median_counts"], (sorted(totals)[44] + sorted(totals)[45]) / 2)
        refused = {line["file"].split("/")[-1]: line for line in self.lines("one", "refused")}
        self.assertEqual(sorted(refused), ["broken.h5ad", "strangers.h5ad"])
        self.assertEqual((refused["strangers.h5ad"]["code"], refused["strangers.h5ad"]["exit_code"]), ("STOFM-4122", 4))
        self.assertEqual(refused["broken.h5ad"]["exit_code"], 3)
        pairs = {tuple(sorted(line[key].split("/")[-1] for key in "ab")): line for line in self.lines("one", "duplicates")}
        self.assertEqual(pairs[("whole.h5ad", "window.h5ad")]["share_by_counts"], 1)
        self.assertEqual(pairs[("fewer_genes.h5ad", "whole.h5ad")]["share_by_counts"], 0)
        self.assertGreater(pairs[("fewer_genes.h5ad", "whole.h5ad")]["share_by_places"], 0.9)
        self.assertTrue(pairs[("copy.h5ad", "other.h5ad")]["same_file"])
        # The same bytes on two threads, and again from what is known.
        self.ok(*build, "-o", "two", "--threads", 2)
        again = self.ok(*build, "-o", "two")
        self.assertIn("0 slices indexed, 6 as they were, 2 refused", again.stderr)
        for name in ("manifest", "duplicates", "refused"):
            self.assertEqual((self.dir / "one" / f"{name}.jsonl").read_bytes(), (self.dir / "two" / f"{name}.jsonl").read_bytes())
        self.assertEqual(sorted(path.name for path in (self.dir / "two").iterdir()),
                         ["duplicates.jsonl", "fingerprints", "imported", "manifest.jsonl", "refused.jsonl"])
        self.assertEqual(self.run_program(*build, "-o", "two", "--strict").returncode, 4)
        # The table changes: nothing is read again.
        (self.dir / "slices.csv").write_text("file,donor\nother,P9\n")
        self.assertIn("0 slices indexed", self.ok(*build, "-o", "two").stderr)
        self.assertEqual(self.by_name("two")["whole"]["technology"], "tables")
        self.assertEqual(self.by_name("two")["other"]["donors"], ["P9"])

    def test_stat_and_check(self):
        for i in range(4):
            self.write(f"data/s{i}.h5ad", tissue(i))
        self.ok("corpus", "build", "data", "-o", "corpus", "--technology", "osmFISH", "--min-cells", 1)
        text = self.ok("corpus", "stat", "corpus").stdout
        self.assertIn("240", text.splitlines()[-1])
        rows = json.loads(self.ok("corpus", "stat", "corpus/manifest.jsonl", "--json").stdout)["rows"]
        self.assertEqual((sum(row["slices"] for row in rows), sum(row["cells"] for row in rows)), (4, 240))
        self.assertEqual({row["least_known_genes"] for row in rows}, {40})
        self.ok("corpus", "check", "corpus")
        slice_file, manifest = self.dir / "data/s1.h5ad", self.dir / "corpus/manifest.jsonl"
        os.utime(slice_file, ns=(1, 1))
        self.assertIn("s1.h5ad: written since", self.faults())
        self.ok("corpus", "check", "corpus", "--hash")
        self.assertIn("0 slices indexed, 4 as they were", self.ok("corpus", "build", "data", "-o", "corpus").stderr)
        self.ok("corpus", "check", "corpus")  # the new time stands in the line
        data = bytearray(slice_file.read_bytes())
        data[len(data) // 2] ^= 1
        slice_file.write_bytes(data)
        self.assertIn("s1.h5ad: another content", self.faults("--hash"))
        slice_file.unlink()
        self.assertIn("s1.h5ad: no such file", self.faults())
        lines = self.lines("corpus")
        for i, line in enumerate(lines):
            line["donors"], line["split"] = ["P"], ("train", "test")[i % 2]
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.assertIn('donor "P" is in test, and in train', self.faults())
        manifest.write_text(manifest.read_text()[:-20])
        self.refused(3, "corpus", "check", "corpus", words=["STOFM-4580", "line 4"])
        self.refused(2, "corpus", "stat", "data", words=["STOFM-4581"])

    def faults(self, *options):
        self.refused(4, "corpus", "check", "corpus", *options, words=["STOFM-4587"])
        return self.run_program("corpus", "check", "corpus", *options).stdout

    def test_killed_and_built_again_is_one_build(self):
        for i in range(10):
            self.write(f"data/s{i}.h5ad", tissue(i, cells=300))
        self.ok("corpus", "build", "data", "-o", "whole")
        kills = 0
        for wanted in (1, 3, 6):
            process = subprocess.Popen([support.PROGRAM, "corpus", "build", "data", "-o", "killed", "--threads", "1"],
                                       cwd=self.dir, stderr=subprocess.DEVNULL)
            part, deadline = self.dir / "killed/indexed-0.jsonl", time.time() + 60
            while process.poll() is None and time.time() < deadline:
                if part.exists() and len(part.read_text().split()) >= wanted:
                    break
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            kills += process.wait(60) == -signal.SIGKILL
            self.assertFalse((self.dir / "killed/manifest.jsonl").exists() and process.returncode)
        self.assertGreater(kills, 0)
        known = len({line for line in (self.dir / "killed/indexed-0.jsonl").read_text().split("\n") if line.endswith("}")})
        with open(self.dir / "killed/indexed-0.jsonl", "a") as file:
            file.write('{"file":"torn')
        done = self.ok("corpus", "build", "data", "-o", "killed")
        self.assertIn(f"{10 - known} slices indexed, {known} as they were", done.stderr)
        self.assertEqual((self.dir / "killed/manifest.jsonl").read_bytes(), (self.dir / "whole/manifest.jsonl").read_bytes())
        self.assertEqual(list((self.dir / "killed").glob("indexed-*")), [])

    def test_training_takes_the_splits_of_a_corpus(self):
        for i in range(7):
            self.write(f"data/s{i}.h5ad", tissue(i))
        self.write("data/few.h5ad", tissue(9, cells=10))
        shutil.copyfile(self.dir / "data/s0.h5ad", self.dir / "data/z.h5ad")
        (self.dir / "slices.csv").write_text("file,split\ns1,validation\ns2,test\n" +
                                             "".join(f"s{i},train\n" for i in (0, 3, 4, 5, 6)))
        self.ok("corpus", "build", "data", "-o", "corpus", "--table", "slices.csv", "--min-cells", 20)
        for verb, options in (("pretrain", TINY), ("adapt", [word for word in TINY if word not in ("--split", "40")])):
            done = self.ok(verb, "corpus", "-o", verb, *options)
            self.assertIn("5 slices to train on, 1 for validation; left out: 1 for the test, 1 duplicates, 1 excluded", done.stderr)
            card = json.loads(self.ok("info", f"{verb}/model.safetensors", "--json").stdout)
            text = json.dumps(card)
            self.assertIn('"held_out_slices": ["s1"]', text)
            self.assertIn('"data": ["s0", "s3", "s4", "s5", "s6"]', text)
            self.refused(2, verb, "corpus", "-o", "other", "--validation", "0.3", *options, words=["STOFM-2067"])
        done = self.ok("pretrain", "corpus/manifest.jsonl", "-o", "none", "--validation", "0", *TINY)
        self.assertIn("5 slices to train on, 0 for validation", done.stderr)
        # The corpus and the list of its files train one model.
        files = [f"data/s{i}.h5ad" for i in (0, 1, 3, 4, 5, 6)]
        self.ok("pretrain", *files, "-o", "listed", "--validation", "s1", *TINY)
        logs = [[json.loads(line).get("loss") for line in (self.dir / run / "log.jsonl").read_text().splitlines()]
                for run in ("pretrain", "listed")]
        self.assertEqual(*logs)
        self.assertIn(True, [isinstance(loss, float) for loss in logs[0]])

    def test_the_folder_of_an_instrument_is_a_slice(self):
        panel, places, counts = tissue(1)
        matrix = self.dir / "data/xenium/outs/cell_feature_matrix"
        matrix.mkdir(parents=True)
        (matrix.parent / "experiment.xenium").write_text('{"major_version": 12}')
        entries = [(g + 1, c + 1, v) for c, row in enumerate(counts) for g, v in enumerate(row) if v]
        texts = {"barcodes.tsv.gz": "".join(f"cell{i}\n" for i in range(60)),
                 "features.tsv.gz": "".join(f"{gene}\t{gene}\tGene Expression\n" for gene in panel),
                 "matrix.mtx.gz": f"%%MatrixMarket matrix coordinate integer general\n{len(panel)} 60 {len(entries)}\n" +
                                  "".join("%d %d %d\n" % entry for entry in entries)}
        for name, text in texts.items():
            (matrix / name).write_bytes(gzip.compress(text.encode()))
        (matrix.parent / "cells.csv.gz").write_bytes(gzip.compress(
            ("cell_id,x_centroid,y_centroid\n" + "".join(f"cell{i},{x},{y}\n" for i, (x, y) in enumerate(places))).encode()))
        self.write("data/same.h5ad", (panel, places, counts))
        build = ["corpus", "build", "data", "-o", "data/corpus"]
        self.assertIn("2 slices indexed", self.ok(*build).stderr)
        one, two = sorted(self.lines("data/corpus"), key=lambda line: "source" in line)
        self.assertEqual((two["source"], two["technology"], two["cells"]), ("../xenium", "xenium", 60))
        self.assertTrue((self.dir / "data/corpus" / two["file"]).exists())
        self.assertEqual([one.get("duplicate_of"), two.get("duplicate_of")], [None, one["file"]])
        self.assertIn("0 slices indexed, 2 as they were", self.ok(*build).stderr)
        (matrix.parent / "metrics.csv").write_text("more\n")
        self.assertIn("1 slices indexed, 1 as they were", self.ok(*build).stderr)

    def test_what_is_written_of_a_refused_slice_names_flags(self):
        panel, places, counts = tissue(1)
        self.write("data/s.h5ad", (panel, places, counts))
        self.write("data/one_place.h5ad", (panel, [(5.0, 5.0)] * len(places), counts))
        self.assertIn("1 refused", self.ok("corpus", "build", "data", "-o", "corpus").stderr)
        [line] = self.lines("corpus", "refused")
        self.assertEqual(line["code"], "STOFM-3563")
        self.assertIn("--overlay", line["message"])
        self.assertNotIn("Options::", line["message"])

    def test_refusals(self):
        self.write("data/s.h5ad", tissue(1))
        build = ["corpus", "build", "data", "-o", "corpus"]
        (self.dir / "empty").mkdir()
        self.refused(2, "corpus", "build", "empty", "-o", "corpus", words=["STOFM-4540"])
        for text, words in (("file,patient\ns,1\n", ["line 1", "patient"]), ("file\nnobody\n", ["line 2", "nobody", "0 slices"]),
                            ("file,split\ns,trian\n", ["line 2", "trian"]), ("file,donor\ns,a\ns.h5ad,b\n", ["line 3", "line 2"])):
            (self.dir / "t.csv").write_text(text)
            self.refused(2, *build, "--table", "t.csv", words=["STOFM-4582", "t.csv", *words])
        (self.dir / "broken").mkdir()
        (self.dir / "broken/b.h5ad").write_text("nothing")
        done = self.run_program("corpus", "build", "broken", "-o", "corpus")
        self.assertEqual(done.returncode, 4)
        self.assertIn("STOFM-4585", done.stderr)
        self.refused(2, "corpus", "build", "data", words=["--output"])
        self.refused(2, "corpus", "mend", "data", words=["build"])
        self.refused(2, "corpus", "stat", "data", "--hash", words=["--hash", "check"])
        self.refused(2, *build, "--validation", "0.6", "--test", "0.6", words=["1"])
        self.assertFalse((self.dir / "corpus/manifest.jsonl").exists())
        self.ok(*build)
        (self.dir / "slices.csv").write_text("file,split\ns,test\n")
        self.ok(*build, "--table", "slices.csv")
        self.refused(4, "pretrain", "corpus", "-o", "run", *TINY, words=["STOFM-4585"])


if __name__ == "__main__":
    support.main()
