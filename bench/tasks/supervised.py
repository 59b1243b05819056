#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Regions and cell types learnt from labels: `stofm segment` and `stofm annotate` on many features, beside floors and other programs.

    python3 bench/tasks/supervised.py --data DIR --stofm build/stofm -o RESULT.json [--rows TEXT] [--inputs NAME...] [--seeds 5]
    python3 bench/tasks/supervised.py --table RESULT.json

A row is a task of `ROWS`: slices learnt from, slices judged, column. An input is what the head is given of each cell. Rows across
slices are run for --seeds seeds: the seed draws the cells that choose the penalty, the start of the components and the virtual
cells; everything after is the same. Rows by place have five sides in their place, "leave one out" as many parts as slices; there one
seed is run. Printed: median over seeds or sides (the mean over slices that are left out in turn) of macro F1 over the classes of
either side, as scikit-learn has it, and of accuracy; processor seconds of one whole run. The figures of other programs (`PEERS`)
come from a bench of its own with scikit-learn's regression on the same slices, and other draws of the penalty. --choose runs
the rows that defaults were chosen on: none of their cells judges. A result that is there already is not run again. Needs
h5py (one slice calls its layers otherwise).
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys

OSM, D510, D673, D674 = "osmfish_sscortex_6471", "visium_dlpfc_151510_500genes", "visium_dlpfc_151673", "visium_dlpfc_151674"
HYPO = [f"merfish_hypo_a1_{part}" for part in ("b021", "b026", "bm009", "bm029")]
PATIENTS = [f"her2st_{p}1" for p in "ABCDE"] + ["her2st_G2", "her2st_H1"]
IGNORED = ["Excluded", "Ambiguous", "NA"]
ROWS = {  # name: verb, column, labelled slices, judged slices; no labelled slices: by place; "others": leave one out
    "STARmap region BZ5 -> BZ9": ("segment", "region", ["starmap_BZ5"], ["starmap_BZ9"]),
    "STARmap region BZ9 -> BZ5": ("segment", "region", ["starmap_BZ9"], ["starmap_BZ5"]),
    "osmFISH region by place": ("segment", "region", [], [OSM]),
    "DLPFC 151510 region by place": ("segment", "region", [], [D510]),
    "DLPFC 151673 + 151674 -> 151510": ("segment", "region", [D673, D674], [D510]),
    "DLPFC 151510 -> 151673": ("segment", "region", [D510], [D673]),
    "her2st region G2 -> H1": ("segment", "region", ["her2st_G2"], ["her2st_H1"]),
    "her2st region, leave one patient out": ("segment", "region", "others", PATIENTS),
    "STARmap cell type BZ5 -> BZ9": ("annotate", "cell_type", ["starmap_BZ5"], ["starmap_BZ9"]),
    "STARmap cell type BZ9 -> BZ5": ("annotate", "cell_type", ["starmap_BZ9"], ["starmap_BZ5"]),
    "hypothalamus cell type, leave one slice out": ("annotate", "cell_type", "others", HYPO),
    "Xenium mouse brain cell type by place": ("annotate", "cell_type", [], ["xenium_mousebrain_4261"]),
    "embryo cell type z2 -> z5": ("annotate", "cell_type", ["seqfish_embryo2_z2"], ["seqfish_embryo2_z5"]),
}
CHOOSE = {  # what is learnt from in the rows above, and slices that judge nothing
    "STARmap BZ5 region by place": ("segment", "region", [], ["starmap_BZ5"]),
    "seqFISH visual cortex region by place": ("segment", "region", [], ["seqfish_visualcortex_1597"]),
    "olfactory bulb region by place": ("segment", "region", [], ["st_mob_rep11_annotated"]),
    "DLPFC 151673 -> 151674": ("segment", "region", [D673], [D674]),
    "STARmap BZ5 cell type by place": ("annotate", "cell_type", [], ["starmap_BZ5"]),
    "embryo z2 cell type by place": ("annotate", "cell_type", [], ["seqfish_embryo2_z2"]),
}
AS_IS = "--center=off"
INPUTS = {  # name: options; AS_IS: features are not centred, whatever the panels are; smoothed only where it is said
    "default": [],
    "default, not smoothed": ["--smooth", "0"],
    **{name: ["--use", name.removesuffix(", smoothed"), "--smooth", "auto"] for name in (
        "stofm,pca+rings,pca", "stofm,pca+rings,pca,genes", "pca+nbr,pca,genes", "pca+rings,pca,genes",
        "stofm+pca+nbr,pca+rings,pca,genes", "stofm+pca+nbr,pca,genes", "stofm+pca+nbr,pca", "stofm+pca+nbr, smoothed",
        "stofm, smoothed", "pca+nbr, smoothed", "pca+rings, smoothed", "pca+rings,pca, smoothed")},
    **{name: ["--use", name] for name in ("cells+genes,genes", "cells,genes", "cells+genes,genes,pca")},
    "stofm": ["--use", "stofm", AS_IS],
    "stofm, centred": ["--use", "stofm", "--center"],
    "stofm, components": ["--use", "stofm", "--features", "pca", AS_IS],
    "stofm, components, centred": ["--use", "stofm", "--features", "pca", "--center"],
    "stofm+pca+nbr": ["--use", "stofm+pca+nbr", AS_IS],
    "stofm+pca+nbr, centred": ["--use", "stofm+pca+nbr", "--center"],
    "stofm+pca+nbr, components": ["--use", "stofm+pca+nbr", "--features", "pca", AS_IS],
    "stofm+pca+nbr, components, centred": ["--use", "stofm+pca+nbr", "--features", "pca", "--center"],
    "stofm+linear-context": ["--use", "stofm+linear-context", AS_IS],
    "stofm+genes": ["--use", "stofm+genes", AS_IS],
    "stofm+genes+pca+nbr": ["--use", "stofm+genes+pca+nbr", AS_IS],
    "context": ["--use", "context", AS_IS],
    "linear-context": ["--use", "linear-context", AS_IS],
    "fitted-context": ["--use", "fitted-context", AS_IS],
    "cells": ["--use", "cells", AS_IS],
    "cells+genes": ["--use", "cells+genes", AS_IS],
    "cells+genes, centred": ["--use", "cells+genes", "--center"],
    "cells+genes+pca+nbr": ["--use", "cells+genes+pca+nbr", AS_IS],
    "genes": ["--use", "genes", AS_IS],
    "pca": ["--use", "pca", AS_IS],
    "pca+nbr": ["--use", "pca+nbr", AS_IS],
    "pca+nbr, centred": ["--use", "pca+nbr", "--center"],
}
PEERS = {  # macro F1 of scikit-learn's regression on the features of other programs, and of programs that have a head
    "STARmap region BZ5 -> BZ9": {"PCA + 10 neighbours": 0.873, "CellCharter": 0.906, "BANKSY": 0.850},
    "osmFISH region by place": {"PCA + 10 neighbours": 0.500, "CellCharter": 0.532, "BANKSY": 0.443},
    "DLPFC 151510 region by place": {"PCA + 10 neighbours": 0.703, "CellCharter": 0.741, "BANKSY": 0.798},
    "her2st region G2 -> H1": {"PCA + 10 neighbours": 0.343, "CellCharter": 0.366, "BANKSY": 0.356, "genes": 0.376},
    "Xenium mouse brain cell type by place": {"PCA": 0.674, "genes": 0.761, "CellTypist": 0.706},
}


