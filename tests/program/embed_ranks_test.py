# SPDX-License-Identifier: MIT
"""`mpirun -n 3 stofm embed SLICES...` spreads slices over ranks: the results are those of one process, one journal knows all
of them, and a run without mpirun goes on from it. Skipped without mpirun or without MPI in the program."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.environ["STOFM_PROGRAM"]
SLICES = pathlib.Path(__file__).resolve().parents[1] / "data" / "formats"
MPIRUN = shutil.which("mpirun")
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
               "OMPI_MCA_mpi_yield_when_idle": "1",
               "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "ASAN_OPTIONS": "detect_leaks=0"}


def run(ranks, *arguments):
    command = [MPIRUN, "-n", str(ranks)] if ranks > 1 else []
    return subprocess.run(command + [PROGRAM, "embed", *arguments, "--threads", "1"], env=ENVIRONMENT, text=True,
                          capture_output=True, timeout=250)


def expect(condition, what, result=None):
    if not condition:
        print(f"failed: {what}")
        if result is not None:
            print(result.returncode, result.stdout, result.stderr)
        sys.exit(1)


def main():
    if MPIRUN is None or b"MPI_Init" not in pathlib.Path(PROGRAM).read_bytes():
        print("no mpirun, or a program without MPI")
        return 77
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        source = SLICES / "csr_f32_gzip.h5ad"
        names = [f"slice_{i}.h5ad" for i in range(4)]
        for name in names:
            shutil.copy(source, work / name)
        (work / "damaged.h5ad").write_bytes(b"no HDF5 file")
        for name in ("one", "three", "bad", "none"):
            (work / name).mkdir()
        inputs = [str(work / name) for name in names]

        one = run(1, *inputs, "--output-dir", str(work / "one"))
        expect(one.returncode == 0, "one process", one)
        three = run(3, *inputs, "--output-dir", str(work / "three"))
        expect(three.returncode == 0, "three ranks", three)
        expect("4 embedded, 0 skipped, 0 failed" in three.stdout + three.stderr, "one summary for all ranks", three)
        results = sorted(path.name for path in (work / "one").glob("*.h5ad"))
        expect(len(results) == 4 and results == sorted(path.name for path in (work / "three").glob("*.h5ad")),
               "the same files", three)
        for name in results:
            expect((work / "one" / name).stat().st_size == (work / "three" / name).stat().st_size, f"{name} has the same size")
        journal = work / "three" / "stofm-journal.jsonl"
        expect(len([json.loads(line) for line in journal.read_text().splitlines()]) == 4, "a journal of all four")
        expect(not list((work / "three").glob("*.turn")) and not list((work / "three").glob("*.lock")), "locks are gone")

        again = run(1, *inputs, "--output-dir", str(work / "three"))
        expect("0 embedded, 4 skipped" in again.stdout + again.stderr, "one process goes on from the journal", again)
        bad = run(2, *inputs[:2], str(work / "damaged.h5ad"), "--output-dir", str(work / "bad"))
        expect(bad.returncode != 0 and "damaged.h5ad" in bad.stderr, "a damaged slice is told and counted", bad)
        expect(len(list((work / "bad").glob("slice_*.h5ad"))) == 2, "and does not stop the others", bad)
        missing = run(2, *inputs[:2], str(work / "missing.h5ad"), "--output-dir", str(work / "none"))
        expect(missing.returncode != 0 and "missing.h5ad" in missing.stderr, "a missing slice", missing)
    print("slices spread over ranks as over one process")
    return 0


if __name__ == "__main__":
    sys.exit(main())
