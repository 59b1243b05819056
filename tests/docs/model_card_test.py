#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The committed weights of the demo bundle are those that their model card describes, and small.

Usage: model_card_test.py SOURCE_DIR
"""
import hashlib
import json
import pathlib
import re
import sys

folder = pathlib.Path(sys.argv[1]) / "examples" / "data"
card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
content = (folder / "demo_trained.safetensors").read_bytes()
header = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])
info = json.loads(header["__metadata__"]["model_info"])
failures = []
digest = hashlib.sha256(content).hexdigest()
if digest not in card:
    failures.append(f"SHA-256 {digest} is not in the model card")
if len(content) > 4 << 20:
    failures.append(f"{len(content)} bytes are more than 4 MiB")
if info["training"] != "pretrained" or not info["limits"]:
    failures.append("model_info does not say pretrained, or no limits")
for name in info["data"]:
    if name not in card:
        failures.append(f"training slice {name} is not in the card")
for word in ["Data", "Licence", "Commands", "Held-out", "Limits", f"{info['steps']:,} steps", f"seed {info['seed']}"]:
    if word.lower() not in card.lower():
        failures.append(f"the card says nothing of: {word}")
for text in (card, json.dumps(info)):
    if re.search(r"(^|[\s\"'(=])/(work|home|root|tmp)/", text):
        failures.append("a machine's path is named")
print("\n".join(failures) if failures else "the model card agrees with the weights")
sys.exit(1 if failures else 0)
