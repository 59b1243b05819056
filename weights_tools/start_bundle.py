#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a bundle to start training from: linear gene features as a cell encoder, and a random SE(2) Transformer.

    start_bundle.py SLICE.h5ad... --stofm build/stofm --genes-from demo.safetensors -o start.safetensors [--seed 0]

The cell encoder (ours, untrained) is a rank-weighted bag of genes written as a BERT of one layer: head h of position 0
attends to the token of rank r with weight proportional to exp(-r / tau_h); the values are random vectors, one a gene. So an
embedding is a linear function of the rank weights of the cell's genes: a seeded random projection. The vectors are made
orthogonal to the mean weights of each SLICE, which centres the embeddings of slices with those genes. `stofm adapt` can
train it further.

The SE(2) Transformer (ours, too) starts as a smoother rather than as noise: the node embedding is the identity with rows of
zero sum, so that the -100 of a masked cell cancels and its bias and type speak; the distance bias of each head is
--local * exp(-(d / length)^2) with a length of its own, 0 for far pairs, by least squares; values and output projection of a
layer are an orthonormal matrix and --gain times its transpose, so that each head averages its part of the features over its own
neighbourhood; the head of masked cells is the identity through its ReLU; that of pairs is left to the trainer. Queries and keys are Xavier uniform with gain
1 / (2 sqrt(2)), the rest is drawn as in SPEC section 6. So masked cells are predicted about as well as by a mean of the
neighbours before the first step, and training starts there.

SLICEs are used without labels: their genes' mean rank weights. Needs numpy. The same arguments give the same bytes.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import numpy as np  # noqa: E402

from stofm_convert.bundle import GENES, MOUSE, check_output, json_text, open_bundle, write_bundle  # noqa: E402
from stofm_convert.source import FileSource  # noqa: E402

TAUS = (6.0, 16.0, 40.0, 100.0)
POSITIONS, PLACE = 2048, 4  # places of a sequence, coordinates that say the place
IDENTITY_SHIFT = 6.0
LENGTHS = (1.2, 2.4, 4.8, 9.6)  # of the heads' bias in turn, in normalised coordinates; cells lie 0.4 to 3 apart


