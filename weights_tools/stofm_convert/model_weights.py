# SPDX-License-Identifier: MIT
"""From the weights of a file to the float32 arrays of a model: names, shapes, types and values checked."""

import re

import numpy as np

from .errors import DATA, ConvertError, quoted

PREFIXES = ("bert.", "model.", "module.")
# Parts of a Hugging Face checkpoint that the cell encoder never uses.
UNUSED = re.compile(r"(pooler\.|cls\.|lm_head\.|embeddings\.position_ids$|embeddings\.token_type_ids$)")


def strip_prefixes(name, known):
    """The name without leading `bert.`, `model.`, `module.`, as few of them as make it known."""
    short = name
    while short not in known and short.startswith(PREFIXES):
        short = short.split(".", 1)[1]
    return short


def map_names(weights, known, file, notices, listing):
    """{model name: name in the file}. \\throws ConvertError if two names of the file reach one of the model"""
    mapping, stripped = {}, {}
    for name in weights:
        short = strip_prefixes(name, known)
        if short in mapping:
            raise ConvertError(3661, file, "tensor " + quoted(short),
                               "two names: %s and %s" % (quoted(mapping[short]), quoted(name)),
                               "one after removing the prefixes bert., model., module.",
                               "Remove one of the two copies from the checkpoint.")
        mapping[short] = name
        if short != name:
            stripped.setdefault(name[:-len(short)], []).append((name, short))
    for prefix, pairs in stripped.items():
        listing.append("  prefix %s removed from %d names, e.g. %s -> %s" % (
            quoted(prefix), len(pairs), quoted(pairs[0][0]), quoted(pairs[0][1])))
    return mapping


def select(weights, required, optional, file, config_file, notices, listing, unused=None):
    """{model name: Weight} of exactly the model's tensors; the rest is listed. Heads (`optional`) come whole or not."""
    known = dict(required)
    for group in optional:
        known.update(group)
    mapping = map_names(weights, known, file, notices, listing)
    missing = [name for name in required if name not in mapping]
    for group in optional:
        present = [name for name in group if name in mapping]
        if present:
            missing += [name for name in group if name not in mapping]
    if missing:
        more = ", and %d more" % (len(missing) - 10) if len(missing) > 10 else ""
        have = ", ".join(quoted(n, 60) for n in list(weights)[:3])
        raise ConvertError(3662, file, "names", "%d tensors missing: %s%s" % (len(missing), ", ".join(missing[:10]), more),
                           "all %d of %s" % (len(required), config_file),
                           "Give the weights that belong to this config.json; this file begins with %s." % have)
    extra = [name for name in mapping if name not in known]
    silent = [name for name in extra if unused is not None and unused.match(name)]
    other = [name for name in extra if name not in silent]
    if silent:
        listing.append("  left out, never used: %s%s" % (", ".join(silent[:4]), " ..." if len(silent) > 4 else ""))
    if other:
        notices.add(3662, "%s: %d tensors are not of the model and were left out: %s%s" % (
            file, len(other), ", ".join(quoted(n) for n in other[:10]), " ..." if len(other) > 10 else ""))
    result = {}
    for name, dims in known.items():
        if name not in mapping:
            continue
        weight = weights[mapping[name]]
        expected = tuple(size for size, _ in dims)
        if weight.shape != expected:
            wrong = [key for (size, key), found in zip(dims, weight.shape) if size != found] or [key for _, key in dims]
            raise ConvertError(3663, file, "tensor " + quoted(mapping[name]), "shape %s" % list(weight.shape),
                               "%s (%s in %s)" % (list(expected), ", ".join(dict.fromkeys(wrong)), config_file),
                               "Give the config.json that belongs to these weights.")
        if weight.dtype not in ("F32", "F64", "F16", "BF16"):
            raise ConvertError(3664, file, "tensor " + quoted(mapping[name]), "dtype " + weight.dtype,
                               "F32, F64, F16 or BF16", "Save the model in float32.")
        result[name] = weight
    return result


def as_float32(weight):
    """Dense little-endian float32, exactly converted where the type is narrower."""
    array = weight.array()
    if weight.dtype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, "<f4")


def materialise(selected, prefix, file, notices, allow_nonfinite):
    """{prefix + name: float32 array}; values checked (S30, S31, S32)."""
    tensors, converted, blank = {}, {}, []
    for name, weight in selected.items():
        array = as_float32(weight)
        if weight.dtype != "F32":
            converted[weight.dtype] = converted.get(weight.dtype, 0) + 1
        bad = ~np.isfinite(array)
        count = int(bad.sum())
        if count:
            where = [int(i) for i in np.argwhere(bad)[0]]
            text = "%d values that are NaN or infinite in float32, the first at %s" % (count, where)
            if not allow_nonfinite:
                raise ConvertError(3671, file, "tensor " + quoted(name), text, "finite weights",
                                   "Use --allow-nonfinite to convert it all the same.", DATA)
            notices.add(3671, "%s: tensor %s: %s" % (file, name, text))
        if array.ndim >= 2 and array.size > 1 and not (np.abs(array) >= np.finfo(np.float32).tiny).any() and not count:
            blank.append(name)
        tensors[prefix + name] = array
    for dtype, count in sorted(converted.items()):
        notices.add(3672, "%s: %d tensors converted from %s to F32" % (file, count, dtype))
    if blank:
        notices.add(3673, "%s: %d weight matrices are all zero or denormal: %s" % (file, len(blank), ", ".join(blank[:10])))
    return tensors
