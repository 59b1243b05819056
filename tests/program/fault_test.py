# SPDX-License-Identifier: MIT
"""System calls that fail (failing_calls.c): a documented exit code, one line, inputs as they were, and either all outputs
of a slice, right to the bit, or none (R05 to R07). STOFM_FAULTS says how many faults of each kind (4)."""
import errno
import os
import random

import support

FAULTS = int(os.environ.get("STOFM_FAULTS", "4"))
KINDS = {"write": (errno.EIO, errno.ENOSPC), "sync": (errno.EIO,), "rename": (errno.EIO, errno.EACCES), "open": (errno.EMFILE, errno.EIO),
         "read": (errno.EIO,), "close": (errno.EIO,), "remove": (errno.EIO,), "fork": (errno.EAGAIN,), "thread": (errno.EAGAIN,),
         "memory": (errno.ENOMEM,)}


class Faults(support.EmbedCase):
    def setUp(self):
        super().setUp()
        self.library = support.compile_library(self, support.SOURCE / "tests/program/failing_calls.c")
        self.random = random.Random(3)

    def failing(self, kind, at, number, *arguments, always=False):
        env = {"LD_PRELOAD": str(self.library), "FAIL_CALL": kind, "FAIL_AT": str(at), "FAIL_ERRNO": str(number)}
        if always:
            env["FAIL_ALWAYS"] = "1"
        return self.run_program(*arguments, env=env)

    def calls(self, kind, *arguments):
        env = {"LD_PRELOAD": str(self.library), "FAIL_CALL": kind, "FAIL_COUNT": str(self.dir / "count")}
        self.ok(*arguments, env=env)
        counted = int((self.dir / "count").read_text())
        (self.dir / "count").unlink()
        return counted

    def test_a_failing_call_costs_all_outputs_of_the_slice_or_none(self):
        names = ["o.h5ad", "o.npy", "o.csv"]
        command = ["embed", "slice.h5ad", "-o", "o.h5ad", "--npy", "o.npy", "--csv", "o.csv"]
        before = self.slice.read_bytes()

        def outputs():
            found = {name: (self.dir / name).read_bytes() for name in names if (self.dir / name).exists()}
            for name in found:
                (self.dir / name).unlink()
            return found

        self.ok(*command)
        whole = outputs()
        failed = 0
        for kind, numbers in KINDS.items():
            count = self.calls(kind, *command)
            self.assertEqual(outputs(), whole)
            for _ in range(FAULTS if count else 0):
                at, number = self.random.randint(1, count), self.random.choice(numbers)
                always = self.random.random() < 0.3
                done = self.failing(kind, at, number, *command, always=always)
                words = f"{kind} {at} of {count}, errno {number}, always {always}: exit {done.returncode}, {done.stderr[-500:]}"
                failed += done.returncode != 0
                self.assertIn(done.returncode, (0, 2, 3, 5, 70), words)
                found = outputs()
                self.assertEqual(found, whole if done.returncode == 0 else {}, words)
                self.assertEqual(self.slice.read_bytes(), before, words)
                left = [path for path in self.dir.iterdir() if path.name not in ("slice.h5ad", "failing_calls.so")]
                if kind != "remove":
                    self.assertEqual(left, [], words)
                for path in left:
                    path.unlink()
        self.assertGreater(failed, len(KINDS))

    def test_memory_that_fails_from_the_start_is_a_line_and_an_exit_code(self):
        if "CUDA      not built in" not in self.ok("--version").stdout:
            self.skipTest("libcudart registers its kernels before main and crashes where that gets no memory")
        for at in [*range(1, 16), *range(20, 400, 60)]:
            done = self.failing("memory", at, errno.ENOMEM, "embed", "slice.h5ad", "-o", "o.h5ad")
            self.assertIn(done.returncode, (0, 5, 70), f"{at}: {done.returncode} {done.stderr[-300:]}")
            if done.returncode:
                self.assertIn("stofm: error: ", done.stderr)
            (self.dir / "o.h5ad").unlink(missing_ok=True)


if __name__ == "__main__":
    support.main()
