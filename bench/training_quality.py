#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What pretraining reached on held-out slices, beside predictors without a model, from the logs of `stofm pretrain`.

    python3 bench/training_quality.py RUN... [-o RESULT.json] [--markdown TABLE.md]
    python3 bench/training_quality.py RUN... --held-out build/bench/held_out_bench --start START.safetensors \\
        --slices DIR --on NAME=TRAINING_NAME,... --on ... [-o RESULT.json]

RUN is the directory of a run (its log.jsonl) or a log. Each "validation" line of a log has the figures of the model and of
the trivial predictors on the same masked cells and moved pairs (include/stofm/train/pretrain_validation.hpp says how they
are computed). Several runs of one configuration, with different seeds, give mean and standard deviation. Exit code 1 with
--require if a figure of the last validation does not beat its best trivial predictor. Needs Python 3 only.

The second form looks at single cells of held-out slices: each --on names one, and the training slices of its gene panel.
held_out_bench masks cells in the model of each run (nothing is moved), three draws a piece. Beside slice mean and 10 nearest
cells stands the ridge ceiling: the best linear use of means over the 3, 10, 30 and 100 nearest visible cells and of all, fitted
by least squares with masks of its own on the training slices of that panel, its penalty chosen on the held-out slice itself, so
rather too good. The interval is of the mean paired difference of cosines, SToFM less 10 nearest cells: bootstrap over the pieces
(neighbouring cells are not independent), 2,000 times, 95 %. Needs numpy, scipy, scikit-learn and anndata.
"""
import argparse
import json
import math
import pathlib
import re
import subprocess
import sys

CELLS = {"mcm_cosine_neighbours": "mean of the 10 nearest cells", "mcm_cosine_mean": "mean of the slice piece"}
PAIRS = {"pdr_error_constant": "best constant", "pdr_error_kind": "best constant for each kind of pair",
         "pdr_error_as_moved": "distance as moved"}


def read_validations(path):
    """The validation lines of a log in the order of their steps; torn lines are left out."""
    path = pathlib.Path(path)
    path = path / "log.jsonl" if path.is_dir() else path
    found = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        sys.exit(f"training_quality.py: {path}: {error.strerror}, expected the directory of a run of stofm pretrain or its log.jsonl")
    for text in lines:
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
    """Rows (objective, predictor, mean, sd) of the last validations, with those before training from the first ones."""
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


SCALES = (3, 10, 30, 100)


def held_out_lines(program, bundle, split, draws, paths):
    done = subprocess.run([program, bundle, str(split), str(draws), *map(str, paths)], check=True, capture_output=True, text=True)
    return [json.loads(text) for text in done.stdout.splitlines()]


def scale_means(lines, features, positions):
    """Of every masked cell: means over its nearest visible cells at all scales and over all; and its own features."""
    import numpy as np
    from scipy.spatial import cKDTree
    inputs, targets = [], []
    for line in lines:
        visible, masked = np.array(line["visible"]), np.array(line["masked"])
        count = min(max(SCALES), len(visible))
        nearest = cKDTree(positions[visible]).query(positions[masked], count)[1].reshape(len(masked), count)
        sums = np.cumsum(features[visible][nearest], axis=1)
        parts = [sums[:, min(scale, count) - 1] / min(scale, count) for scale in SCALES]
        inputs.append(np.stack([*parts, np.broadcast_to(features[visible].mean(axis=0), targets_shape(features, masked))], axis=1))
        targets.append(features[masked])
    return np.concatenate(inputs), np.concatenate(targets)


def targets_shape(features, masked):
    return len(masked), features.shape[1]


def cosines(a, b):
    import numpy as np
    return np.sum(a * b, axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)


def ridge_ceiling(training, held_out):
    """Best mean cosine of: one number a scale by least squares, then a matrix on top of it with a penalty."""
    import numpy as np
    inputs, targets = (np.concatenate(parts) for parts in zip(*training))
    gram = np.einsum("nac,nbc->ab", inputs, inputs)
    mix = np.linalg.solve(gram + 1e-6 * np.trace(gram) * np.eye(len(gram)), np.einsum("nac,nc->a", inputs, targets))
    flat = lambda x: np.concatenate([np.einsum("nac,a->nc", x, mix), x.reshape(len(x), -1)], axis=1)  # noqa: E731
    base = lambda x: np.einsum("nac,a->nc", x, mix)  # noqa: E731
    found = [float(cosines(base(held_out[0]), held_out[1]).mean())]
    x = flat(inputs)
    system, right = x.T @ x, x.T @ (targets - base(inputs))
    for strength in (0.3, 1, 3, 10, 30):
        weights = np.linalg.solve(system + strength * np.trace(system) / len(system) * np.eye(len(system)), right)
        found.append(float(cosines(base(held_out[0]) + flat(held_out[0]) @ weights, held_out[1]).mean()))
    return dict(scales=found[0], ridge=max(found), mix=[round(float(value), 3) for value in mix])


def paired_interval(lines, key="neighbours", repeats=2000):
    """Mean over cells of model less `key`, and its 95 % interval by resampling pieces."""
    import numpy as np
    pieces = {}
    for line in lines:
        at = pieces.setdefault((line["slice"], line["piece"]), [0.0, 0])
        at[0] += sum(line["model"]) - sum(line[key])
        at[1] += len(line["model"])
    table = np.array(list(pieces.values()))
    rng = np.random.default_rng(0)
    drawn = table[rng.integers(0, len(table), (repeats, len(table)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(table[:, 0].sum() / table[:, 1].sum()), float(low), float(high)


def single_cells(arguments):
    """One dict for each held-out slice."""
    from probe_support import stofm_embeddings  # first: it says which package is missing

    import anndata
    import numpy as np
    results = []
    models = [str(pathlib.Path(run) / "model.safetensors") for run in arguments.runs]
    path = lambda name: arguments.slices / f"{name}.h5ad"  # noqa: E731
    lines_of = lambda bundle, name, draws=3: held_out_lines(arguments.held_out, bundle, arguments.split, draws, [path(name)])  # noqa: E731

    def inputs(name, lines):
        features = stofm_embeddings(arguments.stofm, arguments.start, path(name), arguments.work, cells_only=True)
        return scale_means(lines, features, np.asarray(anndata.read_h5ad(path(name)).obsm["spatial"], np.float64)[:, :2])
    for text in arguments.on:
        name, _, others = text.partition("=")
        mean = lambda lines, key: sum(sum(line[key]) for line in lines) / sum(len(line[key]) for line in lines)  # noqa: E731
        start, runs = lines_of(arguments.start, name), [lines_of(model, name) for model in models]
        error = lambda lines: sum(line["pair_squares"] for line in lines) / sum(line["pairs"] for line in lines)  # noqa: E731
        pairs, total, squares = (sum(line[key] for line in start) for key in ("pairs", "target_sum", "target_squares"))
        training = [inputs(other, lines_of(arguments.start, other)) for other in others.split(",")]
        every = [line for lines in runs for line in lines]
        results.append(dict(slice=name, ceiling_fitted_on=others.split(","), masked_cells=sum(len(line["model"]) for line in start),
                            slice_mean=mean(start, "mean"), neighbours=mean(start, "neighbours"), before_training=mean(start, "model"),
                            ceiling=ridge_ceiling(training, inputs(name, start)), model=[mean(lines, "model") for lines in runs],
                            difference=[paired_interval(lines) for lines in runs], difference_all=paired_interval(every),
                            pair_error=[error(lines) for lines in runs], pair_error_constant=squares / pairs - (total / pairs) ** 2))
    return results


def single_cell_table(results):
    rows = ["| held-out slice | slice mean | 10 nearest | ridge ceiling | SToFM before | SToFM | SToFM - 10 nearest, 95 % | pairs: constant | pairs: SToFM |",
            "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |"]
    for r in results:
        model, sd = mean_and_sd(r["model"])
        value = f"**{model:.3f}**" + (f" ± {sd:.3f}" if len(r["model"]) > 1 else "")
        middle, low, high = r["difference_all"]
        rows.append(f"| {r['slice']} | {r['slice_mean']:.3f} | {r['neighbours']:.3f} | {r['ceiling']['ridge']:.3f} | {r['before_training']:.3f} | "
                    f"{value} | {middle:+.3f} ({low:+.3f} to {high:+.3f}) | {r['pair_error_constant']:.2f} | **{mean_and_sd(r['pair_error'])[0]:.2f}** |")
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON result")
    parser.add_argument("--markdown", type=pathlib.Path, help="table (default: printed)")
    parser.add_argument("--held-out", metavar="PROGRAM", help="build/bench/held_out_bench: look at single cells")
    parser.add_argument("--start", metavar="BUNDLE", help="bundle that the runs started from")
    parser.add_argument("--slices", type=pathlib.Path, metavar="DIR", help="folder with the slices")
    parser.add_argument("--on", action="append", default=[], metavar="NAME=TRAINING_NAME,...", help="a held-out slice")
    parser.add_argument("--split", type=int, default=400, help="as in training")
    parser.add_argument("--stofm", default="build/stofm", help="the program")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("quality-work"), help="folder for cell embeddings")
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
    cells = single_cells(arguments) if arguments.held_out else []
    text += "\n" + single_cell_table(cells) if cells else ""
    arguments.markdown.write_text(text, encoding="utf-8") if arguments.markdown else print(text)
    if arguments.output:
        arguments.output.write_text(json.dumps(
            dict(what="training quality", command=" ".join(re.sub(r"/[^ =]*/", "", part) for part in sys.argv), cells=cells, runs=[dict(name=pathlib.Path(path).name, validations=run)
                                                for path, run in zip(arguments.runs, runs)]), indent=1) + "\n", encoding="utf-8")
    behind = {path: behind_trivial(run[-1]) for path, run in zip(arguments.runs, runs) if behind_trivial(run[-1])}
    for path, names in behind.items():
        print(f"{path}: not better than the best trivial predictor: {', '.join(names)}", file=sys.stderr)
    sys.exit(1 if behind and arguments.require else 0)


if __name__ == "__main__":
    main()