def path_of(arguments, name):
    """The file of a slice; a copy of it where its labels are named otherwise than those of the slices beside it."""
    path = arguments.data / f"{name}.h5ad"
    if name != D510:
        return str(path)
    copy = arguments.work / path.name
    if not copy.exists():
        import h5py
        part = copy.with_suffix(".part")
        part.write_bytes(path.read_bytes())
        with h5py.File(part, "r+") as file:
            names = file["obs/region/categories"]
            new = [text.decode().replace("Layer", "L") for text in names[()]]
            names[...] = new
        os.replace(part, copy)
    return str(copy)


def command_of(arguments, task, seed, options):
    verb, column, train, judged = task
    command = [arguments.stofm, verb, *(path_of(arguments, name) for name in judged), "--label", column, "--seed",
               str(seed), "--json", "-q", "--overwrite", "--no-floors", "--min-coverage", "0", "--accept-noninteger",
               "--threads", str(arguments.threads), "--output-dir", str(arguments.work), *options, "--ignore-labels", *IGNORED]
    if verb == "segment" and "--use" in options and "--smooth" not in options:
        command += ["--smooth", "0"]
    if arguments.weights:
        command += ["--weights", arguments.weights]
    if train == "others":
        command.append("--leave-one-out")
    elif train:
        command += ["--train", *(path_of(arguments, name) for name in train)]
    else:
        command += ["--hold-out", "block"]
    return command


