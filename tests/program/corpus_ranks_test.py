# SPDX-License-Identifier: MIT
"""`mpirun -n 2 stofm corpus build` writes the manifest of one process, and two ranks of `pretrain` prepare each slice of a
corpus once. Skipped without mpirun or without MPI in the program."""
import os
import pathlib
import re
import shutil
import subprocess

import support
from corpus_support import CorpusCase, tissue

MPIRUN = shutil.which("mpirun")
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
               "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
               "ASAN_OPTIONS": "detect_leaks=0"}


class Ranks(CorpusCase):
    def setUp(self):
        if MPIRUN is None or b"MPI_Init" not in pathlib.Path(support.PROGRAM).read_bytes():
            self.skipTest("no mpirun, or a program without MPI")
        super().setUp()

    def two(self, *arguments):
        done = subprocess.run([MPIRUN, "-n", "2", support.PROGRAM, *map(str, arguments)], cwd=self.dir, env=ENVIRONMENT,
                              text=True, capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done

    def test_two_ranks_build_and_train_as_one(self):
        for i in range(5):
            self.write(f"data/s{i}.h5ad", tissue(i))
        (self.dir / "data/broken1.h5ad").write_text("no")
        (self.dir / "data/broken2.h5ad").write_text("no")
        self.ok("corpus", "build", "data", "-o", "one")
        done = self.two("corpus", "build", "data", "-o", "two")
        self.assertIn("5 slices indexed, 0 as they were, 2 refused", done.stderr)
        for name in ("manifest", "refused", "duplicates"):
            self.assertEqual((self.dir / "one" / f"{name}.jsonl").read_bytes(), (self.dir / "two" / f"{name}.jsonl").read_bytes())
        self.assertEqual(list((self.dir / "two").glob("indexed-*")), [])
        self.assertIn("0 slices indexed, 5 as they were", self.two("corpus", "build", "data", "-o", "two").stderr)
        options = ["--from-scratch", "--config", "tiny", "--split", "40", "--batch", "4", "--steps", "2", "--threads", "1"]
        done = self.two("pretrain", "two", "-o", "run", *options)
        slices, cached, prepared = map(int, re.search(r"(\d+) slices, .* \((\d+) from the cache, (\d+) prepared", done.stderr).groups())
        self.assertEqual((cached, prepared), (slices // 2, slices - slices // 2))
        self.assertEqual(len(list((self.dir / "run/cache").glob("*.safetensors"))), slices)


if __name__ == "__main__":
    support.main()
