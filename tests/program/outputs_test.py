# SPDX-License-Identifier: MIT
"""Names of inputs and outputs: what is never lost (C01), what `stofm embed '*.h5ad'` takes the second time, names that
begin with a dash, lists, folders; what reaches the terminal; remedies that name options the verb has."""
import json
import os
import re
import signal
import subprocess
import time

import support


class Names(support.EmbedCase):
    def names(self, folder="."):
        return sorted(path.name for path in (self.dir / folder).iterdir())

    def test_a_second_run_over_a_pattern_skips_what_is_done_and_takes_no_result(self):
        self.copy("csr_i32.h5ad", "other.h5ad")
        first = ["other.h5ad", "other.stofm.h5ad", "slice.h5ad", "slice.stofm.h5ad", "stofm-journal.jsonl"]
        self.ok("embed", "*.h5ad")
        self.assertEqual(self.names(), first)
        done = self.ok("embed", "*.h5ad")
        self.assertIn("0 embedded, 2 skipped, 0 failed", done.stderr)
        self.assertIn("2 results", done.stderr)
        self.assertEqual(self.names(), first)
        # What a shell makes of the pattern.
        done = self.ok("embed", *(name for name in first if name.endswith(".h5ad")))
        self.assertIn("0 embedded, 2 skipped, 0 failed", done.stderr)
        self.assertIn("2 inputs are results", done.stderr)
        self.assertEqual(self.names(), first)
        self.refused(2, "embed", "*.stofm.h5ad", words=["results of stofm alone"])
        self.ok("embed", "slice.stofm.h5ad")  # named: taken
        self.assertIn("slice.stofm.stofm.h5ad", self.names())

    def test_a_pattern_that_matches_one_slice_goes_on_too(self):
        self.ok("embed", "*.h5ad")
        self.assertIn("1 skipped", self.ok("embed", "*.h5ad").stderr)

    def test_names_that_begin_with_a_dash_follow_two_dashes(self):
        self.copy("csr_i32.h5ad", "-x.h5ad")
        self.ok("embed", "-o", "out.h5ad", "--", "-x.h5ad")
        self.ok("embed", "--overwrite", "--", "-x.h5ad", "slice.h5ad")
        self.assertIn("-x.stofm.h5ad", self.names())
        self.ok("info", "--", "-x.h5ad")

    def test_upper_case_endings(self):
        self.copy("csr_i32.h5ad", "UPPER.H5AD")
        self.ok("embed", "UPPER.H5AD")
        self.assertIn("UPPER.stofm.h5ad", self.names())

    def test_lists_from_windows(self):
        self.copy("csr_i32.h5ad", "b.h5ad")
        for text in (b"\xef\xbb\xbfslice.h5ad\r\nb.h5ad\r\n", b"slice.h5ad\nb.h5ad"):
            (self.dir / "list.txt").write_bytes(text)
            self.assertIn("2 embedded", self.ok("embed", "--list", "list.txt", "--force").stderr)
        (self.dir / "list.txt").write_bytes("slice.h5ad\r\n".encode("utf-16"))
        self.refused(3, "embed", "--list", "list.txt", words=["UTF-16", "UTF-8"])

    def test_inputs_of_one_name_keep_the_folders_that_tell_them_apart(self):
        for folder in ("p/A/x", "p/B/x", "q"):
            (self.dir / folder).mkdir(parents=True)
        for name in ("p/A/x/adata.h5ad", "p/B/x/adata.h5ad", "q/else.h5ad"):
            self.copy("csr_i32.h5ad", name)
        (self.dir / "out").mkdir()
        command = ["embed", "p/A/x/adata.h5ad", "p/B/x/adata.h5ad", "q/else.h5ad", "--output-dir", "out"]
        self.ok(*command)
        found = sorted(str(path.relative_to(self.dir / "out")) for path in (self.dir / "out").rglob("*.h5ad"))
        self.assertEqual(found, ["A/x/adata.stofm.h5ad", "B/x/adata.stofm.h5ad", "else.stofm.h5ad"])
        self.assertIn("3 skipped", self.ok(*command).stderr)
        self.refused(2, "embed", "p/A/x/adata.h5ad", "p/B/x/adata.h5ad", words=["--output-dir"])

    def test_one_file_is_not_two_outputs(self):
        self.refused(2, "embed", "slice.h5ad", "-o", "a.h5ad", "--npy", "a.h5ad", words=["two results"])


