# SPDX-License-Identifier: MIT
"""How well `stofm deconvolve` takes spots of known composition apart: one table in Markdown.

Usage: deconvolution.py --stofm build/stofm --data DIR [--rows hypo,embryo,...] [--method head --seeds 5]
DIR holds the slices that the table names; a row whose files are missing is left out. Needs anndata and numpy, to
give the two sides of the single-cell row one set of type names. With --method head, which draws, the figures are
medians over seeds.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HYPO = "merfish_hypo_a1_bm029"
COARSE = {"Astrocyte": "Astrocytes", "Pericytes": "Mural", "Newly formed oligodendrocyte": "Mature oligodendrocyte"}


def coarse(name):
    for prefix, kind in (("Endothelial", "Endothelial"), ("OD Immature", "Immature oligodendrocyte"),
                         ("OD Mature", "Mature oligodendrocyte")):
        if name.startswith(prefix):
            return kind
    return COARSE.get(name, name)


def merge(source, target, spots):
    """The same file with types as coarse() names them."""
    import anndata
    import pandas
    data = anndata.read_h5ad(source)
    if spots:
        names = [c for c in data.obs if c.startswith("n_") and c not in ("n_cells", "n_counts")]
        merged = data.obs[names].T.groupby([coarse(c[2:]) for c in names]).sum().T
        data.obs = data.obs.drop(columns=names)
        for key in [key for key in data.obsm if key != "spatial"]:
            del data.obsm[key]
        data.obsm["truth_proportions"] = pandas.DataFrame(merged).div(merged.sum(axis=1), axis=0)
    else:
        data.obs["cell_type"] = [coarse(name) for name in data.obs["cell_type"].astype(str)]
    data.write_h5ad(target)


class Bench:
    def __init__(self, arguments, folder):
        self.program, self.data, self.folder = arguments.stofm, Path(arguments.data), Path(folder)
        self.method, self.seeds = arguments.method, arguments.seeds if arguments.method == "head" else 1

    def path(self, name):
        return self.data / f"{name}.h5ad"

    def run(self, *words):
        start = time.time()
        done = subprocess.run([self.program, *map(str, words), "--json", "--overwrite"], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            sys.exit(f"{words}: {done.stderr}")
        return json.loads(done.stdout)["slices"][0], time.time() - start

    def spots(self, name, *options):
        target = self.folder / f"{name}{'_'.join(options).replace('-', '')}.h5ad"
        self.run("pseudospots", self.path(name), "--label", "cell_type", "-o", target, *options)
        return target

    def row(self, title, spots, references, *options):
        words = ["deconvolve", spots, "--reference", *references, "--label", "cell_type", *options]
        if "embryo" not in str(spots):
            words += ["--leave-out", "Ambiguous", "Unstable"]
        words += ["--method", self.method, "--threads", "1"]
        runs = [self.run(*words, "--seed", seed, "-o", self.folder / "out.h5ad") for seed in range(self.seeds)]
        found, seconds = runs[0]
        old = found.get("least_squares")
        new = {key: statistics.median(run["scores"][key] for run, _ in runs) for key in ("pearson", "rmse", "jensen_shannon")}
        new.update(coverage=found["scores"]["coverage"], coverage_present=found["scores"]["coverage_present"])

        def figures(scores):
            return f"{scores['pearson']:.3f} / {scores['rmse']:.3f} / {scores['jensen_shannon']:.3f}"
        cover = f"{new['coverage']:.2f} ({new['coverage_present']:.2f})" if new["coverage"] is not None else ""
        print(f"| {title} | {figures(new)} | {figures(old) if old else ''} | {cover} | {found['effect_spread']:.2f}, "
              f"{'on' if found['platform_effects'] else 'off'} | {seconds:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stofm", default="build/stofm")
    parser.add_argument("--data", required=True)
    parser.add_argument("--method", default="poisson", choices=["poisson", "head"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", default="hypo,hypo3,scrna,embryo,depth,noise,prior")
    arguments = parser.parse_args()
    rows = arguments.rows.split(",")
    print("| reference -> spots | Pearson / RMSE / Jensen-Shannon | least squares | coverage at 0.9 (present types) | "
          "effects' spread | s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, folder)
        hypo, spots = bench.path(HYPO), bench.path("pseudospots_hypo_a1_bm009")
        if "hypo" in rows:
            bench.row("hypothalamus, bm029 -> bm009", spots, [hypo])
        if "hypo3" in rows:
            bench.row("hypothalamus, three slices -> bm009", spots,
                      [hypo, bench.path("merfish_hypo_a1_b021"), bench.path("merfish_hypo_a1_b026")])
        if "scrna" in rows:
            cells, mixed = Path(folder) / "cells.h5ad", Path(folder) / "mixed.h5ad"
            merge(bench.path("ref_hypothalamus_scrna"), cells, False)
            merge(spots, mixed, True)
            for effect in ("auto", "off"):
                bench.row(f"hypothalamus, single cells -> bm009, effects {effect}", mixed, [cells], "--platform-effect",
                          effect)
        embryo = bench.path("pseudospots_embryo2_z5"), [bench.path("seqfish_embryo2_z2")]
        if "embryo" in rows:
            bench.row("embryo, z2 -> z5", *embryo)
        bm009 = "merfish_hypo_a1_bm009"
        if "depth" in rows:
            for depth in ("0.3", "0.05"):
                thin = bench.spots(bm009, "--depth", depth)
                bench.row(f"hypothalamus, depth {depth}", thin, [hypo])
                if "prior" in rows:
                    bench.row(f"hypothalamus, depth {depth}, --prior 5", thin, [hypo], "--prior", "5")
        if "prior" in rows:
            bench.row("hypothalamus, bm029 -> bm009, --prior 5", spots, [hypo], "--prior", "5")
            bench.row("embryo, z2 -> z5, --prior 5", *embryo, "--prior", "5")
        if "noise" in rows:
            for noise in ("0.5", "1"):
                shifted = bench.spots(bm009, "--platform-noise", noise)
                for effect in ("auto", "off", "on"):
                    bench.row(f"hypothalamus, noise {noise}, effects {effect}", shifted, [hypo], "--platform-effect",
                              effect)


if __name__ == "__main__":
    main()
