#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Packs a bundle that began with start_bundle.py into the small file that the demo bundle is built from.

    pack_demo.py run/model.safetensors -o examples/data/demo_trained.safetensors --info CARD.json

Kept are: the SE(2) Transformer and its heads, rounded to bfloat16; of the cell encoder everything but its two tables; the rows
of the word table whose genes were fitted (those that a seeded draw does not give again: their length differs), and the
last columns of the position table, the rest of which is 0. Left out are the gene tables. `make_demo_bundle` (C++, run by the
build) puts the pieces together again; genes that were not fitted get seeded random rows. CARD.json is merged into model_info.
Needs numpy. The same arguments give the same bytes.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import numpy as np  # noqa: E402

from start_bundle import FILLER, PLACE  # noqa: E402
from stofm_convert.bundle import check_output, json_text, open_bundle, write_atomic  # noqa: E402
from stofm_convert.safetensors_file import header_bytes  # noqa: E402
from stofm_convert.source import FileSource  # noqa: E402

WORDS = "cell_encoder/bert/embeddings.word_embeddings.weight"
PLACES = "cell_encoder/bert/embeddings.position_embeddings.weight"


def bfloat16(values):
    """Rounded to nearest, ties to even, as unsigned 16-bit integers."""
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4").astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def packed(tensors, tokens):
    """Name -> (dtype, array) of what is kept. `tokens`: those of the fitted genes."""
    kept = {}
    for name, values in tensors.items():
        if name.startswith("se2/"):
            kept[name] = ("BF16", bfloat16(values))
        elif name not in (WORDS, PLACES):
            kept[name] = ("F32", np.ascontiguousarray(values, dtype="<f4"))
    used = tensors["cell_encoder/proj.weight"].shape[0] + FILLER
    words, places = tensors[WORDS], tensors[PLACES]
    if np.any(words[:, used:]) or np.any(places[:, :-PLACE]):
        raise SystemExit("the tables of the cell encoder are not those of start_bundle.py; was it trained, too?")
    kept["words/tokens"] = ("I32", np.ascontiguousarray(tokens, dtype="<i4"))
    kept["words/rows"] = ("F32", np.ascontiguousarray(words[tokens, :used], dtype="<f4"))
    kept["places/columns"] = ("F32", np.ascontiguousarray(places[:, -PLACE:], dtype="<f4"))
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--info", help="JSON object that is merged into model_info")
    arguments = parser.parse_args()
    check_output(arguments.output, [arguments.bundle], arguments.overwrite)
    weights, parsed = open_bundle(FileSource(arguments.bundle))
    tensors = {name: weights[name].array() for name in weights if name.startswith(("se2/", "cell_encoder/"))}
    info = dict(parsed["model_info"])
    if arguments.info:
        with open(arguments.info, encoding="utf-8") as file:
            info.update(json.load(file))
    kept = packed(tensors, np.array(info.pop("fitted_tokens"), dtype=np.int64))
    arrays = [(name, dtype, values.shape, values.reshape(-1).view(np.uint8).data) for name, (dtype, values) in sorted(kept.items())]
    metadata = {"format": "stofm-packed-demo", "model_info": json_text(info), "se2_config": json_text(parsed["se2_config"]),
                "cell_encoder_config": json_text(parsed["cell_encoder_config"])}
    write_atomic(arguments.output, [header_bytes(arrays, metadata)] + [content for _, _, _, content in arrays], arguments.overwrite)


if __name__ == "__main__":
    main()
