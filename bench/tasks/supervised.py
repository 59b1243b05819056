#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Regions and cell types learnt from labels: `stofm segment` and `stofm annotate` beside the frozen head and the floors.

    python3 bench/tasks/supervised.py --data DIR --stofm build/stofm --work /tmp/supervised [--rows NAME] [--seeds 5] [-o RESULT.json]

Each row is a task of `ROWS`: slices learnt from, slices judged, column. For every seed the program is run with `--tune all`, with
`--tune none` on each of --frozen, and its own floors (logistic regression on genes, PCA, PCA + 10 neighbours) are taken from the
summary of the first run. A row by place has no seeds: its five sides take their place. Printed: median over seeds (or sides)
of macro F1 over the classes that occur on either side, as scikit-learn has it, and of accuracy. Standard library only.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

OSM, D510, D673, D674 = "osmfish_sscortex_6471", "visium_dlpfc_151510_500genes", "visium_dlpfc_151673", "visium_dlpfc_151674"
HYPO = [f"merfish_hypo_a1_{part}" for part in ("b021", "b026", "bm009", "bm029")]
IGNORED = ["Excluded", "Ambiguous"]
ROWS = {  # name: verb, column, labelled slices, judged slices; no labelled slices: by place; "others": leave one out
    "starmap region BZ5 -> BZ9": ("segment", "region", ["starmap_BZ5"], ["starmap_BZ9"]),
    "starmap region BZ9 -> BZ5": ("segment", "region", ["starmap_BZ9"], ["starmap_BZ5"]),
    "osmFISH region by place": ("segment", "region", [], [OSM]),
    "DLPFC 151510 region by place": ("segment", "region", [], [D510]),
    "DLPFC 151673 + 151674 -> 151510": ("segment", "region", [D673, D674], [D510]),
    "her2st region G2 -> H1": ("segment", "region", ["her2st_G2"], ["her2st_H1"]),
    "her2st region, leave one patient out": ("segment", "region", "others", [f"her2st_{p}1" for p in "ABCDEH"] + ["her2st_G2"]),
    "starmap cell type BZ5 -> BZ9": ("annotate", "cell_type", ["starmap_BZ5"], ["starmap_BZ9"]),
    "hypothalamus cell type, leave one slice out": ("annotate", "cell_type", "others", HYPO),
    "Xenium mouse brain cell type by place": ("annotate", "cell_type", [], ["xenium_mousebrain_4261"]),
    "embryo cell type z2 -> z5": ("annotate", "cell_type", ["seqfish_embryo2_z2"], ["seqfish_embryo2_z5"]),
}


def run(arguments, row, seed, options, floors):
    verb, column, train, judged = ROWS[row]
    files = [str(arguments.data / f"{name}.h5ad") for name in judged]
    command = [arguments.stofm, verb, *files, "--label", column, "--seed", str(seed), "--json", "-q", "--overwrite", "--ignore-labels",
               *IGNORED, "--output-dir", str(arguments.work), *options]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    if arguments.weights:
        command += ["--weights", arguments.weights]
    if train == "others":
        command.append("--leave-one-out")
    elif train:
        command += ["--train", *(str(arguments.data / f"{name}.h5ad") for name in train)]
    else:
        command += ["--hold-out", "block"]
    if not floors:
        command.append("--no-floors")
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{row}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None, 0.0
    return json.loads(done.stdout)["runs"], time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--stofm", default="build/stofm")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("supervised-work"))
    parser.add_argument("--weights", help="bundle (default: the demo bundle of the build)")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--frozen", nargs="*", default=["stofm", "cells"], help="--use of the frozen heads")
    parser.add_argument("--tuned", nargs="*", default=[""], metavar="OPTIONS", help="more options of fine-tuned runs, one text each")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("-o", "--output", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = []
    for row in ROWS:
        if arguments.rows not in row:
            continue
        inputs = [(f"fine-tuned {text}".strip(), text.split()) for text in arguments.tuned]
        inputs += [(f"frozen {use}", ["--tune", "none", "--use", use]) for use in arguments.frozen]
        found = {}
        for place, (name, options) in enumerate(inputs):
            for seed in range(arguments.seeds):
                runs, seconds = run(arguments, row, seed, options, floors=place == 0 and seed == 0)
                if runs is None:
                    break
                for one in runs:
                    found.setdefault(name, []).append(dict(one, seconds=seconds / len(runs), seed=seed))
                    for floor, scores in one.get("floors", {}).items():
                        found.setdefault(floor, []).append(dict(scores, seed=seed))
        cells = []
        for name, scores in found.items():
            f1 = statistics.median(one["macro_f1"] for one in scores)
            accuracy = statistics.median(one["accuracy"] for one in scores)
            cells.append(f"{name} {f1:.3f} ({accuracy:.3f})")
            results.append(dict(row=row, input=name, macro_f1=f1, accuracy=accuracy, runs=scores))
        print(f"{row}: " + "; ".join(cells), flush=True)
        if arguments.output:
            arguments.output.write_text(json.dumps(dict(what="supervised", command=" ".join(sys.argv[1:]), results=results), indent=1) + "\n")


if __name__ == "__main__":
    main()
