# SPDX-License-Identifier: MIT
"""bench/training_quality.py reads logs of pretraining: unittest, no package beside Python."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import training_quality  # noqa: E402

GOOD = dict(event="validation", step=20, cells=90, pairs=400, mcm_cosine=0.5, mcm_cosine_neighbours=0.4, mcm_cosine_mean=0.1,
            pdr_error=2.0, pdr_error_constant=3.0, pdr_error_kind=2.9, pdr_error_as_moved=9.0)


def write_log(folder, *lines):
    path = pathlib.Path(folder) / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "valid')
    return path


class TrainingQuality(unittest.TestCase):
    def test_takes_validation_lines_in_order_and_the_later_of_two(self):
        with tempfile.TemporaryDirectory() as folder:
            write_log(folder, GOOD, dict(event="step", step=3), dict(GOOD, step=0, mcm_cosine=0.0), dict(GOOD, mcm_cosine=0.6))
            found = training_quality.read_validations(folder)
        self.assertEqual([(line["step"], line["mcm_cosine"]) for line in found], [(0, 0.0), (20, 0.6)])

    def test_names_the_objective_that_a_trivial_predictor_beats(self):
        self.assertEqual(training_quality.behind_trivial(GOOD), [])
        self.assertEqual(training_quality.behind_trivial(dict(GOOD, mcm_cosine=0.4)), ["masked cells"])
        self.assertEqual(training_quality.behind_trivial(dict(GOOD, pdr_error=float("nan"))), ["moved pairs"])

    def test_gives_mean_and_sd_over_runs(self):
        rows = training_quality.summarise([[GOOD], [dict(GOOD, mcm_cosine=0.7)]])
        found = {(objective[:6], predictor): (mean, sd) for objective, predictor, mean, sd in rows}
        self.assertAlmostEqual(found["masked", "SToFM"][0], 0.6)
        self.assertAlmostEqual(found["masked", "SToFM"][1], 0.02 ** 0.5)
        self.assertEqual(found["moved ", "best constant"], (3.0, 0.0))

    def test_program_says_what_is_behind_and_refuses_a_log_without_figures(self):
        program = [sys.executable, "-B", str(ROOT / "bench" / "training_quality.py")]
        with tempfile.TemporaryDirectory() as folder:
            write_log(folder, dict(GOOD, pdr_error=3.5))
            ran = subprocess.run([*program, folder, "--require"], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 1)
            self.assertIn("moved pairs", ran.stderr)
            self.assertIn("| **0.500** |", ran.stdout)
            write_log(folder, dict(event="step", step=1))
            ran = subprocess.run([*program, folder], capture_output=True, text=True)
            self.assertIn("no validation line", ran.stderr)
            self.assertNotEqual(ran.returncode, 0)


if __name__ == "__main__":
    unittest.main()
