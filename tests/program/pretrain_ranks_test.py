# SPDX-License-Identifier: MIT
"""`mpirun -n 2 stofm pretrain` with a batch of 4 is one process with a batch of 4: the same pieces, losses and gradient norms
within 1e-5; and a checkpoint of two ranks is gone on from by one, and the other way round (R22). Skipped without mpirun or
without MPI in the program."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.environ["STOFM_PROGRAM"]
SLICE = pathlib.Path(__file__).resolve().parents[1] / "data" / "formats" / "csr_f32_gzip.h5ad"
MPIRUN = shutil.which("mpirun")
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
               "OMPI_MCA_mpi_yield_when_idle": "1",
               "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "ASAN_OPTIONS": "detect_leaks=0"}
# A piece holds up to 40 of the 60 cells, so a batch of 4 pieces spans epochs. Dropout is on: its masks belong to the piece.
OPTIONS = ["--from-scratch", "--config", "tiny", "--split", "40", "--batch", "4", "--validation", "0", "--seed", "3", "--threads", "1"]


def pretrain(ranks, slice_file, run, steps, *more):
    command = [MPIRUN, "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*command, PROGRAM, "pretrain", str(slice_file), "-o", str(run), "--steps", str(steps), *OPTIONS, *more],
                          env=ENVIRONMENT, text=True, capture_output=True, timeout=120)
    if done.returncode != 0:
        sys.exit(f"{ranks} ranks: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return {line["step"]: line for line in lines if line["event"] == "step"}


def same(one, two, steps, what):
    for step in steps:
        for key in ("loss", "loss_mcm", "loss_pdr", "gradient_norm"):
            a, b = one[step][key], two[step][key]
            if not abs(a - b) <= 1e-5 * max(1.0, abs(a)):
                sys.exit(f"{what}: step {step}, {key}: {a} and {b}")
        if one[step]["cells"] != two[step]["cells"] or one[step]["cells"] == 0:
            sys.exit(f"{what}: step {step}: {one[step]['cells']} and {two[step]['cells']} cells")


def main():
    if MPIRUN is None or b"MPI_Init" not in pathlib.Path(PROGRAM).read_bytes():
        print("no mpirun, or a program without MPI")
        return 77
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        slice_file = work / "slice.h5ad"
        shutil.copy(SLICE, slice_file)
        # A constant rate: the schedule does not depend on the number of steps, so that runs may be continued further.
        rate = ["--schedule", "constant", "--warmup", "1", "--cache", str(work / "cache")]
        one = pretrain(1, slice_file, work / "one", 4, *rate)
        two = pretrain(2, slice_file, work / "two", 4, *rate)
        # Sums over ranks differ in the last bit, and AdamW makes a step of its rate out of a gradient that is nothing but
        # rounding: so the losses before and after one update are compared, not those of a long run.
        same(one, two, (1, 2), "two ranks for one")
        again = pretrain(2, slice_file, work / "again", 4, *rate)
        if any(two[step]["loss"] != again[step]["loss"] for step in two):
            sys.exit("two runs of two ranks differ")
        checkpoints = [sorted((work / run / "checkpoints").glob("step-*.safetensors"))[-1].read_bytes() for run in ("two", "again")]
        if checkpoints[0] != checkpoints[1]:
            sys.exit("checkpoints of two runs of two ranks differ")
        # Either number of ranks goes on from a checkpoint of two: the next pieces, losses and gradients are the same.
        same(pretrain(1, slice_file, work / "two", 6, *rate, "--resume", "--force"),
             pretrain(2, slice_file, work / "again", 6, *rate, "--resume", "--force"), (5, 6), "one and two ranks after two")
    print("two ranks learn what one learns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
