# SPDX-License-Identifier: MIT
"""Help, version, refusals of the command line (row C04), standard streams that are closed or full (R04, R24)."""
import os
import subprocess

import support

VERBS = ["embed", "info", "verify", "tokenize", "virtual-cells", "subslices"]


class CommandLine(support.Case):
    def test_help_names_every_verb_and_the_exit_codes(self):
        text = self.ok("--help").stdout
        for word in VERBS + ["Exit codes", "stofm embed slice.h5ad"]:
            self.assertIn(word, text)
        self.assertEqual(self.ok().stdout, text)

    def test_help_of_a_verb_has_groups_defaults_and_an_example(self):
        for verb in VERBS:
            text = self.ok(verb, "--help").stdout
            self.assertIn(f"Usage: stofm {verb}", text)
            self.assertIn("Examples:", text)
        text = self.ok("embed", "--help").stdout
        for word in ["Input and output:", "Running:", "--alpha NUMBER [0.2]", "--split N [1000]"]:
            self.assertIn(word, text)

    def test_version_names_what_a_bug_report_needs(self):
        text = self.ok("--version").stdout
        for word in ["stofm ", "compiler", "kernels", "HDF5"]:
            self.assertIn(word, text)

    def test_unknown_names_are_refused_with_the_nearest_one(self):
        self.refused(2, "embed", "x.h5ad", "--thraeds", "2", words=["--thraeds", "Did you mean --threads?", "STOFM-2001"])
        self.refused(2, "embde", "x.h5ad", words=['"embde"', "Did you mean embed?", "STOFM-2002"])
        self.refused(2, "embed", "x.h5ad", "--clustering", "leidn", words=["--clustering", '"leidn"', "did you mean leiden?"])
        self.refused(2, "info", "x", "-Z", words=["-Z", "stofm info --help"])

    def test_values_out_of_range_are_refused(self):
        for option, value in [("--threads", "-1"), ("--threads", "2000"), ("--threads", "two"), ("--split", "0"),
                              ("--alpha", "1.5"), ("--alpha", "nan"), ("--alpha", "0,2"), ("--resolution", "0"),
                              ("--resolution", "inf"), ("--min-coverage", "-0.1"), ("--seed", "-1"), ("--clusters", "-3"),
                              ("--device", "gpu"), ("--device", "cuda:x"), ("--dtype", "int8"), ("--species", "rat"),
                              ("--geometry", "flat"), ("--split", "99999999999999999999")]:
            line = self.refused(2, "embed", "x.h5ad", f"{option}={value}", words=[option, "expected"])
            self.assertIn("stofm embed --help", line)

    def test_options_that_exclude_each_other_are_refused(self):
        for words in [["--threads", "1", "--threads", "2"], ["-o", "a", "--in-place"], ["-o", "a", "--output-dir", "b"],
                      ["--layer", "a", "--use-raw"], ["--x", "a"], ["--x", "a", "--y", "b", "--spatial-key", "c"],
                      ["--clusters", "5"], ["-q", "-v"], ["--seed"]]:
            self.refused(2, "embed", "x.h5ad", *words, words=["See"])
        self.refused(2, "embed", words=["INPUT or --list FILE"])
        self.refused(2, "verify", "x", words=["--weights is missing"])
        self.refused(2, "info", "a", "b", words=["an argument too many"])

    def test_control_characters_of_an_argument_do_not_reach_the_terminal(self):
        done = self.run_program("embed", "x\x1b]0;evil\x07.h5ad", "--alpha", "\x1b[31m")
        self.assertNotIn("\x1b", done.stderr)
        done = self.run_program("info", "x\x1b]0;evil\x07.h5ad")
        self.assertNotIn("\x1b", done.stderr)

    def test_a_missing_memory_size_or_pattern_is_refused(self):
        for size in ["8X", "-1G", "1e400G", "12", "nanG", "150%"]:
            self.refused(2, "embed", "x.h5ad", f"--max-memory={size}", words=["--max-memory"])
        self.refused(2, "embed", "none-*.h5ad", words=["none-*.h5ad", "matches"])

    def test_a_reader_that_goes_away_is_no_error(self):
        with subprocess.Popen([support.PROGRAM, "embed", "--help"], stdout=subprocess.PIPE) as process:
            process.stdout.close()
            self.assertEqual(process.wait(timeout=20), 0)

    def test_closed_standard_streams_do_not_crash(self):
        for closing in ["1>&-", "2>&-", "0<&-", "0<&- 1>&- 2>&-"]:
            done = subprocess.run(["sh", "-c", f'"{support.PROGRAM}" --version {closing}'], check=False, timeout=20)
            self.assertEqual(done.returncode, 0)
            done = subprocess.run(["sh", "-c", f'"{support.PROGRAM}" embed --bad {closing}'], check=False, timeout=20,
                                  stderr=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 2)

    def test_a_full_disk_under_stdout_is_a_resource_error(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([support.PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"No space left", done.stderr)

    def test_json_log_lines_are_objects_with_the_parts_of_an_error(self):
        import json
        done = self.run_program("info", "absent.safetensors", "--log-json")
        self.assertEqual(done.returncode, 3)
        line = json.loads(done.stderr.splitlines()[-1])
        self.assertEqual(line["level"], "error")
        self.assertEqual(line["exit_code"], "3")
        self.assertIn("absent.safetensors", line["file"])
        self.assertTrue(line["code"].startswith("STOFM-"))


if __name__ == "__main__":
    support.main()
