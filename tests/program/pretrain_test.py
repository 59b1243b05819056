# SPDX-License-Identifier: MIT
"""`stofm pretrain` and `adapt`: resume after kill -9 to the bit (R01, R22), signals (R03), changed options (R23), two
runs in a directory (R14), bad slices, damaged checkpoints (R12), and a bundle that `stofm embed` loads."""
import json
import os
import shutil
import signal
import struct
import subprocess
import time
import unittest

import support

STEPS = 100
TINY = ["--from-scratch", "--config", "tiny", "--split", "40", "--batch", "2", "--validation", "0", "--seed", "3"]


def checkpoint(run, step):
    return run / "checkpoints" / f"step-{step:08d}.safetensors"


def log_steps(run):
    """Steps in the log so far; a line that is just being written does not count."""
    try:
        lines = (run / "log.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [line["step"] for line in map(json.loads, lines) if line["event"] == "step"]


def metadata(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8:8 + length])["__metadata__"]


class Pretrain(support.EmbedCase):
    def start(self, *arguments):
        return subprocess.Popen([support.PROGRAM, *map(str, arguments)], cwd=self.dir, stderr=subprocess.PIPE, text=True)

    def command(self, run, *more, steps=STEPS, every=10):
        return ["pretrain", "slice.h5ad", "-o", run, "--steps", steps, "--cache", "cache", "--checkpoint-every", every,
                *TINY, *more]

    def stop(self, command, run, at, number):
        """Starts a run and sends a signal as soon as its log has this step."""
        process = self.start(*command)
        deadline = time.time() + 120
        while max(log_steps(run), default=0) < at and process.poll() is None and time.time() < deadline:
            time.sleep(0.002)
        process.send_signal(number)
        _, words = process.communicate(timeout=120)
        return process.returncode, words

    def test_killed_and_resumed_is_one_run_to_the_bit_on_one_and_four_threads(self):
        self.ok(*self.command("whole", "--threads", 1))
        whole = checkpoint(self.dir / "whole", STEPS).read_bytes()
        self.ok(*self.command("four", "--threads", 4))
        self.assertEqual(checkpoint(self.dir / "four", STEPS).read_bytes(), whole)
        killed = 0
        for before, after in [(1, 1), (4, 4), (1, 4)]:
            run = self.dir / f"killed-{before}-{after}"
            # A checkpoint every 10 steps; the steps after it are lost with the kill and done again.
            code, _ = self.stop(self.command(run, "--threads", before), run, 12, signal.SIGKILL)
            killed += code == -signal.SIGKILL and not checkpoint(run, STEPS).exists()
            done = self.ok(*self.command(run, "--threads", after, "--resume"))
            self.assertEqual(checkpoint(run, STEPS).read_bytes(), whole, done.stderr)
            self.assertEqual(log_steps(run), list(range(1, STEPS + 1)))
        self.assertGreater(killed, 0)
        hashes = [metadata(self.dir / run / "model.safetensors")["sha256"] for run in ("whole", "killed-1-4")]
        self.assertEqual(*hashes)
        # What was trained embeds.
        done = self.ok("embed", "slice.h5ad", "--weights", "whole/model.safetensors", "-o", "out.h5ad", "--npy", "out.npy")
        self.assertNotIn("demonstration", done.stderr)
        self.assertEqual(support.read_npy(self.dir / "out.npy")[0], (60, 32))
        report = (self.dir / "whole" / "report.html").read_text()
        self.assertNotIn("http://", report)
        self.assertIn("Loss on training pieces", report)

    def test_sigterm_finishes_the_step_and_leaves_a_checkpoint(self):
        for number, code in [(signal.SIGTERM, 143), (signal.SIGINT, 130)]:
            run = self.dir / f"stopped-{code}"
            found, words = self.stop(self.command(run, steps=100_000, every=100_000), run, 3, number)
            self.assertEqual(found, code, words)
            steps = log_steps(run)
            self.assertTrue(checkpoint(run, steps[-1]).exists())
            self.assertIn("--resume", words)
            left = [path for path in run.rglob("*") if ".tmp" in path.name or path.name == "lock"]
            self.assertEqual(left, [])

    def test_other_options_are_refused_by_name_and_damaged_checkpoints_too(self):
        run = self.dir / "run"
        self.ok(*self.command(run, steps=20))
        self.refused(2, *self.command(run, steps=20), words=["--resume", "STOFM-2061"])
        model = (run / "model.safetensors").read_bytes()
        self.assertIn('last_losses', metadata(run / "model.safetensors")["model_info"])
        self.ok(*self.command(run, "--resume", steps=20))  # after the last step: the card knows its losses still
        self.assertEqual((run / "model.safetensors").read_bytes(), model)
        line = self.refused(2, *self.command(run, "--resume", "--learning-rate", "0.01", steps=20),
                            words=["learning-rate 0.0005 -> 0.01", "--force"])
        self.assertNotIn("warmup", line)
        newest = checkpoint(run, 20)
        data = bytearray(newest.read_bytes())
        data[-1] ^= 1
        newest.write_bytes(data)
        self.refused(3, *self.command(run, "--resume", steps=20), words=["checksum of tensor", "step-00000010.safetensors", "--resume-older"])
        done = self.ok(*self.command(run, "--resume-older", steps=20))
        self.assertIn("passed over", done.stderr)
        self.assertTrue(newest.exists())

    def test_two_runs_in_one_directory(self):
        run = self.dir / "run"
        first = self.start(*self.command(run, steps=100_000))
        deadline = time.time() + 120
        while not log_steps(run) and time.time() < deadline:
            time.sleep(0.01)
        second = self.run_program(*self.command(run, "--resume"))
        self.assertEqual(second.returncode, 2)
        self.assertIn(f"process {first.pid} on host", second.stderr)
        first.kill()
        first.communicate()

    def test_bad_slices_are_an_error_or_left_out(self):
        (self.dir / "bad.h5ad").write_text("no slice")
        command = ["pretrain", "slice.h5ad", "bad.h5ad", "-o", "run", "--steps", 2, *TINY]
        done = self.run_program(*command)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("bad.h5ad", done.stderr)
        done = self.ok(*command, "--skip-bad")
        self.assertIn("1 slices that can not be read", done.stderr)

    def test_adapt_resumes_to_the_bit_and_its_bundle_starts_pretraining(self):
        options = ["--from-scratch", "--config", "tiny", "--steps", 6, "--batch", 16, "--validation", "0", "--checkpoint-every", 3]
        self.ok("adapt", "slice.h5ad", "-o", "whole", *options, "--threads", 1)
        shutil.copytree(self.dir / "whole", self.dir / "cut")
        checkpoint(self.dir / "cut", 6).unlink()
        self.ok("adapt", "slice.h5ad", "-o", "cut", *options, "--threads", 4, "--resume")
        self.assertEqual(*(checkpoint(self.dir / run, 6).read_bytes() for run in ("whole", "cut")))
        self.ok("pretrain", "slice.h5ad", "-o", "both", "--weights", "whole/model.safetensors", "--steps", 2, *TINY)
        self.ok("embed", "slice.h5ad", "--weights", "both/model.safetensors", "-o", "out.h5ad")
        self.joint_stage_resumes_to_the_bit("whole/model.safetensors")

    def test_principal_components_of_each_slice_as_features(self):
        self.ok("pretrain", "slice.h5ad", "-o", "pca", "--features", "pca", "--steps", 2, *TINY)
        config = json.loads((self.dir / "pca" / "log.jsonl").read_text().splitlines()[0])["config"]
        self.assertEqual((config["features"], config["flip-signs"]), ("pca", True))
        self.ok("pretrain", "slice.h5ad", "-o", "signs", "--features", "pca", "--flip-signs", "off", "--steps", 2, *TINY)
        config = json.loads((self.dir / "signs" / "log.jsonl").read_text().splitlines()[0])["config"]
        self.assertNotIn("flip-signs", config)
        self.ok("cluster", "slice.h5ad", "--weights", "pca/model.safetensors", "--use", "stofm", "--features", "pca", "--clusters", 3,
                "--layout", "none", "-o", "out.h5ad")
        done = self.run_program("pretrain", "slice.h5ad", "-o", "joint", "--features", "pca", "--joint-after", 1, "--steps", 2, *TINY)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--features pca", done.stderr)

    def joint_stage_resumes_to_the_bit(self, weights):
        command = ["pretrain", "slice.h5ad", "--weights", weights, "--features", "encoder", "--steps", 12, "--joint-after", 5,
                   "--checkpoint-every", 4, *TINY]
        self.ok(*command, "-o", "joint", "--threads", 1)
        for at in (4, 8):  # before and after the encoder is trained
            cut = f"joint-{at}"
            shutil.copytree(self.dir / "joint", self.dir / cut)
            for step in range(at + 4, 13, 4):
                checkpoint(self.dir / cut, step).unlink()
            self.ok(*command, "-o", cut, "--threads", 4, "--resume")
            self.assertEqual(checkpoint(self.dir / cut, 12).read_bytes(), checkpoint(self.dir / "joint", 12).read_bytes())
        self.ok("embed", "slice.h5ad", "--weights", "joint/model.safetensors", "-o", "joint.h5ad")


if __name__ == "__main__":
    support.main()
