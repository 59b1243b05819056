#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a bundle to start training from: linear gene features as a cell encoder, and a smoothing SE(2) Transformer.

    start_bundle.py SLICE.h5ad... --stofm build/stofm --genes-from demo.safetensors -o start.safetensors [--center] [--seed 0]

The cell encoder (ours; no gradient was needed) is a bag of genes weighted by rank, written as a BERT of one layer: position 0
attends to the token of rank r with weight proportional to 1 / (r + 10), whatever the token, and the values are gene vectors. So
an embedding is a linear function of the rank weights of the cell's genes. The gene vectors are those of a principal component
analysis in each SLICE, all at once: min over V, R_s of  sum_s |B_s V - B_s U_s R_s|^2 / tr_s,  B_s the rank weights less their
mean, U_s their first components, tr_s their variance, R_s a rotation per slice (seeded at first), so that genes measured in
several slices have one vector. The mean of each slice is held near 0. Genes that are in no slice, or beyond the --genes most
heard of, get random vectors of the usual length; "genes/learnt" of the bundle lists the others. `stofm adapt` can train it further.

The SE(2) Transformer (ours, too) has twice as many components as the features, and starts as a smoother beside an identity: the
node embedding puts the features into the first half, with rows of zero sum, so that the -100 of a masked cell cancels and its
bias and type speak; the distance bias of each head is --local * exp(-(d / length)^2) with a length of its own, 0 for far pairs,
by least squares; values and output projection of a layer are an orthonormal matrix and --gain times its transpose, from the
first half into the second, each part over another length in each layer; the second half is what the head of masked cells
predicts, added to the first; that of pairs is left to the trainer. Queries and keys are Xavier uniform with gain 1 / (2 sqrt(2)),
the feed-forward parts start at 0. So a cell keeps what it is beside what surrounds it, masked cells are predicted about as well as
by a mean of the neighbours before the first step, and training starts there.

SLICEs are used without labels. Needs numpy. The same arguments give the same bytes on one machine.
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

from stofm_convert.bundle import GENES, LEARNT, MOUSE, check_output, json_text, open_bundle, write_bundle  # noqa: E402
from stofm_convert.source import FileSource  # noqa: E402

SOFTNESS = 10.0  # of the weight of a rank: 1 / (rank + SOFTNESS)
POSITIONS, PLACE, FILLER, HEADS = 2048, 4, 2, 4  # places of a sequence, coordinates that say the place, that fill up, heads
IDENTITY_SHIFT = 6.0
LENGTHS = (9.6, 3.6, 9.6, 1.5)  # of the heads' bias in turn, in normalised coordinates; cells lie 0.4 to 3 apart


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


def rank_weights(tokens, offsets):
    """Weight of each token of a packed list in its cell; <cls>, first in each, gets none."""
    lengths = np.diff(offsets)
    rank = np.arange(len(tokens)) - np.repeat(offsets[:-1], lengths)
    weight = (rank > 0) / (rank + SOFTNESS)
    return weight / np.maximum(np.repeat(np.add.reduceat(weight, offsets[:-1]), lengths), 1e-12)


def slice_moments(tokens, offsets, weight, place, size, block=2048):
    """Mean [size] and covariance [size, size] over cells of the weights of the genes that `place` numbers (-1: left out)."""
    cells = len(offsets) - 1
    mean, second = np.zeros(size), np.zeros((size, size))
    for first in range(0, cells, block):
        last = min(first + block, cells)
        part = slice(offsets[first], offsets[last])
        row = np.repeat(np.arange(last - first), np.diff(offsets[first:last + 1]))
        column = place[tokens[part]]
        kept = column >= 0
        rows = np.bincount(row[kept] * size + column[kept], weight[part][kept], minlength=(last - first) * size)
        rows = rows.reshape(last - first, size)
        mean += rows.sum(axis=0)
        second += rows.T @ rows
    mean /= cells
    return mean, second / cells - np.outer(mean, mean)