def token_lists(stofm, slices, bundle):
    """Packed tokens and offsets of each slice, by `stofm tokenize`."""
    for path in slices:
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "tokens.safetensors")
            subprocess.run([stofm, "tokenize", path, "-w", bundle, "-o", out, "-q", "--accept-noninteger"], check=True)
            with open(out, "rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size))
                body = file.read()
            kinds = {"I32": np.int32, "I64": np.int64, "F32": np.float32, "F64": np.float64}
            read = {name: np.frombuffer(body[entry["data_offsets"][0]:entry["data_offsets"][1]], kinds[entry["dtype"]])
                    for name, entry in header.items() if name in ("tokens", "offsets")}
            yield read["tokens"].astype(np.int64), read["offsets"].astype(np.int64)


def mean_weights(tokens, offsets, tau, vocabulary):
    """Mean over cells of the attention that each gene gets from a head: [vocabulary]."""
    lengths = np.diff(offsets)
    rank = np.arange(len(tokens)) - np.repeat(offsets[:-1], lengths)  # <cls> is at 0
    weight = np.exp(-rank / tau)
    weight /= np.repeat(np.add.reduceat(weight, offsets[:-1]), lengths)
    return np.bincount(tokens[rank > 0], weight[rank > 0], minlength=vocabulary) / len(lengths)


def gene_vectors(vocabulary, width, means, rng, rounds=60):
    """Rows of one length and zero sum, orthogonal to each of `means` [vocabulary]: alternating projections."""
    vectors = rng.standard_normal((vocabulary, width)).astype(np.float64)
    basis = np.linalg.qr(np.stack(means, axis=1))[0] if means else np.zeros((vocabulary, 0))
    for _ in range(rounds):
        vectors -= basis @ (basis.T @ vectors)
        vectors -= vectors.mean(axis=1, keepdims=True)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def cell_encoder(vocabulary, cls, hidden, means, rng):
    """Tensors of the bag of genes. `means`: for each head the mean weights of each slice."""
    heads, width = len(TAUS), hidden // len(TAUS)
    block = (hidden - PLACE) // heads
    words = np.zeros((vocabulary, hidden))
    for h in range(heads):
        words[:, h * block:(h + 1) * block] = gene_vectors(vocabulary, block, means[h], rng) / math.sqrt(heads)
    words[[0, cls]] = 0.0
    angle = np.arange(POSITIONS) * math.pi / (2 * POSITIONS)
    places = np.zeros((POSITIONS, hidden))
    places[:, -PLACE:] = np.stack([np.cos(angle), -np.cos(angle), np.sin(angle), -np.sin(angle)], axis=1) / math.sqrt(2)
    scale = math.sqrt(hidden / 2)  # LayerNorm makes a row of length sqrt(2) one of length sqrt(hidden)
    out = {"embeddings.word_embeddings.weight": words, "embeddings.position_embeddings.weight": places,
           "embeddings.token_type_embeddings.weight": np.zeros((2, hidden)),
           "embeddings.LayerNorm.weight": np.ones(hidden), "embeddings.LayerNorm.bias": np.zeros(hidden)}
    layer = {}
    for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
        layer[part + ".weight"], layer[part + ".bias"] = np.zeros((hidden, hidden)), np.zeros(hidden)
    for h, tau in enumerate(TAUS):
        # q . k / sqrt(width) = -slope * sin(angle), which falls by about 1 / tau a place
        slope = 2 * POSITIONS / (math.pi * tau)
        layer["attention.self.query.bias"][h * width] = -math.sqrt(slope * math.sqrt(width))
        layer["attention.self.key.weight"][h * width, hidden - PLACE + 2] = math.sqrt(slope * math.sqrt(width)) * math.sqrt(2) / scale
        for i in range(block):
            layer["attention.self.value.weight"][h * width + i, h * block + i] = 1.0
    layer["attention.output.dense.weight"] = np.eye(hidden)
    first = places[0]  # what the residual of position 0 brings, after LayerNorm
    layer["attention.output.dense.bias"] = -(first - first.mean()) / first.std()
    layer["intermediate.dense.weight"] = 0.02 * rng.standard_normal((hidden, hidden))
    layer["intermediate.dense.bias"] = np.zeros(hidden)
    layer["output.dense.weight"], layer["output.dense.bias"] = np.zeros((hidden, hidden)), np.zeros(hidden)
    for part in ("attention.output.LayerNorm", "output.LayerNorm"):
        layer[part + ".weight"], layer[part + ".bias"] = np.ones(hidden), np.zeros(hidden)
    out.update({"encoder.layer.0." + name: value for name, value in layer.items()})
    result = {"cell_encoder/bert/" + name: value for name, value in out.items()}
    result["cell_encoder/proj.weight"], result["cell_encoder/proj.bias"] = np.eye(hidden), np.zeros(hidden)
    return result


def local_bias(config, distance, height):
    """Gaussian network whose output is height * exp(-(d / length)^2): its first linear map is the identity."""
    k, heads = config["gaussian_hidden_dim"], config["num_attention_heads"]
    means = np.linspace(0, distance, k)[None, :]
    widths = np.full((1, k), 1.4 * distance / (k - 1))
    d = np.linspace(0.02, 1.5 * distance, 2000)[:, None]
    psi = np.exp(-(((d - means) / widths) ** 2) / 2) / (math.sqrt(2 * math.pi) * widths)
    target = np.stack([height * np.exp(-((d[:, 0] / LENGTHS[h % len(LENGTHS)]) ** 2)) for h in range(heads)], axis=1)
    solved = np.linalg.solve(psi.T @ psi + 1e-3 * np.eye(k), psi.T @ target)
    return {"gaussian.linear.weight": np.ones((1, 1)), "gaussian.linear.bias": np.zeros(1), "gaussian.means.weight": means,
            "gaussian.stds.weight": widths, "gaussian.proj.0.weight": np.eye(k), "gaussian.proj.0.bias": np.zeros(k),
            "gaussian.proj.2.weight": solved.T, "gaussian.proj.2.bias": np.zeros(heads)}


def se2_transformer(config, distance, height, gain, rng):
    e, f = config["embedding_dim"], config["ffn_embedding_dim"]
    bound = math.sqrt(6 / (2 * e)) / math.sqrt(8)
    out = {"embedding_layer.weight": np.eye(e) - 1 / e, "embedding_layer.bias": np.zeros(e),
           "token_type_embeddings.weight": 0.02 * rng.standard_normal((4, e)),
           **local_bias(config, distance, height)}
    for i in range(config["num_hidden_layers"]):
        at = "encoder.layers.%d." % i
        mix = np.linalg.qr(rng.standard_normal((e, e)))[0]
        for name, weight in (("q_proj", rng.uniform(-bound, bound, (e, e))), ("k_proj", rng.uniform(-bound, bound, (e, e))),
                             ("v_proj", mix), ("out_proj", gain * mix.T)):
            out[at + "self_attn." + name + ".weight"], out[at + "self_attn." + name + ".bias"] = weight, np.zeros(e)
        for name, shape in (("fc1", (f, e)), ("fc2", (e, f))):
            out[at + name + ".weight"], out[at + name + ".bias"] = 0.02 * rng.standard_normal(shape), np.zeros(shape[0])
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            out[at + name + ".weight"], out[at + name + ".bias"] = np.ones(e), np.zeros(e)
    # relu(x + c) - c = x above -c; components of x have deviation 1 after LayerNorm
    out.update({"lm_head.0.weight": np.eye(e), "lm_head.0.bias": np.full(e, IDENTITY_SHIFT),
                "lm_head.2.weight": np.eye(e), "lm_head.2.bias": np.full(e, -IDENTITY_SHIFT)})
    return {"se2/" + name: value for name, value in out.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", nargs="*", metavar="SLICE", help="slices whose mean is taken off (those of training only)")
    parser.add_argument("--stofm", default="build/stofm")
    parser.add_argument("--genes-from", required=True, metavar="BUNDLE", help="bundle whose gene tables are used")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=128, help="of cell embeddings and of the SE(2) Transformer")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--gaussians", type=int, default=64)
    parser.add_argument("--distance", type=float, default=24.0)
    parser.add_argument("--local", type=float, default=6.0, help="height of the bias of close pairs (0: none)")
    parser.add_argument("--gain", type=float, default=0.45, help="share of the neighbourhood that a layer adds to a cell")
    arguments = parser.parse_args()
    check_output(arguments.output, [arguments.genes_from], arguments.overwrite)
    if arguments.width % len(TAUS) or arguments.width % arguments.heads or arguments.width < 16:
        parser.error("--width must be at least 16 and divide by 4 and by --heads")

    weights, parsed = open_bundle(FileSource(arguments.genes_from))
    texts = {name: weights[name].array().tobytes() for name in (GENES, MOUSE)}
    vocabulary = int(parsed["cell_encoder_config"]["vocab_size"])
    means = [[] for _ in TAUS]
    for tokens, offsets in token_lists(arguments.stofm, arguments.slices, arguments.genes_from):
        for h, tau in enumerate(TAUS):
            means[h].append(mean_weights(tokens, offsets, tau, vocabulary))
    rng = np.random.Generator(np.random.Philox(arguments.seed))
    width = arguments.width
    bert = {"model_type": "bert", "num_hidden_layers": 1, "hidden_size": width, "intermediate_size": width,
            "num_attention_heads": len(TAUS), "vocab_size": vocabulary, "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
            "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    se2 = {"num_hidden_layers": arguments.layers, "embedding_dim": width, "ffn_embedding_dim": 2 * width,
           "num_attention_heads": arguments.heads, "gaussian_hidden_dim": arguments.gaussians, "input_dim": width,
           "pre_layernorm": False, "activation_fn": "gelu", "dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    tensors = {**cell_encoder(vocabulary, vocabulary - 1, width, means, rng), **se2_transformer(se2, arguments.distance, arguments.local, arguments.gain, rng)}
    info = {"name": "stofm-start", "training": "untrained: rank-weighted bag of genes, random SE(2) Transformer",
            "licence": parsed.get("model_info", {}).get("licence", ""), "created_by": "stofm weights_tools/start_bundle.py",
            "seed": arguments.seed, "centred_on": sorted(os.path.basename(path) for path in arguments.slices)}
    write_bundle(arguments.output, {name: np.ascontiguousarray(value, dtype="<f4") for name, value in tensors.items()}, texts,
                 {"model_info": json_text(info), "se2_config": json_text(se2), "cell_encoder_config": json_text(bert)},
                 arguments.overwrite)


if __name__ == "__main__":
    main()
