#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Imputation on public slices: `stofm impute` against the mean, spatial neighbours and ridge on genes.

    python3 bench/tasks/imputation.py --data DIR --stofm build/stofm [--tasks hypo,embryo,...] [--genes 25] [--draws 3] [-o RESULT.json]

Two protocols. Held-out slices: genes hidden in one slice, learnt from others (hypo, embryo, starmap, brain sections). Held-out cells: genes
hidden in a window of a slice whose rest has them (xenium, by place; written to --work with anndata). Every figure is the mean over hidden
genes of the correlation with what was measured, log1p of counts per 10,000 of the genes learnt from; median over draws of genes. "10 spatial
neighbours" needs the gene around the cell and exists for held-out cells only. Needs numpy, anndata, scikit-learn, scipy.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

import numpy as np

TASKS = {
    "hypo": ("hypothalamus, three slices to the fourth", ["merfish_hypo_a1_b021", "merfish_hypo_a1_b026", "merfish_hypo_a1_bm029"],
             "merfish_hypo_a1_bm009"),
    "embryo": ("embryo z2 to z5", ["seqfish_embryo2_z2"], "seqfish_embryo2_z5"),
    "starmap": ("STARmap BZ5 to BZ9", ["starmap_BZ5"], "starmap_BZ9"),
    "brain": ("ST mouse brain, section 1 to 2", ["st_mousebrain_Hippo1"], "st_mousebrain_Hippo2"),
    "xenium": ("Xenium mouse brain, by place", None, "xenium_mousebrain_4261"),
    "breast": ("Visium breast to Xenium breast, genes of both hidden", ["visium_breast_709_paired"], "xenium_breast_17k_paired"),
}
ROWS = {
    "ridge on genes": ["--surroundings", "none"],
    "ridge on genes + X_stofm": ["--surroundings", "model"],
    "ridge on genes + neighbours": ["--surroundings", "neighbours"],
    "knn on genes": ["--method", "knn", "--surroundings", "none"],
}


def impute(arguments, target, references, seed, extra):
    command = [arguments.stofm, "impute", target, "--reference", *references, "--test-genes", str(arguments.genes), "--seed", str(seed),
               "-o", str(arguments.work / "out.h5ad"), "--overwrite", "--json", "-q", *extra]
    if arguments.hidden_only:
        command += ["--max-genes", "100000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)["slices"][0]


def split_by_place(arguments, name):
    """The fifth of the cells furthest to the right, and the rest, as two files."""
    import anndata
    slice_ = anndata.read_h5ad(arguments.data / f"{name}.h5ad")
    x = slice_.obsm["spatial"][:, 0]
    held = x >= np.quantile(x, 0.8)
    paths = [arguments.work / f"{name}_{part}.h5ad" for part in ("rest", "held")]
    for path, cells in zip(paths, (~held, held)):
        slice_[cells].copy().write_h5ad(path)
    return [str(paths[0])], str(paths[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with the slices")
    parser.add_argument("--stofm", default="build/stofm", help="the program")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("imputation-work"), help="folder for results")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--genes", type=int, default=25, help="genes hidden in each draw")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--extra", nargs=argparse.REMAINDER, default=[], help="options for stofm impute in every row (last)")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON result")
    arguments = parser.parse_args()
    arguments.hidden_only = True
    arguments.work.mkdir(parents=True, exist_ok=True)
    results, pairs = [], []
    print("| task | row | Pearson | Spearman | RMSE | told |\n|---|---|---|---|---|---|")
    for key in arguments.tasks.split(","):
        name, references, target = TASKS[key]
        if references is None:
            references, target = split_by_place(arguments, target)
        else:
            references, target = [str(arguments.data / f"{one}.h5ad") for one in references], str(arguments.data / f"{target}.h5ad")
        for row in arguments.rows.split(","):
            runs = [impute(arguments, target, references, seed, ROWS[row] + arguments.extra) for seed in range(arguments.draws)]
            figures = {what: statistics.median(run["measured_" + what] for run in runs) for what in ("pearson", "spearman", "rmse")}
            scored = [gene for run in runs for gene in run["genes"] if gene.get("measured_pearson") is not None and gene["pearson"] is not None]
            pairs += [(gene["pearson"], gene["measured_pearson"]) for gene in scored]
            told = [gene["measured_pearson"] for gene in scored if gene["told"]]
            not_told = [gene["measured_pearson"] for gene in scored if not gene["told"]]
            results.append(dict(task=name, row=row, runs=runs, told=len(told), not_told=len(not_told),
                                told_pearson=float(np.mean(told)) if told else None,
                                not_told_pearson=float(np.mean(not_told)) if not_told else None, **figures))
            said = f"{len(told)} at {np.mean(told):.3f}" if told else "0"
            said += f", {len(not_told)} not at {np.mean(not_told):.3f}" if not_told else ""
            print(f"| {name} | {row} | {figures['pearson']:.3f} | {figures['spearman']:.3f} | {figures['rmse']:.3f} | {said} |", flush=True)
    if len(pairs) > 2:
        print(f"\nheld-out correlation in the references against that in the slice: r = {np.corrcoef(np.array(pairs).T)[0, 1]:.3f} over {len(pairs)} genes")
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