def principal_vectors(moments, width, rng, rounds=40, mean_weight=10.0, ridge=1e-3):
    """Gene vectors [genes, width] whose features are close to the principal components of every slice, each turned as it
    likes. `moments`: (genes, mean, covariance) of each slice, genes being numbers of rows."""
    size = 1 + max(int(genes.max()) for genes, _, _ in moments)
    system, parts = ridge / size * np.eye(size), []
    for genes, mean, covariance in moments:
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = np.maximum(values[::-1][:width], 0), vectors[:, ::-1][:, :width]
        scale = values.sum()
        system[np.ix_(genes, genes)] += (covariance + mean_weight * np.outer(mean, mean)) / scale
        turn = np.linalg.qr(rng.standard_normal((width, width)))[0][:len(values)]
        parts.append([genes, vectors, values / scale, turn])
    inverse = np.linalg.inv(system)
    for _ in range(rounds):
        right = np.zeros((size, width))
        for genes, vectors, values, turn in parts:
            right[genes] += (vectors * values) @ turn
        result = inverse @ right
        for part in parts:
            genes, vectors, values, _ = part
            left, _, other = np.linalg.svd(values[:, None] * (vectors.T @ result[genes]), full_matrices=False)
            part[3] = left @ other
    return result


def gene_vectors(token_slices, vocabulary, width, most, rng):
    """Vectors of all genes [vocabulary, width], each of zero sum (what the node embedding does not see), and which were fitted."""
    heard = np.zeros(vocabulary)
    for tokens, offsets, weight in token_slices:
        found = np.bincount(tokens, weight, minlength=vocabulary) / (len(offsets) - 1)
        heard = np.maximum(heard, found)
    fitted = np.flatnonzero(heard)
    fitted = np.sort(fitted[np.argsort(-heard[fitted], kind="stable")][:most])
    vectors = rng.standard_normal((vocabulary, width)) / math.sqrt(width)
    if len(fitted):
        moments = []
        for tokens, offsets, weight in token_slices:
            place = np.full(vocabulary, -1)
            genes = np.intersect1d(np.unique(tokens), fitted)
            place[genes] = np.arange(len(genes))
            moments.append((np.searchsorted(fitted, genes), *slice_moments(tokens, offsets, weight, place, len(genes))))
        found = principal_vectors(moments, width, rng)
        lengths = np.linalg.norm(found, axis=1)
        vectors *= np.median(lengths)
        vectors[fitted] = found
    return vectors - vectors.mean(axis=1, keepdims=True), fitted


def learnt_text(gene_table, fitted):
    """The Ensembl ids of the tokens `fitted`, one a line in the order of the table, as a bundle's "genes/learnt"."""
    fitted = set(int(token) for token in fitted)
    rows = (line.split("\t") for line in gene_table.decode("utf-8").splitlines()[1:])
    return "".join(row[0] + "\n" for row in rows if int(row[2]) in fitted).encode("utf-8")


def word_rows(vectors):
    """[vocabulary, width + FILLER] rows of length 1 and zero sum, the first columns proportional to `vectors`: a layer norm
    keeps such rows as they are, up to one factor."""
    total, squares = vectors.sum(axis=1), np.sum(vectors ** 2, axis=1)
    vectors = vectors * (0.99 / math.sqrt(np.max(squares + total ** 2 / 2)))
    total, squares = vectors.sum(axis=1), np.sum(vectors ** 2, axis=1)
    apart = np.sqrt((1 - squares - total ** 2 / 2) / 2)
    return np.concatenate([vectors, (-total / 2 + apart)[:, None], (-total / 2 - apart)[:, None]], axis=1)


