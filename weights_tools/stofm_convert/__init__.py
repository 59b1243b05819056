# SPDX-License-Identifier: MIT
"""Checkpoint to bundle, without PyTorch: zip reader, pickle machine, safetensors, checks. See ../README.md."""

VERSION = "1"
