# SPDX-License-Identifier: MIT
"""Slices of made-up counts for the tests of `stofm corpus`."""
import json
import random

import support


def genes(count=40, first=0):
    lines = (support.SOURCE / "weights_tools" / "genes" / "genes.tsv").read_text().splitlines()[1 + first:1 + first + count]
    return [line.split("\t")[0] for line in lines]


def tissue(seed, cells=60, panel=None):
    """(genes, places, counts) of a made-up section."""
    numbers = random.Random(seed)
    panel = panel or genes()
    places = [(numbers.random() * 100, numbers.random() * 80) for _ in range(cells)]
    return panel, places, [[numbers.randrange(1, 7) * (numbers.random() < 0.6) for _ in panel] for _ in range(cells)]


class CorpusCase(support.EmbedCase):
    def write(self, path, section):
        """A section as .h5ad, through `stofm import`."""
        panel, places, counts = section
        names = [f"cell{i}" for i in range(len(places))]
        table, positions = self.dir / "counts.csv", self.dir / "cells.csv"
        table.write_text(",".join(["cell", *panel]) + "\n" +
                         "".join(",".join([name, *map(str, row)]) + "\n" for name, row in zip(names, counts)))
        positions.write_text("cell,x,y\n" + "".join(f"{name},{x},{y}\n" for name, (x, y) in zip(names, places)))
        path = self.dir / path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.ok("import", table, "--positions", positions, "-o", path)
        table.unlink()
        positions.unlink()
        return path

    def lines(self, corpus, name="manifest"):
        return [json.loads(line) for line in (self.dir / corpus / f"{name}.jsonl").read_text().splitlines()]

    def by_name(self, corpus):
        return {line["file"].split("/")[-1].removesuffix(".h5ad"): line for line in self.lines(corpus)}
