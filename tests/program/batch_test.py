# SPDX-License-Identifier: MIT
"""Many slices: order, failures, the journal (R14, R23), signals (R03), limits (R11)."""
import fcntl
import json
import os
import resource
import signal
import subprocess
import time
import unittest

import support


class Batch(support.EmbedCase):
    def setUp(self):
        super().setUp()
        for name in ["a.h5ad", "b.h5ad", "c.h5ad"]:
            self.copy("csr_i32.h5ad", f"in/{name}") if (self.dir / "in").exists() else self.make("in", name)
        (self.dir / "out").mkdir()

    def make(self, folder, name):
        (self.dir / folder).mkdir()
        self.copy("csr_i32.h5ad", f"{folder}/{name}")

    def test_patterns_and_lists_are_expanded_and_finished_slices_skipped(self):
        (self.dir / "list.txt").write_text("# slices\nin/c.h5ad\n\nin/a.h5ad\r\n")
        done = self.ok("embed", "in/[ab].h5ad", "--list", "list.txt", "--output-dir", "out")
        self.assertIn("3 embedded, 0 skipped, 0 failed", done.stderr)
        self.assertEqual(sorted(os.listdir(self.dir / "out")),
                         ["a.stofm.h5ad", "b.stofm.h5ad", "c.stofm.h5ad", "stofm-journal.jsonl"])
        for line in (self.dir / "out/stofm-journal.jsonl").read_text().splitlines():
            self.assertEqual(len(json.loads(line)["input_sha256"]), 64)
        (self.dir / "out/b.stofm.h5ad").unlink()
        done = self.ok("embed", "in/*.h5ad", "--output-dir", "out")
        self.assertIn("1 embedded, 2 skipped, 0 failed", done.stderr)
        done = self.ok("embed", "in/*.h5ad", "--output-dir", "out", "--force")
        self.assertIn("3 embedded, 0 skipped", done.stderr)

    def test_a_result_of_other_options_is_refused_by_name(self):
        """D36: what was made earlier carries hashes of input, model and options, and is never taken for something else."""
        self.ok("embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out")
        done = self.run_program("embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out", "--alpha", "0.5")
        self.assertEqual(done.returncode, 2)
        self.assertIn("alpha 0.2 -> 0.5", done.stderr)
        self.assertIn("--force", done.stderr)
        self.copy("csr_f64_idx64.h5ad", "in/a.h5ad")
        done = self.run_program("embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out")
        self.assertEqual(done.returncode, 2)
        self.assertIn("made of something else: input", done.stderr)
        self.assertIn("1 skipped, 1 failed", done.stderr)

    def test_results_of_two_dtypes_are_not_mixed(self):
        """`bf16` is short for bfloat16: the word in the result and in the journal, and in what is refused."""
        self.ok("embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out", "--dtype", "bf16")
        options = [json.loads(line)["options"] for line in (self.dir / "out/stofm-journal.jsonl").read_text().splitlines()]
        self.assertTrue(options and all(entry["dtype"] == "bfloat16" for entry in options), options)
        self.assertIn(b"bfloat16", (self.dir / "out/a.stofm.h5ad").read_bytes())
        done = self.ok("embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out", "--dtype", "bfloat16")
        self.assertIn("0 embedded, 2 skipped, 0 failed", done.stderr)
        done = self.run_program("embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out")
        self.assertEqual(done.returncode, 2)
        self.assertIn("dtype bfloat16 -> float32", done.stderr)
        self.refused(2, "embed", "in/a.h5ad", "--dtype", "fp16", words=["--dtype", "fp16", "float32|bfloat16"])

    def test_a_result_of_one_slice_alone_counts_in_a_later_run_over_many(self):
        self.ok("embed", "in/a.h5ad", "-o", "out/a.stofm.h5ad")
        result = (self.dir / "out/a.stofm.h5ad").read_bytes()
        self.assertNotIn("stofm-journal.jsonl", os.listdir(self.dir / "out"))
        done = self.ok("embed", "in/[ab].h5ad", "--output-dir", "out")
        self.assertIn("1 embedded, 1 skipped, 0 failed", done.stderr)
        self.assertEqual((self.dir / "out/a.stofm.h5ad").read_bytes(), result)
        done = self.ok("embed", "in/[ab].h5ad", "--output-dir", "out")
        self.assertIn("0 embedded, 2 skipped, 0 failed", done.stderr)

    def test_a_result_of_one_slice_alone_is_not_taken_for_that_of_other_options_or_bytes(self):
        self.ok("embed", "in/a.h5ad", "-o", "out/a.stofm.h5ad", "--seed", "3")
        (self.dir / "out/b.stofm.h5ad").write_bytes((self.dir / "in/b.h5ad").read_bytes())  # no result at all
        (self.dir / "out/c.stofm.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
        before = self.files()
        done = self.run_program("embed", "in/[abc].h5ad", "--output-dir", "out")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("0 embedded, 0 skipped, 3 failed", done.stderr)
        self.assertEqual(done.stderr.count("STOFM-3010"), 3, done.stderr)
        results = {name: size for name, size in before.items() if name.endswith(".h5ad")}
        self.assertEqual({name: size for name, size in self.files().items() if name.endswith(".h5ad")}, results)
        self.copy("csr_f64_idx64.h5ad", "in/a.h5ad")
        done = self.run_program("embed", "in/[ab].h5ad", "--output-dir", "out", "--seed", "3")
        self.assertIn("0 embedded, 0 skipped, 2 failed", done.stderr)

    def test_a_failing_slice_does_not_stop_the_others(self):
        (self.dir / "in/aa.h5ad").write_text("no slice")
        done = self.run_program("embed", "in/*.h5ad", "--output-dir", "out")
        self.assertEqual(done.returncode, 3)
        self.assertIn("3 embedded, 0 skipped, 1 failed", done.stderr)
        done = self.run_program("embed", "in/aa.h5ad", "in/a.h5ad", "--output-dir", "out", "--force", "--fail-fast")
        self.assertIn("0 embedded, 0 skipped, 1 failed", done.stderr)

    def test_a_torn_journal_and_a_stale_lock_do_no_harm(self):
        self.ok("embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out")
        journal = self.dir / "out/stofm-journal.jsonl"
        journal.write_text(journal.read_text()[:-40])
        (self.dir / "out/stofm-journal.jsonl.lock").write_text("pid 1 on elsewhere")
        done = self.run_program("embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out", "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("damaged", done.stderr)

    def test_a_second_run_in_one_directory_is_refused(self):
        with open(self.dir / "out/stofm-journal.jsonl.lock", "w", encoding="utf-8") as lock:
            lock.write("pid 42 on here")
            lock.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refused(5, "embed", "in/a.h5ad", "in/b.h5ad", "--output-dir", "out", words=["another run", "pid 42 on here"])

    def test_results_of_one_name_are_refused_before_the_work(self):
        (self.dir / "other").mkdir()
        self.copy("csr_i32.h5ad", "other/a.h5ad")
        self.refused(2, "embed", "in/a.h5ad", "other/a.h5ad", words=["in/a.h5ad", "other/a.h5ad", "--output-dir"])
        self.refused(2, "embed", "in/a.h5ad", "in/b.h5ad", "-o", "one.h5ad", words=["--output-dir"])
        self.refused(2, "embed", "in/a.h5ad", "in/b.h5ad", "--report", "one.html", words=["--report", "directory"])


class Signals(support.EmbedCase):
    def stop_after(self, seconds, number):
        """Signals `seconds` after the first line, so that loading the program (with CUDA's libraries, say) does not count."""
        with subprocess.Popen([support.PROGRAM, "embed", support.SLICE, "-o", "out.h5ad", "--threads", "1"], cwd=self.dir,
                              stderr=subprocess.PIPE, text=True) as process:
            first = process.stderr.readline()
            time.sleep(seconds)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        return process.returncode, first + said

    def test_signals_end_the_run_with_nothing_half_written(self):
        before = self.files()
        stopped = 0
        for seconds, number, code in [(0, signal.SIGINT, 130), (0.3, signal.SIGTERM, 143), (0.7, signal.SIGINT, 130)]:
            status, said = self.stop_after(seconds, number)
            if status == 0:  # it was faster
                (self.dir / "out.h5ad").unlink()
                continue
            stopped += 1
            self.assertEqual(status, code, said)
            self.assertIn("interrupted", said)
            self.assertEqual(self.files(), before)
        self.assertGreater(stopped, 0)


class Limits(support.EmbedCase):
    def limited(self, kind, amount, *arguments):
        return self.run_program(*arguments, preexec_fn=lambda: resource.setrlimit(kind, (amount, amount)))

    @unittest.skipIf(os.environ.get("STOFM_SANITIZED"), "AddressSanitizer needs address space for its shadow")
    def test_too_little_memory_is_a_resource_error_and_leaves_nothing(self):
        before = self.files()
        starts = next(megabytes for megabytes in range(50, 20000, 50)  # what loading the program takes
                      if self.limited(resource.RLIMIT_AS, megabytes << 20, "--version").returncode == 0)
        codes = []
        for more in [0, 100, 200, 400]:
            done = self.limited(resource.RLIMIT_AS, (starts + more) << 20, "embed", support.SLICE, "-o", "out.h5ad")
            codes.append(done.returncode)
            self.assertIn(done.returncode, (0, 5), done.stderr)
            if done.returncode == 5:
                self.assertEqual(self.files(), before)
                self.assertIn("stofm: error: ", done.stderr)
        self.assertEqual(codes[0], 5)

    def test_a_file_size_limit_is_a_resource_error_and_leaves_nothing(self):
        before = self.files()
        done = self.limited(resource.RLIMIT_FSIZE, 40000, "embed", "slice.h5ad", "-o", "out.h5ad")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(self.files(), before)


if __name__ == "__main__":
    support.main()
