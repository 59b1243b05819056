#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes verification cases with PyTorch: inputs, and what a plain PyTorch implementation computes from them.

    export_case.py CHECKPOINT_DIR [--seed S] [--lengths 47,24,8]     # writes CHECKPOINT_DIR/case.safetensors
    export_case.py --random CONFIG.json OUT_DIR [--seed S]           # a random checkpoint of that shape, and its case

CHECKPOINT_DIR or CONFIG.json is of the SE(2) Transformer (config.json, se2transformer.pth) or of the cell encoder
(cell_bert/, cell_proj.bin); which, is seen from the configuration. The layout is that of tests/golden, so
STOFM_GOLDEN=DIR runs the tests on it. Needs torch, and transformers for the cell encoder. Nothing else here does.
"""

import argparse
import json
import math
import pathlib
import sys

import torch
from torch.nn import functional as F

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from stofm_convert.configs import bert_tensors, check_bert, check_se2, se2_tensors  # noqa: E402
from stofm_convert.json_text import read_json  # noqa: E402
from stofm_convert.safetensors_file import header_bytes  # noqa: E402

CELL, CLS, VIRTUAL, PADDING = 0, 1, 2, 3
NO_EDGE = 100.0
DTYPES = {torch.float32: "F32", torch.int64: "I64"}


def save(path, tensors):
    entries = [(k, DTYPES[v.dtype], tuple(v.shape), v.contiguous().numpy().tobytes()) for k, v in
               sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))]
    with open(path, "wb") as out:
        out.write(header_bytes(entries, {}) + b"".join(content for _, _, _, content in entries))


def random_weights(shapes, generator):
    """Weights with enough spread that every term of the computation shows in the output."""
    weights = {}
    for name, dims in shapes.items():
        shape = [size for size, _ in dims]
        normal = torch.randn(shape, generator=generator)
        if name == "gaussian.means.weight":
            value = torch.rand(shape, generator=generator) * 3
        elif name == "gaussian.stds.weight":
            value = torch.rand(shape, generator=generator) * 3 * torch.sign(normal)
            value[0, :: 13] *= 1e-2                        # a few very narrow ones
        elif name == "gaussian.linear.weight":
            value = torch.full(shape, 0.2) + 0.1 * torch.rand(shape, generator=generator)
        elif "norm" in name.lower():
            value = (1.0 if name.endswith("weight") else 0.0) + 0.15 * normal
        elif name.endswith("bias"):
            value = 0.1 * normal
        elif "embeddings." in name:
            value = 0.2 * normal
        else:
            value = normal / math.sqrt(shape[-1])
        weights[name] = value
    return weights


# The SE(2) Transformer, as SPEC section 5 states it.

def gaussian_bias(w, distances):
    """[B, N, N] -> [B, H, N, N]; exactly 0 where the distance is 0. Product, then sum: each rounded to float32."""
    affine = distances * w["gaussian.linear.weight"].reshape(()) + w["gaussian.linear.bias"].reshape(())
    width = w["gaussian.stds.weight"].reshape(-1).abs() + 1e-5
    z = (affine[..., None] - w["gaussian.means.weight"].reshape(-1)) / width
    psi = torch.exp(-0.5 * z * z) / (math.sqrt(2 * math.pi) * width)
    hidden = torch.relu(F.linear(psi, w["gaussian.proj.0.weight"], w["gaussian.proj.0.bias"]))
    phi = F.linear(hidden, w["gaussian.proj.2.weight"], w["gaussian.proj.2.bias"])
    return (phi * (distances != 0)[..., None]).permute(0, 3, 1, 2)


def se2_forward(config, w, tokens, distances, types):
    """{output name: tensor} of the case."""
    batch, nodes, _ = tokens.shape
    width, heads = config["embedding_dim"], config["num_attention_heads"]
    activation = {"gelu": F.gelu, "relu": torch.relu}[config["activation_fn"]]
    pre = config["pre_layernorm"]
    padded = (types == PADDING)[:, None, None, :]
    linear = lambda name, x: F.linear(x, w[name + ".weight"], w[name + ".bias"])
    norm = lambda name, x: F.layer_norm(x, (width,), w[name + ".weight"], w[name + ".bias"], 1e-5)
    split = lambda x: x.reshape(batch, nodes, heads, width // heads).transpose(1, 2)

    x = linear("embedding_layer", tokens) + w["token_type_embeddings.weight"][types]
    pair = gaussian_bias(w, distances)
    result = {"gaussian_bias": pair, "hidden_states.0": x}
    for index in range(config["num_hidden_layers"]):
        layer = "encoder.layers.%d." % index
        y = norm(layer + "self_attn_layer_norm", x) if pre else x
        q, k, v = (split(linear(layer + "self_attn.%s_proj" % name, y)) for name in "qkv")
        scores = (q / math.sqrt(width // heads)) @ k.transpose(2, 3) + pair
        attention = torch.softmax(scores.masked_fill(padded, -math.inf), dim=-1)
        pair = scores.masked_fill(padded, 0.0)
        y = (attention @ v).transpose(1, 2).reshape(batch, nodes, width)
        x = x + linear(layer + "self_attn.out_proj", y)
        if not pre:
            x = norm(layer + "self_attn_layer_norm", x)
        y = norm(layer + "final_layer_norm", x) if pre else x
        x = x + linear(layer + "fc2", activation(linear(layer + "fc1", y)))
        if not pre:
            x = norm(layer + "final_layer_norm", x)
        result["hidden_states.%d" % (index + 1)] = x
    return {**result, "last_hidden_state": x, "pair_rep": pair.permute(0, 2, 3, 1)}


def sub_slice(nodes, virtual, generator, neighbours=12):
    """Distances and types of one piece: CLS, virtual cells, cells in a box of diagonal 100 (SPEC section 4)."""
    places = torch.rand(nodes, 2, generator=generator, dtype=torch.float64) * (100 / math.sqrt(2))
    places[0] = 0
    full = torch.linalg.vector_norm(places[:, None] - places[None], dim=-1).float()
    distances = torch.full_like(full, NO_EDGE)
    nearest = min(neighbours, nodes - 1)
    rows = full.clone().fill_diagonal_(math.inf)
    for row in range(nodes):
        chosen = torch.topk(rows[row], nearest, largest=False).indices
        distances[row, chosen] = full[row, chosen]
    distances[1:1 + virtual], distances[:, 1:1 + virtual] = full[1:1 + virtual], full[:, 1:1 + virtual]
    distances[distances == 0] = NO_EDGE
    distances[0], distances[:, 0] = 0, 0
    distances = torch.where(distances == NO_EDGE, distances.T, distances).fill_diagonal_(0)
    types = torch.zeros(nodes, dtype=torch.int64)
    types[0], types[1:1 + virtual] = CLS, VIRTUAL
    return distances, types


def se2_inputs(config, lengths, generator):
    longest = max(lengths)
    tokens = torch.zeros(len(lengths), longest, config["input_dim"])
    distances = torch.zeros(len(lengths), longest, longest)
    types = torch.full((len(lengths), longest), PADDING)
    for b, nodes in enumerate(lengths):
        distances[b, :nodes, :nodes], types[b, :nodes] = sub_slice(nodes, min(6, nodes - 1), generator)
        tokens[b, 1:nodes] = F.normalize(torch.randn(nodes - 1, config["input_dim"], generator=generator), dim=-1)
    return tokens, distances, types


def export_se2(folder, config, lengths, generator):
    weights = torch.load(folder / "se2transformer.pth", weights_only=True)
    tokens, distances, types = se2_inputs(config, lengths, generator)
    with torch.no_grad():
        outputs = se2_forward(config, weights, tokens, distances, types)
    save(folder / "case.safetensors", {"token_embeddings": tokens, "distances": distances, "token_types": types, **outputs})


def export_cell_encoder(folder, config, lengths, generator):
    from transformers import BertModel
    model = BertModel.from_pretrained(folder / "cell_bert", add_pooling_layer=False).eval()
    projection = torch.load(folder / "cell_proj.bin", weights_only=True)
    longest = max(lengths)
    ids, mask = torch.zeros(len(lengths), longest, dtype=torch.int64), torch.zeros(len(lengths), longest, dtype=torch.int64)
    for b, length in enumerate(lengths):
        genes = torch.randperm(config["vocab_size"] - 3, generator=generator)[:length - 1] + 2
        ids[b, 0], ids[b, 1:1 + len(genes)], mask[b, :1 + len(genes)] = config["vocab_size"] - 1, genes, 1
    with torch.no_grad():
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
        embedding = F.normalize(F.linear(hidden[:, 0], projection["weight"], projection["bias"]), dim=-1)
    save(folder / "case.safetensors", {"input_ids": ids, "attention_mask": mask, "lengths": mask.sum(1),
                                       "last_hidden_state": hidden, "embedding": embedding})


def make_random(config, is_se2, folder, generator, projection):
    """torch.save files in the authors' layout."""
    folder.mkdir(parents=True, exist_ok=False)
    if is_se2:
        required, optional = se2_tensors(config)
        final = {k: v for group in optional for k, v in group.items() if k.startswith("encoder.")}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        torch.save(random_weights({**required, **final}, generator), folder / "se2transformer.pth")
        return
    (folder / "cell_bert").mkdir()
    (folder / "cell_bert" / "config.json").write_text(json.dumps({"model_type": "bert", **config}, indent=2) + "\n")
    torch.save(random_weights(bert_tensors(config)[0], generator), folder / "cell_bert" / "pytorch_model.bin")
    size = (projection, "projection")
    shapes = {"weight": (size, (config["hidden_size"], "hidden_size")), "bias": (size,)}
    torch.save(random_weights(shapes, generator), folder / "cell_proj.bin")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path, metavar="DIR", help="checkpoint directory; with --random, the one to make")
    p.add_argument("--random", metavar="CONFIG", help="make a random checkpoint of this configuration first")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--lengths", default="", help="nodes or tokens of each sample, e.g. 47,24,8")
    p.add_argument("--projection", type=int, default=20, help="width of a random cell encoder's embedding")
    a = p.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(a.seed)
    path = a.random or str(a.folder / ("config.json" if (a.folder / "config.json").exists() else "cell_bert/config.json"))
    config = read_json(path)
    is_se2 = "gaussian_hidden_dim" in config
    (check_se2 if is_se2 else check_bert)(config, path)
    if a.random:
        make_random(config, is_se2, a.folder, generator, a.projection)
    longest = 47 if is_se2 else config["max_position_embeddings"]
    lengths = [int(n) for n in a.lengths.split(",")] if a.lengths else [longest] if is_se2 else [1, 2, 7, longest // 2, longest]
    (export_se2 if is_se2 else export_cell_encoder)(a.folder, config, lengths, generator)
    print("%s: %s, lengths %s, seed %d" % (a.folder / "case.safetensors", "SE(2) Transformer" if is_se2 else "cell encoder",
                                           lengths, a.seed))


if __name__ == "__main__":
    main()
