# SPDX-License-Identifier: MIT
"""Runs that are killed at random moments: inputs stay as they were, outputs are whole or absent, the same command goes
on, and its results have the bits of a run that nobody disturbed (R01, R03). STOFM_KILLS says how many (12; by hand 300)."""
import hashlib
import os
import random
import signal
import subprocess
import time

import support

KILLS = int(os.environ.get("STOFM_KILLS", "12"))
SEED = int(os.environ.get("STOFM_SEED", "5"))
NUMBERS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
TINY = ["--from-scratch", "--config", "tiny", "--split", "40", "--batch", "2", "--validation", "0", "--seed", "3",
        "--steps", "30", "--checkpoint-every", "5", "--name", "m"]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Kills(support.EmbedCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.hits = 0

    def disturbed(self, folder, *arguments):
        """Runs the program and kills it after a random share of what it takes, or, every other time, when it writes."""
        number = self.random.choice(NUMBERS)
        started = time.monotonic()
        left_before = set(folder.rglob("*.tmp.*"))  # by a run that was killed
        with subprocess.Popen([support.PROGRAM, *map(str, arguments)], cwd=folder, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            pause = self.random.random() * self.seconds
            if self.random.random() < 0.5:
                while process.poll() is None and time.monotonic() < started + 60 and left_before >= set(folder.rglob("*.tmp.*")):
                    time.sleep(0.0005)
                pause = self.random.random() * 0.02
            time.sleep(pause)
            process.send_signal(number)
            process.wait(60)
        code = process.returncode
        self.hits += code != 0
        self.assertIn(code, (0, -number, 128 + number))  # -number: before the program began to listen
        if number != signal.SIGKILL:
            self.assertEqual(set(folder.rglob("*.tmp.*")) - left_before, set())
        return code

    def undisturbed(self, folder, *arguments):
        started = time.monotonic()
        done = self.ok(*arguments, cwd=folder)
        self.seconds = time.monotonic() - started
        return done

    def folder(self, name):
        folder = self.dir / name
        folder.mkdir()
        # Both keep no times of objects, so that two runs give the same bytes.
        for slice_name, source in (("a.h5ad", "csr_f32_lzf.h5ad"), ("b.h5ad", "legacy_0.7.h5ad")):
            self.copy(source, f"{name}/{slice_name}")
        return folder

    def each(self, share, body):
        rounds = 0
        before = self.hits
        while self.hits - before < max(1, KILLS * share // 100) and rounds < 20 * KILLS:
            body(rounds)
            rounds += 1
        self.assertGreater(self.hits, before)

    def test_a_batch_with_all_its_outputs(self):
        command = ["embed", "*.h5ad", "--output-dir", "out", "--npy", "out/", "--csv", "out/", "--report", "out/"]
        whole = self.folder("whole")
        (whole / "out").mkdir()
        self.undisturbed(whole, *command)
        names = sorted(path.name for path in (whole / "out").iterdir())
        bits = {name: digest(whole / "out" / name) for name in names if not name.endswith((".html", ".jsonl"))}
        self.assertEqual(len(bits), 6)

        def one(number):
            folder = self.folder(f"killed-{number}")
            (folder / "out").mkdir()
            inputs = {name: digest(folder / name) for name in ("a.h5ad", "b.h5ad")}
            for _ in range(self.random.randint(1, 4)):
                self.disturbed(folder, *command)
                for name, bit in bits.items():  # whole or absent
                    if (folder / "out" / name).exists():
                        self.assertEqual(digest(folder / "out" / name), bit, name)
            self.ok(*command, cwd=folder)
            self.assertEqual({name: digest(folder / name) for name in inputs}, inputs)
            self.assertEqual({name: digest(folder / "out" / name) for name in bits}, bits)
            self.assertEqual(sorted(path.name for path in (folder / "out").iterdir()), names)
            self.assertEqual(sorted(path.name for path in folder.iterdir()), ["a.h5ad", "b.h5ad", "out"])

        self.each(40, one)

    def test_slices_in_place(self):
        command = ["embed", "*.h5ad", "--in-place"]
        whole = self.folder("whole")
        fresh = {name: digest(whole / name) for name in ("a.h5ad", "b.h5ad")}
        self.undisturbed(whole, *command)
        bits = {name: digest(whole / name) for name in fresh}

        def one(number):
            folder = self.folder(f"killed-{number}")
            for _ in range(self.random.randint(1, 4)):
                self.disturbed(folder, *command)
                for name in fresh:
                    self.assertIn(digest(folder / name), (fresh[name], bits[name]))
            self.ok(*command, cwd=folder)
            self.assertEqual({name: digest(folder / name) for name in bits}, bits)
            self.assertEqual(sorted(path.name for path in folder.iterdir()), ["a.h5ad", "b.h5ad", "stofm-journal.jsonl"])

        self.each(30, one)

    def test_pretraining(self):
        command = ["pretrain", "a.h5ad", "b.h5ad", "-o", "run", "--resume", *TINY]
        whole = self.folder("whole")
        self.undisturbed(whole, *command)
        bits = digest(whole / "run/model.safetensors")
        def files(folder):  # of the checkpoints only the last: a signal has its own saved, which push others out
            return sorted(name for name in (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
                          if "checkpoints" not in name or name.endswith("00000030.safetensors"))

        def one(number):
            folder = self.folder(f"killed-{number}")
            for _ in range(self.random.randint(1, 4)):
                self.disturbed(folder, *command)
                if (folder / "run/model.safetensors").exists():
                    self.assertEqual(digest(folder / "run/model.safetensors"), bits)
            self.ok(*command, cwd=folder)
            self.assertEqual(digest(folder / "run/model.safetensors"), bits)
            self.assertEqual(files(folder), files(whole))
            self.assertLessEqual(len(list((folder / "run/checkpoints").iterdir())), 3)  # --keep

        self.each(30, one)


class SlowDisk(support.EmbedCase):
    """With fsync that takes seconds a signal always meets the write."""

    SOURCE = """#include <dlfcn.h>
#include <unistd.h>
int fsync(int file) { static int (*real)(int); if (!real) real = (int (*)(int))dlsym((void*)-1L, "fsync");
  usleep(1500000); return real(file); }
"""

    def setUp(self):
        super().setUp()
        (self.dir / "slow.c").write_text(self.SOURCE)
        self.library = support.compile_library(self, self.dir / "slow.c")

    def test_only_our_own_temporary_files_go_and_soon(self):
        with subprocess.Popen([support.PROGRAM, "embed", "slice.h5ad", "-o", "s.h5ad", "-q"], cwd=self.dir,
                              env={**os.environ, "LD_PRELOAD": str(self.library)}, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while not list(self.dir.glob("s.h5ad.tmp.*")) and time.monotonic() < deadline:
                time.sleep(0.002)
            others = [f"s.h5ad.tmp.9{process.pid}1.0", f"s.h5ad.tmp-notes-{process.pid}", f"s.h5ad.tmp.{process.pid}.77"]
            for name in others:
                (self.dir / name).write_text("mine")
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        self.assertEqual(process.returncode, 143)
        self.assertEqual(sorted(path.name for path in self.dir.glob("s.h5ad*")), sorted(others))

    def test_a_signal_while_the_results_take_their_names_comes_too_late(self):
        for _ in range(3):
            for name in ("o.h5ad", "o.npy"):
                (self.dir / name).unlink(missing_ok=True)
            with subprocess.Popen([support.PROGRAM, "embed", "slice.h5ad", "-o", "o.h5ad", "--npy", "o.npy", "-q"],
                                  cwd=self.dir, env={**os.environ, "LD_PRELOAD": str(self.library)}) as process:
                deadline = time.monotonic() + 60
                while not (self.dir / "o.npy").exists() and time.monotonic() < deadline:
                    time.sleep(0.002)
                process.send_signal(signal.SIGINT)
                process.wait(60)
            self.assertEqual(process.returncode, 0)
            self.assertTrue((self.dir / "o.h5ad").exists())


if __name__ == "__main__":
    support.main()
