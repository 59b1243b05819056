# SPDX-License-Identifier: MIT
"""Gradients of a cell encoder from PyTorch, for tests/model/cell_encoder_training_golden_test.cpp.

    python3 weights_tools/export_training_case.py tests/golden/cell_encoder_small -o OUT.safetensors

Needs torch, transformers and safetensors. The loss is
    sum_i cos(i) e_i + sum_i sin(i + 1) h_i / cells
over the flat elements of the L2-normalised embeddings e [cells, width] and of the last hidden states h [tokens, hidden]
of the tokens that are not padding, in float64. Gradients are stored as float32: 265 KB instead of 530 KB.
"""
import argparse
import os

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", help="folder with bundle.safetensors, case.safetensors and cell_bert/config.json")
    parser.add_argument("-o", "--output", required=True)
    arguments = parser.parse_args()
    config = BertConfig.from_json_file(os.path.join(arguments.case, "cell_bert", "config.json"))
    config._attn_implementation = "eager"
    weights = load_file(os.path.join(arguments.case, "bundle.safetensors"))
    weights = {name.removeprefix("cell_encoder/"): value.double() for name, value in weights.items()}
    model = BertModel(config, add_pooling_layer=False).double().eval()
    model.load_state_dict({n.removeprefix("bert/"): v for n, v in weights.items() if n.startswith("bert/")})
    projection = torch.nn.Linear(config.hidden_size, weights["proj.weight"].shape[0]).double()
    projection.load_state_dict({"weight": weights["proj.weight"], "bias": weights["proj.bias"]})

    case = load_file(os.path.join(arguments.case, "case.safetensors"))
    ids, mask = case["input_ids"], case["attention_mask"]
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    embeddings = torch.nn.functional.normalize(projection(states[:, 0]), dim=1).flatten()
    hidden = states[mask.bool()].flatten()
    loss = (torch.cos(torch.arange(embeddings.numel(), dtype=torch.float64)) * embeddings).sum()
    loss = loss + (torch.sin(torch.arange(hidden.numel(), dtype=torch.float64) + 1) * hidden).sum() / len(ids)
    loss.backward()
    tensors = {"loss": loss.detach().reshape(1)}
    for name, parameter in model.named_parameters():
        tensors["grad/bert/" + name] = parameter.grad.float()
    for name, parameter in projection.named_parameters():
        tensors["grad/proj." + name] = parameter.grad.float()
    save_file(tensors, arguments.output)
    print(f"loss {loss.item():.12g}, {len(tensors) - 1} gradients, {os.path.getsize(arguments.output)} bytes")


if __name__ == "__main__":
    main()
