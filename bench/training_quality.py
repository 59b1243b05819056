#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What pretraining reached on held-out slices, beside predictors without a model, from the logs of `stofm pretrain`.

    python3 bench/training_quality.py RUN... [-o RESULT.json] [--markdown TABLE.md]

RUN is the directory of a run (its log.jsonl) or a log. Each "validation" line of a log has the figures of the model and of
the trivial predictors on the same masked cells and moved pairs (include/stofm/train/pretrain_validation.hpp says how they
are computed). Several runs of one configuration, with different seeds, give mean and standard deviation. Exit code 1 with
--require if a figure of the last validation does not beat its best trivial predictor. Needs Python 3 only.
"""
import argparse
import json
import math
import pathlib
import sys

CELLS = {"mcm_cosine_neighbours": "mean of the 10 nearest cells", "mcm_cosine_mean": "mean of the slice piece"}
PAIRS = {"pdr_error_constant": "best constant", "pdr_error_kind": "best constant for each kind of pair",
         "pdr_error_as_moved": "distance as moved"}


def read_validations(path):
    """The validation lines of a log in the order of their steps; torn lines are left out."""
    path = pathlib.Path(path)
    path = path / "log.jsonl" if path.is_dir() else path
    found = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("event") == "validation" and ("mcm_cosine" in line or "pdr_error" in line):
            found[line["step"]] = line
    if not found:
        raise SystemExit(f"{path}: no validation line with figures; was a slice held out (--validation)?")
    return [found[step] for step in sorted(found)]


def best_trivial(line):
    """The strongest trivial predictors that a line has: (cosine, squared error), None where there is none."""
    cosines = [line[key] for key in CELLS if key in line]
    errors = [line[key] for key in PAIRS if key in line]
    return max(cosines, default=None), min(errors, default=None)


def behind_trivial(line):
    """Names of the objectives whose figure does not beat the best trivial predictor."""
    cosine, error = best_trivial(line)
    behind = []
    if cosine is not None and not line["mcm_cosine"] > cosine:
        behind.append("masked cells")
    if error is not None and not line["pdr_error"] < error:
        behind.append("moved pairs")
    return behind


def mean_and_sd(values):
    mean = sum(values) / len(values)
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)) if len(values) > 1 else 0.0
    return mean, sd


def summarise(runs):
    """Rows (objective, predictor, mean, sd) of the last validations, with the untrained model's from the first ones."""
    rows = []
    for objective, key, trivial in (("masked cells, cosine (more is better)", "mcm_cosine", CELLS),
                                    ("moved pairs, squared error (less is better)", "pdr_error", PAIRS)):
        lines = [run[-1] for run in runs if key in run[-1]]
        if not lines:
            continue
        for name, text in trivial.items():
            rows.append((objective, text, *mean_and_sd([line[name] for line in lines if name in line] or [math.nan])))
        starts = [run[0] for run in runs if run[0]["step"] == 0 and key in run[0]]
        if starts:
            rows.append((objective, "SToFM before training", *mean_and_sd([line[key] for line in starts])))
        rows.append((objective, "SToFM", *mean_and_sd([line[key] for line in lines])))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON result")
    parser.add_argument("--markdown", type=pathlib.Path, help="table (default: printed)")
    parser.add_argument("--require", action="store_true", help="exit code 1 unless every run beats its trivial predictors")
    arguments = parser.parse_args()
    runs = [read_validations(path) for path in arguments.runs]
    last = runs[0][-1]
    lines = ["| objective on held-out slices | predictor | value |", "| --- | --- | --- |"]
    for objective, predictor, mean, sd in summarise(runs):
        value = f"{mean:.3f}" + (f" ± {sd:.3f}" if len(runs) > 1 else "")
        lines.append(f"| {objective} | {predictor} | " + (f"**{value}** |" if predictor == "SToFM" else f"{value} |"))
    text = "\n".join(lines) + (f"\n\n{len(runs)} run(s), step {last['step']}; {last.get('cells', 0):.0f} masked cells and "
                               f"{last.get('pairs', 0):.0f} pairs.\n")
    arguments.markdown.write_text(text, encoding="utf-8") if arguments.markdown else print(text)
    if arguments.output:
        arguments.output.write_text(json.dumps(
            dict(what="training quality", runs=[dict(name=pathlib.Path(path).name, validations=run)
                                                for path, run in zip(arguments.runs, runs)]), indent=1) + "\n", encoding="utf-8")
    behind = {path: behind_trivial(run[-1]) for path, run in zip(arguments.runs, runs) if behind_trivial(run[-1])}
    for path, names in behind.items():
        print(f"{path}: not better than the best trivial predictor: {', '.join(names)}", file=sys.stderr)
    sys.exit(1 if behind and arguments.require else 0)


if __name__ == "__main__":
    main()
