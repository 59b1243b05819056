# SPDX-License-Identifier: MIT
"""The bundle: one safetensors file with both models, their configurations, the gene tables and a hash for every tensor."""

import errno
import hashlib
import json
import os

import numpy as np

from . import VERSION
from .errors import RESOURCE, USAGE, ConvertError, quoted
from .json_text import parse_json
from .safetensors_file import header_bytes, read_safetensors

FORMAT, FORMAT_VERSION = "stofm-bundle", "1"
GENES, MOUSE, LEARNT = "genes/table", "genes/mouse_to_human", "genes/learnt"
CREATED_BY = "stofm weights_tools/convert.py " + VERSION


def json_text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def check_output(path, inputs, overwrite):
    """Everything about the output that can be refused before the work starts."""
    def fail(found, expected, remedy, kind=USAGE):
        return ConvertError(3691, path, "output", found, expected, remedy, kind)

    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise fail("no directory " + quoted(folder), "an existing one", "Create it first.")
    if not os.access(folder, os.W_OK):
        raise fail("a directory that is not writable", "a writable one", "Choose another place.", RESOURCE)
    if os.path.isdir(path):
        raise fail("a directory", "a file name", "Give the name of the file to write.")
    if os.path.exists(path):
        for name in inputs:
            if os.path.samefile(path, name):
                raise fail("one of the input files", "another file", "Choose another name; inputs are never changed.")
        if not overwrite:
            raise fail("an existing file", "none", "Use --overwrite to replace it.")


def write_bundle(path, tensors, texts, metadata, overwrite):
    """`tensors`: {name: float32 array}, `texts`: {name: bytes}. Whole or not at all; the same input gives the same bytes."""
    arrays = [(name, "F32", tensors[name].shape, tensors[name].reshape(-1).view(np.uint8).data) for name in sorted(tensors)]
    arrays += [(name, "U8", (len(texts[name]),), texts[name]) for name in sorted(texts)]
    hashes = {name: hashlib.sha256(content).hexdigest() for name, _, _, content in arrays}
    metadata = {"format": FORMAT, "format_version": FORMAT_VERSION, "sha256": json_text(hashes), **metadata}
    header = header_bytes(arrays, metadata)
    write_atomic(path, [header] + [content for _, _, _, content in arrays], overwrite)


def write_atomic(path, parts, overwrite):
    """Temporary file beside `path`, fsync, then link or rename, then fsync of the directory."""
    folder = os.path.dirname(os.path.abspath(path))
    temporary = "%s.tmp.%d" % (path, os.getpid())
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(fd, "wb") as out:
                for part in parts:
                    out.write(part)
                out.flush()
                os.fsync(out.fileno())
            if overwrite:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)      # fails if somebody made `path` meanwhile
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise ConvertError(3691, path, "output", "an existing file", "none", "Use --overwrite to replace it.", USAGE) from None
    except OSError as e:
        need = sum(len(p) for p in parts)
        hint = "Free %d bytes there, or choose another place." % need if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) \
            else "Choose another place."
        raise ConvertError(3692, path, "output", e.strerror or str(e), "a file that can be written", hint, RESOURCE) from None


def open_bundle(source):
    """(weights, parsed metadata) of a bundle, its hashes verified."""
    weights, metadata = read_safetensors(source)
    if metadata.get("format") != FORMAT:
        raise ConvertError(3693, source.path, "__metadata__/format", quoted(metadata.get("format", "")), quoted(FORMAT),
                           "This is not a bundle: convert the checkpoint with convert.py.")
    if metadata.get("format_version") != FORMAT_VERSION:
        raise ConvertError(3693, source.path, "__metadata__/format_version", quoted(metadata.get("format_version", "")),
                           quoted(FORMAT_VERSION), "Convert the checkpoint again with this version.")
    parsed = {}
    for key in ("model_info", "se2_config", "cell_encoder_config", "sha256"):
        if key in metadata:
            parsed[key] = parse_json(metadata[key].encode("utf-8", "surrogatepass"), source.path + ": " + key, 3693)
    hashes = parsed.get("sha256", {})
    if set(hashes) != set(weights):
        odd = sorted(set(hashes) ^ set(weights))[0]
        raise ConvertError(3694, source.path, "__metadata__/sha256", "not one hash for each tensor (%s)" % quoted(odd),
                           "one hash for each", "Convert the checkpoint again.")
    for name, weight in weights.items():
        found = hashlib.sha256(weight.array().tobytes()).hexdigest()
        if found != hashes[name]:
            raise ConvertError(3694, source.path, "tensor " + quoted(name), "sha256 " + found[:16] + "...",
                               str(hashes[name])[:16] + "...", "The file is damaged: copy or convert it again.")
    return weights, parsed
