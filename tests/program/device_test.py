#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--device where there is no CUDA device, with and without CUDA built in: `cuda` is refused with the way out before any
work, `auto` computes on the CPU."""
import json
import subprocess

import support


def cuda_line():
    """What --version says of CUDA."""
    text = subprocess.run([support.PROGRAM, "--version"], capture_output=True, text=True, check=False).stdout
    return next(line for line in text.splitlines() if line.startswith("CUDA"))


class DeviceTest(support.EmbedCase):
    def setUp(self):
        super().setUp()
        line = cuda_line()
        if "device (" in line or "devices (" in line:
            self.skipTest("this machine has a CUDA device: tests/gpu covers it")
        self.built = "not built in" not in line
        self.words = ["no CUDA device was found" if self.built else "without CUDA", "--device cpu", "STOFM-6001"]

    def test_cuda_is_refused_by_every_verb_before_any_work(self):
        case = support.GOLDEN / "se2_small"
        for device in ["cuda", "cuda:0", "cuda:7"]:
            self.refused(6, "embed", "slice.h5ad", "--device", device, words=[device, *self.words])
            self.refused(6, "verify", "--weights", case / "bundle.safetensors", case / "case.safetensors", "--device",
                         device, words=self.words)
            for verb in ["pretrain", "adapt"]:
                self.refused(6, verb, "slice.h5ad", "-o", "run", "--device", device, words=self.words)

    def test_auto_computes_on_the_cpu_and_says_so(self):
        self.ok("embed", "slice.h5ad", "--device", "cpu", "-o", "a.h5ad", "--npy", "a.npy")
        done = self.ok("embed", "slice.h5ad", "--device", "auto", "-o", "b.h5ad", "--npy", "b.npy", "-v")
        self.assertEqual((self.dir / "a.npy").read_bytes(), (self.dir / "b.npy").read_bytes())
        said = [line for line in done.stderr.splitlines() if "device: cpu" in line]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertIn("no CUDA device was found" if self.built else "built without CUDA", said[0])
        case = support.GOLDEN / "se2_small"
        self.ok("verify", "--weights", case / "bundle.safetensors", case / "case.safetensors", "--device", "auto")

    def test_verify_compares_rows_of_length_1_below_float32(self):
        case = support.GOLDEN / "se2_small"
        files = ["--weights", case / "bundle.safetensors", case / "case.safetensors"]
        plain = [json.loads(line) for line in self.ok("verify", *files).stdout.splitlines()]
        unit = [json.loads(line) for line in self.ok("verify", *files, "--dtype", "bfloat16").stdout.splitlines()]
        self.assertEqual([line["tensor"] for line in plain], [line["tensor"] for line in unit])
        for a, b in zip(plain, unit):
            self.assertEqual(b["tolerance"], 0.02)
            self.assertTrue(b["ok"], b)
            if a["tensor"].endswith("state"):  # rounded operands: other numbers
                self.assertNotEqual(b["max_abs_diff"], a["max_abs_diff"])

    def test_names_of_devices_are_checked(self):
        for verb in [["embed", "slice.h5ad"], ["pretrain", "slice.h5ad", "-o", "run"], ["adapt", "slice.h5ad", "-o", "run"]]:
            self.refused(2, *verb, "--device", "gpu", words=["gpu", "cuda:N"])
        self.refused(2, "embed", "slice.h5ad", "--batch", "-1", words=["--batch"])


if __name__ == "__main__":
    support.main()
