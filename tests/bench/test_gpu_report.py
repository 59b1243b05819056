# SPDX-License-Identifier: MIT
"""What tests/gpu/run.py makes of programs that pass, fail, skip, race and measure."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class GpuReport(unittest.TestCase):
    def run_stages(self, programs, *stages):
        """(exit code, report) of run.py over programs, {path: lines of shell}."""
        with tempfile.TemporaryDirectory() as work:
            build = pathlib.Path(work)
            for name, script in programs.items():
                path = build / name
                path.parent.mkdir(exist_ok=True)
                path.write_text("#!/bin/sh\n" + script)
                path.chmod(0o755)
            environment = {**os.environ, "PATH": f"{build / 'tools'}:{os.environ['PATH']}", "STOFM_GOLDEN": str(build)}
            done = subprocess.run([sys.executable, str(ROOT / "tests/gpu/run.py"), str(build), str(build / "report"), *stages],
                                  capture_output=True, text=True, env=environment, cwd=ROOT)
            return done.returncode, json.loads((build / "report/gpu.json").read_text())

    def test_results_are_told_apart(self):
        code, report = self.run_stages({
            "tests/test_gpu_good": 'echo digest: ab; echo \'{"name": "a/b", "value": 1.5}\' >>"$STOFM_GPU_FIGURES"\n',
            "tests/test_gpu_race": "echo digest: $$\n",
            "tests/test_gpu_skip": "exit 77\n",
            "tests/test_gpu_bad": "echo why; exit 3\n"}, "test")
        results = {name: entry["result"] for name, entry in report["tests"].items()}
        self.assertEqual(results, {"good": "passed", "race": "failed: two runs left different bits", "skip": "skipped",
                                   "bad": "failed (3)"})
        self.assertIn("why", report["tests"]["bad"]["output"])
        self.assertEqual(report["figures"], {"a/b": {"value": 1.5}})
        self.assertEqual(code, 1)

    def test_skipped_alone_is_no_success(self):
        self.assertEqual(self.run_stages({"tests/test_gpu_skip": "exit 77\n"}, "test")[0], 1)
        self.assertEqual(self.run_stages({"tests/test_gpu_good": "echo digest: 1\n"}, "test")[0], 0)

    def test_a_sanitizer_that_refuses_the_device_is_not_run(self):
        good = {"tests/test_gpu_good": "echo digest: 1\n"}
        code, report = self.run_stages({**good, "tools/compute-sanitizer": "echo 'Device not supported'; exit 1\n"}, "sanitize")
        self.assertEqual(list(report["sanitizer"]), ["not run"])
        self.assertEqual(code, 1)  # nothing passed
        code, report = self.run_stages({**good, "tools/compute-sanitizer": "echo '========= ERROR SUMMARY: 2 errors'; exit 99\n"},
                                       "sanitize")
        self.assertEqual({entry["result"] for entry in report["sanitizer"].values()}, {"failed (99)"})
        self.assertEqual(set(report["sanitizer"]), {f"{tool} good" for tool in ("memcheck", "racecheck", "initcheck", "synccheck")})

    def test_benchmarks_and_earlier_stages_come_together(self):
        write = 'for a in "$@"; do case $a in --benchmark_out=*) echo \'{"benchmarks": [{"name": "x"}]}\' >"${a#*=}";; esac; done\n'
        code, report = self.run_stages({"tests/test_gpu_good": "echo digest: 1\n", "bench/x_gpu_bench": write}, "test", "bench")
        self.assertEqual(report["benchmarks"]["x_gpu_bench"]["figures"], [{"name": "x"}])
        self.assertEqual(report["tests"]["good"]["result"], "passed")
        self.assertEqual(code, 0)


if __name__ == "__main__":
    unittest.main()