def cell_encoder(vectors, cls):
    """Tensors of the bag of genes."""
    vocabulary, features = vectors.shape
    hidden = -(-(features + FILLER + PLACE) // HEADS) * HEADS
    width, used = hidden // HEADS, features + FILLER
    words = np.zeros((vocabulary, hidden))
    words[:, :used] = word_rows(vectors)
    words[[0, cls]] = 0.0
    low, high = math.log(SOFTNESS), math.log(SOFTNESS + POSITIONS - 1)
    first = 1 - 2 * (np.log(SOFTNESS + np.arange(POSITIONS)) - low) / (high - low)
    second = np.sqrt(np.maximum(1 - first ** 2, 0))
    places = np.zeros((POSITIONS, hidden))
    places[:, -PLACE:] = np.stack([first, -first, second, -second], axis=1) / math.sqrt(2)
    scale = math.sqrt(hidden / 2)  # LayerNorm makes a row of length sqrt(2) one of length sqrt(hidden)
    out = {"embeddings.word_embeddings.weight": words, "embeddings.position_embeddings.weight": places,
           "embeddings.token_type_embeddings.weight": np.zeros((2, hidden)),
           "embeddings.LayerNorm.weight": np.ones(hidden), "embeddings.LayerNorm.bias": np.zeros(hidden)}
    layer = {}
    for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
        layer[part + ".weight"], layer[part + ".bias"] = np.zeros((hidden, hidden)), np.zeros(hidden)
    slope = math.sqrt((high - low) / 2 * math.sqrt(width))  # q . k / sqrt(width) = -log(rank + SOFTNESS) + constant
    for h in range(HEADS):
        layer["attention.self.query.bias"][h * width] = slope
        layer["attention.self.key.weight"][h * width, hidden - PLACE] = slope * math.sqrt(2) / scale
    for i in range(used):
        layer["attention.self.value.weight"][i, i] = 1.0
    layer["attention.output.dense.weight"] = np.eye(hidden)
    start = places[0]  # what the residual of position 0 brings, after LayerNorm
    layer["attention.output.dense.bias"] = -(start - start.mean()) / start.std()
    layer["intermediate.dense.weight"] = np.zeros((hidden, hidden))
    layer["intermediate.dense.bias"] = np.zeros(hidden)
    layer["output.dense.weight"], layer["output.dense.bias"] = np.zeros((hidden, hidden)), np.zeros(hidden)
    for part in ("attention.output.LayerNorm", "output.LayerNorm"):
        layer[part + ".weight"], layer[part + ".bias"] = np.ones(hidden), np.zeros(hidden)
    out.update({"encoder.layer.0." + name: value for name, value in layer.items()})
    result = {"cell_encoder/bert/" + name: value for name, value in out.items()}
    result["cell_encoder/proj.weight"], result["cell_encoder/proj.bias"] = np.eye(features, hidden), np.zeros(features)
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
    e, f, c = config["embedding_dim"], config["ffn_embedding_dim"], config["input_dim"]
    bound = math.sqrt(6 / (2 * e)) / math.sqrt(8)
    node = np.zeros((e, c))
    node[:c] = math.sqrt(c) * (np.eye(c) - 1 / c)
    out = {"embedding_layer.weight": node, "embedding_layer.bias": np.zeros(e),
           "token_type_embeddings.weight": 0.02 * rng.standard_normal((4, e)),
           **local_bias(config, distance, height)}
    turn, width = np.linalg.qr(rng.standard_normal((c, c)))[0], e // config["num_attention_heads"]
    for i in range(config["num_hidden_layers"]):
        at = "encoder.layers.%d." % i
        values, mix = np.zeros((e, e)), np.zeros((e, e))
        for copy in (0, c):
            rows = copy + (np.arange(c) + i * width) % c  # another head, with another length, in each layer
            values[rows, :c] = turn
            mix[c:, rows] = gain / 2 * turn.T
        for name, weight in (("q_proj", rng.uniform(-bound, bound, (e, e))), ("k_proj", rng.uniform(-bound, bound, (e, e))),
                             ("v_proj", values), ("out_proj", mix)):
            out[at + "self_attn." + name + ".weight"], out[at + "self_attn." + name + ".bias"] = weight, np.zeros(e)
        out[at + "fc1.weight"], out[at + "fc1.bias"] = 0.02 * rng.standard_normal((f, e)), np.zeros(f)
        out[at + "fc2.weight"], out[at + "fc2.bias"] = np.zeros((e, f)), np.zeros(e)
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            out[at + name + ".weight"], out[at + name + ".bias"] = np.ones(e), np.zeros(e)
    # relu(x + c) - c = x above -c; components of x have deviation 1 after LayerNorm
    out.update({"lm_head.0.weight": np.eye(e), "lm_head.0.bias": np.full(e, IDENTITY_SHIFT),
                "lm_head.2.weight": np.concatenate([np.eye(c), np.eye(c)], axis=1), "lm_head.2.bias": np.full(c, -2 * IDENTITY_SHIFT)})
    return {"se2/" + name: value for name, value in out.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", nargs="*", metavar="SLICE", help="slices to fit gene vectors on (those of training only)")
    parser.add_argument("--stofm", default="build/stofm")
    parser.add_argument("--genes-from", required=True, metavar="BUNDLE", help="bundle whose gene tables are used")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", type=int, default=96, help="width of cell embeddings; the SE(2) Transformer has twice as many")
    parser.add_argument("--genes", type=int, default=3000, help="most genes to fit vectors for")
    parser.add_argument("--center", action="store_true", help="embeddings about the mean of their slice, for panels of any kind")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--gaussians", type=int, default=64)
    parser.add_argument("--distance", type=float, default=24.0)
    parser.add_argument("--local", type=float, default=6.0, help="height of the bias of close pairs (0: none)")
    parser.add_argument("--gain", type=float, default=0.5, help="share of the neighbourhood that a layer adds beside a cell")
    arguments = parser.parse_args()
    check_output(arguments.output, [arguments.genes_from], arguments.overwrite)
    if arguments.features < 8 or arguments.heads < 2 or arguments.heads % 2 or 2 * arguments.features % arguments.heads:
        parser.error("--features must be at least 8, --heads even and a divisor of twice --features")

    weights, parsed = open_bundle(FileSource(arguments.genes_from))
    texts = {name: weights[name].array().tobytes() for name in (GENES, MOUSE)}
    vocabulary = int(parsed["cell_encoder_config"]["vocab_size"])
    rng = np.random.Generator(np.random.Philox(arguments.seed))
    token_slices = [(tokens, offsets, rank_weights(tokens, offsets))
                    for tokens, offsets in token_lists(arguments.stofm, arguments.slices, arguments.genes_from)]
    vectors, fitted = gene_vectors(token_slices, vocabulary, arguments.features, arguments.genes, rng)
    learnt = learnt_text(texts[GENES], fitted)
    if learnt:
        texts[LEARNT] = learnt
    encoder, width = cell_encoder(vectors, vocabulary - 1), 2 * arguments.features
    hidden = encoder["cell_encoder/proj.weight"].shape[1]
    bert = {"model_type": "bert", "num_hidden_layers": 1, "hidden_size": hidden, "intermediate_size": hidden,
            "num_attention_heads": HEADS, "vocab_size": vocabulary, "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
            "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if arguments.center:
        bert["center_per_slice"] = True
    se2 = {"num_hidden_layers": arguments.layers, "embedding_dim": width, "ffn_embedding_dim": width,
           "num_attention_heads": arguments.heads, "gaussian_hidden_dim": arguments.gaussians, "input_dim": arguments.features,
           "pre_layernorm": False, "activation_fn": "gelu", "dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    tensors = {**encoder, **se2_transformer(se2, arguments.distance, arguments.local, arguments.gain, rng)}
    info = {"name": "stofm-start", "training": "not pretrained: gene vectors by principal components, smoothing SE(2) Transformer",
            "licence": parsed.get("model_info", {}).get("licence", ""), "created_by": "stofm weights_tools/start_bundle.py",
            "seed": arguments.seed, "fitted_tokens": fitted.tolist(),
            "fitted_on": sorted(os.path.basename(path) for path in arguments.slices)}
    write_bundle(arguments.output, {name: np.ascontiguousarray(value, dtype="<f4") for name, value in tensors.items()}, texts,
                 {"model_info": json_text(info), "se2_config": json_text(se2), "cell_encoder_config": json_text(bert)},
                 arguments.overwrite)


if __name__ == "__main__":
    main()