class Protected(support.EmbedCase):
    def test_c01_nothing_that_is_read_is_an_output(self):
        weights = self.dir / "w.safetensors"
        weights.write_bytes(support.demo_bundle().read_bytes())
        (self.dir / "list.txt").write_text("slice.h5ad\n")
        (self.dir / "places.csv").write_text("cell,x,y\n")
        self.ok("embed", "slice.h5ad", "-o", "cells.h5ad", "--cells-only", "--npy", "cells.npy")
        os.link(weights, self.dir / "hard")
        for arguments in (["-o", "w.safetensors"], ["-o", "hard"], ["-o", "o.h5ad", "--npy", "w.safetensors"],
                          ["-o", "o.h5ad", "--report", "places.csv", "--spatial-csv", "places.csv"],
                          ["-o", "o.h5ad", "--csv", "cells.npy", "--cell-embeddings", "cells.npy"]):
            self.refused(2, "embed", "slice.h5ad", "--weights", "w.safetensors", "--overwrite", *arguments, words=["STOFM-3011"])
        done = self.run_program("embed", "--list", "list.txt", "--csv", "list.txt", "-o", "o.h5ad", "--overwrite")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual((self.dir / "list.txt").read_text(), "slice.h5ad\n")
        for output in ("w.safetensors", "slice.h5ad"):
            self.refused(2, "tokenize", "slice.h5ad", "-w", "w.safetensors", "-o", output, "--overwrite", words=["STOFM-3011"])
        run = self.dir / "run"
        run.mkdir()
        os.rename(weights, run / "model.safetensors")
        self.refused(2, "pretrain", "slice.h5ad", "-w", "run/model.safetensors", "-o", "run", "--resume", words=["STOFM-3011"])
        (run / "model.safetensors").rename(weights)
        os.symlink("../slice.h5ad", run / "log.jsonl")
        self.refused(2, "pretrain", "slice.h5ad", "-w", "w.safetensors", "-o", "run", words=["STOFM-3015", "log.jsonl"])

    def test_files_that_are_not_ours_under_our_names_stay(self):
        self.copy("csr_i32.h5ad", "b.h5ad")
        (self.dir / "d").mkdir()
        victim = self.dir / "victim"
        command = ["embed", "slice.h5ad", "b.h5ad", "--output-dir", "d"]
        for name in ("stofm-journal.jsonl", "stofm-journal.jsonl.lock"):
            for kind in ("link", "hard link", "text", "dangling"):
                victim.write_text("precious")
                path = self.dir / "d" / name
                if kind == "link":
                    os.symlink("../victim", path)
                elif kind == "hard link":
                    os.link(victim, path)
                elif kind == "dangling":
                    os.symlink("../nothing", path)
                else:
                    path.write_text("precious\n")
                self.refused(2, *command, words=["STOFM-2022", name])
                self.assertEqual(victim.read_text(), "precious")
                self.assertFalse((self.dir / "nothing").exists())
                path.unlink()
        os.symlink("../victim", self.dir / "d" / "b.stofm.h5ad")
        done = self.run_program(*command, "--force")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("STOFM-3015", done.stderr)
        self.assertEqual(victim.read_text(), "precious")

    def test_several_outputs_are_one(self):
        (self.dir / "shut.h5ad").mkdir()
        before = self.files()
        done = self.run_program("embed", "slice.h5ad", "-o", "o.h5ad", "--npy", "o.npy", "--csv", "o.csv", "--report", "r.html",
                                preexec_fn=limit_file_size)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(self.files(), before)

    def test_in_place_is_refused_before_the_work_where_it_can_not_end(self):
        user = {}
        if os.geteuid() == 0:
            os.chown(self.slice, 65534, 65534)
            self.ok("embed", "slice.h5ad", "--in-place")
            self.assertEqual((self.slice.stat().st_uid, self.slice.stat().st_gid), (65534, 65534))
            self.dir.chmod(0o755)
            os.chown(self.dir, 65534, 65534)
            user = {"user": 65534}
            try:
                self.run_program("--version", **user)
            except PermissionError:
                return  # the program lies where only root can run it
        self.slice.chmod(0o444)
        self.refused(2, "embed", "slice.h5ad", "--in-place", words=["may not be written", "--output"], **user)
        self.slice.chmod(0o644)
        self.dir.chmod(0o555)
        try:
            self.refused(2, "embed", "slice.h5ad", "--in-place", words=["folder", "--output"], **user)
        finally:
            self.dir.chmod(0o755)
        if user:
            os.chown(self.slice, 0, 0)
            self.refused(2, "embed", "slice.h5ad", "--in-place", words=["another user", "--output"], **user)

    def test_what_a_killed_run_left_goes_with_the_next_one(self):
        source = self.dir / "slow.c"
        source.write_text("#include <unistd.h>\nint fsync(int f) { (void)f; pause(); return 0; }\n")
        library = support.compile_library(self, source)
        with subprocess.Popen([support.PROGRAM, "embed", "slice.h5ad", "-o", "o.h5ad", "-q"], cwd=self.dir,
                              env={**os.environ, "LD_PRELOAD": str(library)}) as process:
            deadline = time.monotonic() + 60
            while not list(self.dir.glob("o.h5ad.tmp.*")) and time.monotonic() < deadline:
                time.sleep(0.005)
            self.ok("embed", "slice.h5ad", "-o", "p.h5ad")
            self.assertEqual(len(list(self.dir.glob("o.h5ad.tmp.*"))), 1)  # its process lives
            process.send_signal(signal.SIGKILL)
        done = self.ok("embed", "slice.h5ad", "-o", "o.h5ad")
        self.assertIn("removed 1 unfinished file", done.stderr)
        self.assertEqual(list(self.dir.glob("*.tmp.*")), [])


