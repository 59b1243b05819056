# SPDX-License-Identifier: MIT
"""What tests/gpu/run.py makes of programs that pass, fail, skip, race, measure and take too long, and of target figures."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/gpu"))
import targets  # noqa: E402

WRITE = ('for a in "$@"; do case $a in --benchmark_out=*) cat >"${a#*=}" <<"END"\n%s\nEND\n;; esac; done\n')


class GpuReport(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = pathlib.Path(folder.name)

    def run_stages(self, programs, *arguments, **variables):
        """(exit code, report) of run.py over programs, {path: lines of shell}."""
        for name, script in {"tools/git": "echo 0123abc\n", **programs}.items():  # the commit, for all calls of a test
            path = self.build / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("#!/bin/sh\n" + script)
            path.chmod(0o755)
        environment = {**os.environ, "PATH": f"{self.build / 'tools'}:{os.environ['PATH']}", "STOFM_GOLDEN": str(self.build),
                       "STOFM_PEERS": str(self.build / "peers"), **variables}
        done = subprocess.run([sys.executable, str(ROOT / "tests/gpu/run.py"), str(self.build), str(self.build / "report"),
                               *arguments], capture_output=True, text=True, env=environment, cwd=ROOT)
        self.output = done.stdout + done.stderr
        return done.returncode, json.loads((self.build / "report/gpu.json").read_text())

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
        (self.build / "tests/test_gpu_skip").unlink()
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
        programs = {"tests/test_gpu_good": "echo digest: 1\n", "bench/x_gpu_bench": WRITE % '{"benchmarks": [{"name": "x"}]}'}
        code, report = self.run_stages(programs, "test")
        code, report = self.run_stages(programs, "bench")
        self.assertEqual(report["benchmarks"]["x_gpu_bench"]["figures"], [{"name": "x"}])
        self.assertEqual(report["tests"]["good"]["result"], "passed")
        self.assertEqual(code, 0)

    def test_a_benchmark_that_reports_an_error_has_failed(self):
        error = '{"benchmarks": [{"name": "x", "error_occurred": true, "error_message": "labels differ"}, {"name": "y"}]}'
        code, report = self.run_stages({"bench/x_gpu_bench": WRITE % error, "bench/empty_gpu_bench": WRITE % '{"benchmarks": []}'},
                                       "bench")
        self.assertEqual(report["benchmarks"]["x_gpu_bench"]["result"], "failed: x: labels differ")
        self.assertEqual(report["benchmarks"]["empty_gpu_bench"]["result"], "failed: no figures")
        self.assertEqual(code, 1)

    def test_what_outlasts_its_time_is_cut_off_and_its_figures_kept(self):
        cut = '{"context": {}, "benchmarks": [\n {"name": "first", "real_time": 2.0},'
        children = "sleep 60 & sleep 60\n"  # what a program starts keeps its output open
        code, report = self.run_stages({"bench/x_gpu_bench": WRITE % cut + children}, "bench", STOFM_GPU_TIMEOUT="1")
        self.assertEqual(report["benchmarks"]["x_gpu_bench"]["result"], "out of time")
        self.assertEqual(report["benchmarks"]["x_gpu_bench"]["figures"], [{"name": "first", "real_time": 2.0}])
        self.assertEqual(code, 1)

    def test_a_budget_ends_a_call_and_the_next_goes_on(self):
        count = 'echo x >>"$(dirname "$0")/../$(basename "$0").runs"; echo digest: 1\n'
        programs = {"tests/test_gpu_a": count, "tests/test_gpu_b": count + "sleep 2\n", "tests/test_gpu_c": count}
        code, report = self.run_stages(programs, "--budget", "17", "test")  # 15 s must be left to begin anything
        self.assertEqual([report["tests"][name]["result"] for name in "abc"], ["passed", "passed", "not run"])
        self.assertEqual(code, 3)
        code, report = self.run_stages(programs, "--continue", "test")
        self.assertEqual([report["tests"][name]["result"] for name in "abc"], ["passed", "passed", "passed"])
        self.assertEqual(code, 0)
        runs = {name: len((self.build / f"test_gpu_{name}.runs").read_text().split()) for name in "abc"}
        self.assertEqual(runs, {"a": 2, "b": 2, "c": 2})
        self.run_stages(programs, "test")  # without --continue, all of it again
        self.assertEqual(len((self.build / "test_gpu_a.runs").read_text().split()), 4)

    def test_peers_are_measured_or_it_says_why_not(self):
        good = {"tests/test_gpu_good": "echo digest: 1\n"}
        code, report = self.run_stages(good, "test", "peers")
        self.assertIn("stofm_torch.py", report["peers"]["not run"])
        self.assertEqual(code, 0)
        python = 'if [ "$1" = -c ]; then exit 0; fi\ncase "$*" in *--compile*) exit 1;; esac\n' \
                 'echo noise; echo \'{"median_ms": 2.5, "peak_bytes": 1000}\'\n'
        code, report = self.run_stages({**good, "peers/stofm_torch.py": "", "tools/fake_python": python}, "peers",
                                       STOFM_PEER_PYTHON=str(self.build / "tools/fake_python"))
        self.assertEqual(report["peers"]["forward eager float32"]["median_ms"], 2.5)
        self.assertEqual(report["peers"]["forward compile float32"]["result"], "failed (1)")
        self.assertNotIn("not run", report["peers"])
        self.assertEqual(code, 1)


class Targets(unittest.TestCase):
    def found(self, report):
        return {row["what"]: row for row in targets.of(report)}

    def test_nothing_measured_is_neither_met_nor_missed(self):
        for row in targets.of({}):
            self.assertIsNone(row["found"], row)
            self.assertIsNone(row["met"], row)
        self.assertIn("not measured", targets.table(targets.of({})))

    def test_figures_and_ratios(self):
        def figure(name, milliseconds, **more):
            return {"name": name, "real_time": 1e3 * milliseconds, "time_unit": "us", **more}

        report = {
            "benchmarks": {
                "se2_forward_gpu_bench": {"figures": [
                    figure("forward/split_bf16/B:1/N:1050/manual_time", 0.25),
                    figure("forward/bf16/B:64/N:1050/manual_time", 8, **{"sub-slices/s": 8000.0})]},
                "se2_train_gpu_bench": {"figures": [figure("step/split_bf16/B:16/N:1050/manual_time", 10, device_MiB=1024.0)]},
                "cell_encoder_gpu_bench": {"figures": [
                    figure("embed/bf16/cells:512/real_time", 1, **{"FLOP/s": 3e14}),
                    figure("products_by_cublas/tokens:65536/manual_time", 1, **{"FLOP/s": 4e14})]},
                "kmeans_gpu_bench": {"figures": [
                    figure("kmeans/full_step/ours/f32/N:1000000/C:256/K:256/manual_time", 2),
                    figure("kmeans/full_step/cublas_cub/f32/N:1000000/C:256/K:256/manual_time", 3),
                    figure("kmeans/full_step/cublas_cub/tf32/N:1000000/C:256/K:256/manual_time", 1, error_occurred=True)]}},
            "peers": {"forward eager float32": {"result": "passed", "median_ms": 5.0},
                      "forward compile float32": {"result": "out of time", "median_ms": 5.0},
                      "train eager float32": {"result": "passed", "median_ms": 100.0, "peak_bytes": 20 * 2**30}},
            "million_cells": {"published sizes bfloat16": {"result": "passed", "seconds": 70.0, "cells": 1000000},
                              "published sizes float32": {"result": "passed", "seconds": 7.0, "cells": 7000}}}
        rows = self.found(report)
        forward = rows["forward of 1 sub-slice of 1050 nodes, float32 grade"]
        self.assertEqual((forward["found"], forward["with"], forward["met"]), (0.25, "split_bf16", True))
        eager = rows["the same, times faster than PyTorch eager in float32"]
        self.assertEqual((eager["found"], eager["met"]), (20.0, True))
        self.assertIsNone(rows["the same, times faster than PyTorch compile in float32"]["met"])
        self.assertIs(rows["forward of 64 sub-slices in bfloat16"]["met"], False)
        step = rows["training step of 16 sub-slices, float32, times faster than PyTorch eager"]
        self.assertEqual((step["found"], step["met"]), (10.0, False))
        memory = rows["training step of 16 sub-slices, float32, share of the memory of PyTorch eager"]
        self.assertEqual((memory["found"], memory["met"]), (0.05, True))
        self.assertEqual(rows["cell encoder in bfloat16, 200 to 2048 tokens, share of cuBLAS's rate on its products"]["found"], 0.75)
        self.assertEqual(rows["k-means step, 1M x 256, k = 256, times faster than cublas_cub/f32"]["found"], 1.5)
        self.assertIsNone(rows["k-means step, 1M x 256, k = 256, times faster than cublas_cub/tf32"]["met"])
        self.assertIs(rows["1,000,000 cells from .h5ad to .h5ad, published sizes bfloat16"]["met"], False)
        self.assertIsNone(rows["1,000,000 cells from .h5ad to .h5ad, published sizes float32"]["met"])
        self.assertIn("MISSED", targets.table(targets.of(report)))


if __name__ == "__main__":
    unittest.main()