def run(arguments, task, seed, options):
    """Scores of each part of a run, and its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command_of(arguments, task, seed, options), capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(done.stderr.strip()[-400:], file=sys.stderr)
        return None
    keep = ("name", "cells", "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1")
    summary = json.loads(done.stdout)
    return {"seed": seed, "parts": [{key: part[key] for key in keep} for part in summary["runs"]],
            "penalties": [head["penalty_c"] for head in summary["heads"]],
            "heads": [{"smooth": head.get("smooth", 0), "weights": {one["use"]: round(one["weight"], 3) for one in head.get("members", [])}}
                      for head in summary["heads"]],
            "processor_seconds": round(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, 2)}


def values_of(row, runs, key):
    """What the figure of a row is the median of: sides of a slice, or runs (slices that are left out in turn are averaged)."""
    if "by place" in row:
        return [part[key] for one in runs for part in one["parts"]]
    return [statistics.fmean(part[key] for part in one["parts"]) for one in runs]


def summary_of(row, name, options, runs):
    f1 = values_of(row, runs, "macro_f1")
    return {"row": row, "input": name, "options": options, "macro_f1": statistics.median(f1),
            "accuracy": statistics.median(values_of(row, runs, "accuracy")), "lowest_f1": min(f1), "highest_f1": max(f1), "runs": runs}


def table(results, inputs):
    """Markdown: rows are tasks, columns inputs; macro F1 (accuracy)."""
    rows = list(dict.fromkeys(one["row"] for one in results))
    others = [one["input"] for one in results if one["input"] not in INPUTS]
    names = [name for name in inputs if any(one["input"] == name for one in results)] + list(dict.fromkeys(others))
    lines = ["| | " + " | ".join(names) + " | other programs |", "|---|" + "---|" * (len(names) + 1)]
    for row in rows:
        found = {one["input"]: one for one in results if one["row"] == row}
        best = max((round(found[name]["macro_f1"], 3) for name in names if name in found), default=0.0)
        cells = []
        for name in names:
            text = f"{found[name]['macro_f1']:.3f} ({found[name]['accuracy']:.3f})" if name in found else ""
            cells.append(f"**{text}**" if text and round(found[name]["macro_f1"], 3) == best else text)
        peers = ", ".join(f"{name} {value:.3f}" for name, value in PEERS.get(row, {}).items())
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {peers} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help="folder with the slices")
    parser.add_argument("--stofm", default="build/stofm", help="the program")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("supervised-work"), help="folder for what the program writes")
    parser.add_argument("--weights", help="bundle (default: the demo bundle of the build)")
    parser.add_argument("--choose", action="store_true", help="the rows that defaults are chosen on")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--inputs", nargs="+", default=list(INPUTS), choices=list(INPUTS), metavar="NAME", help="names of INPUTS")
    parser.add_argument("--tuned", nargs="*", default=[], metavar="OPTIONS", help="also fine-tuned, options of each run as one text")
    parser.add_argument("--seeds", type=int, default=5, help="of rows that have no sides or parts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON, added to")
    parser.add_argument("--table", type=pathlib.Path, help="print the table of a result")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(json.loads(arguments.table.read_text())["results"], arguments.inputs))
        return
    if arguments.data is None or arguments.output is None:
        parser.error("--data and -o are needed, or --table")
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = json.loads(arguments.output.read_text())["results"] if arguments.output.exists() else []
    done = {(one["row"], one["input"]) for one in results}
    inputs = {name: INPUTS[name] for name in arguments.inputs}
    inputs.update({f"fine-tuned {text}": text.split() for text in arguments.tuned})
    for row, task in (CHOOSE if arguments.choose else ROWS).items():
        for name, options in inputs.items():
            if arguments.rows not in row or (row, name) in done or (not task[2] and "--center" in options):
                continue
            if "--tune" not in options:
                options = ["--tune", "none", *options]
            parts = not task[2] or task[2] == "others"
            runs = [run(arguments, task, seed, options) for seed in range(1 if parts else arguments.seeds)]
            runs = [done_run for done_run in runs if done_run]
            if not runs:
                continue
            results.append(one := summary_of(row, name, " ".join(options), runs))
            print(f"{row} | {name} | {one['macro_f1']:.3f} ({one['accuracy']:.3f}) | {one['lowest_f1']:.3f} to "
                  f"{one['highest_f1']:.3f} | {runs[0]['processor_seconds']} s", flush=True)
            part = arguments.output.with_suffix(".part")
            part.write_text(json.dumps({"what": "supervised", "results": results}, separators=(",", ":")) + "\n")
            os.replace(part, arguments.output)


if __name__ == "__main__":
    main()