class Terminal(support.EmbedCase):
    """What comes out is printable, whatever is in a file."""

    def patched(self, name, old, new):
        data = (support.ZOO / name).read_bytes()
        heap = data.index(b"GCOL")  # text of attributes: the only place without a checksum
        self.assertIn(old, data[heap:])
        self.assertEqual(len(old), len(new))
        (self.dir / "odd.h5ad").write_bytes(data[:heap] + data[heap:].replace(old, new, 1))

    def check(self, *arguments):
        done = subprocess.run([support.PROGRAM, *arguments], cwd=self.dir, capture_output=True, check=False)
        for stream in (done.stdout, done.stderr):
            text = stream.decode("utf-8")  # strict
            self.assertIsNone(re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text), text)
        return done.stderr.decode(), done.stdout.decode()

    def test_names_of_a_file_can_not_write_to_the_terminal(self):
        for odd in (b"\xc2\x9b31m\x1b", b"\x1b]0;\xff\xfe", b"\xe2\x80\xaeabc", b"\xed\xa0\x80abc", b"\xe0\x80\x80a\n\r"):
            self.patched("csr_i32.h5ad", b"_index", odd)
            errors, _ = self.check("embed", "odd.h5ad", "-o", "o.h5ad")
            self.assertIn("\\x", errors)
            self.check("info", "odd.h5ad")
            for lines in self.check("embed", "odd.h5ad", "-o", "o.h5ad", "--log-json"):
                for line in lines.splitlines():
                    json.loads(line)
            self.check("info", "odd.h5ad", "--json")
            self.check("tokenize", "odd.h5ad", "-o", "t.safetensors")

    def test_the_name_of_a_model_and_of_a_file(self):
        weights = support.demo_bundle().read_bytes()
        at = weights.index(b'"name')
        name = re.search(rb'"name\\?": *\\?"([^"\\]{6,})', weights[at - 10:at + 200]).group(1)
        odd = weights.replace(name, b"\xc2\x9b" + b"\xe2\x80\xae" + name[5:])
        (self.dir / "w.safetensors").write_bytes(odd)
        self.check("info", "w.safetensors")
        self.check("embed", "slice.h5ad", "-w", "w.safetensors", "-o", "o.h5ad")
        self.check("embed", b"no\xff\x1b[31m.h5ad".decode("utf-8", "surrogateescape"))


class Remedies(support.EmbedCase):
    def test_a_remedy_names_options_of_its_verb_only(self):
        for source in ("lognorm_X_counts_layer.h5ad", "lognorm_X_counts_raw.h5ad", "nan_coordinates.h5ad", "symbols_only.h5ad",
                       "no_obsm_spatial_xy_in_obs.h5ad", "zero_cells.h5ad"):
            self.copy(source, "odd.h5ad")
            for verb, more in (("embed", ["-o", "o.h5ad"]), ("embed", ["-o", "o.h5ad", "--min-coverage", "1", "--strict"]),
                               ("tokenize", ["-o", "o.safetensors"]), ("tokenize", ["-o", "o.safetensors", "--min-coverage", "1"]),
                               ("adapt", ["-o", "run", "--steps", "1", "--from-scratch", "--config", "tiny"]),
                               ("pretrain", ["-o", "run", "--steps", "1", "--from-scratch", "--config", "tiny"])):
                done = self.run_program(verb, "odd.h5ad", *more)
                named = set(support.OPTION.findall(done.stderr)) - set(more)
                self.assertEqual(named - support.options_of(verb), set(), f"{verb} {source}: {done.stderr}")
                for path in self.dir.glob("o.*"):
                    path.unlink()


def limit_file_size():
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))


if __name__ == "__main__":
    support.main()
