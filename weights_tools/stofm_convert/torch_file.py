# SPDX-License-Identifier: MIT
"""A torch.save file (zip of data.pkl and one record per storage) as {name: Weight}."""

import numpy as np

from .errors import ConvertError, quoted
from .pickle_machine import PickleMachine, TensorRef
from .zip_reader import ZipReader

MAX_PICKLE = 16 << 20
MAX_TENSORS = 65_536
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"     # magic number of torch < 1.6, pickled
NUMPY = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
         "U8": "u1", "BOOL": "u1"}
RESAVE = "Re-save with torch >= 1.6: torch.save(torch.load(FILE, weights_only=True), NEW)."


class Weight:
    """One tensor: dtype (safetensors name), shape, and `array()` that reads it (BF16 as raw uint16)."""
    __slots__ = ("dtype", "shape", "array")

    def __init__(self, dtype, shape, array):
        self.dtype, self.shape, self.array = dtype, tuple(shape), array


def read_torch(source):
    """{name: Weight} of a state dict, names in file order. Every record is verified before this returns."""
    head = source.read(0, min(source.size, 512))
    refuse_other_formats(source, head)
    archive = ZipReader(source)
    root = only_root(archive)
    for name in archive.entries:
        inner = name[len(root) + 1:]
        if inner == "constants.pkl" or inner.startswith("code/"):
            raise ConvertError(3632, source.path, "zip entry " + quoted(name), "a TorchScript archive", "a state dict",
                               "Re-save with torch.save(module.state_dict(), NEW).")
    pickle = archive.entries.get(root + "/data.pkl")
    if pickle is None:
        raise ConvertError(3632, source.path, "zip archive", "no entry data.pkl", "a torch.save file",
                           "Give the .pth or .bin file that torch.save wrote.")
    if pickle.size > MAX_PICKLE:
        raise ConvertError(3626, source.path, "data.pkl", "%d bytes" % pickle.size, "at most %d" % MAX_PICKLE,
                           "Save only model.state_dict().")
    for entry in archive.entries.values():
        archive.verify(entry)
    order = archive.entries.get(root + "/byteorder")
    if order is not None and (order.size > 16 or archive.read(order) != b"little"):
        raise ConvertError(3633, source.path, "byteorder", quoted(archive.read(order)[:20] if order.size < 99 else b"..."),
                           "little", "Save the checkpoint again on a little-endian machine.")
    machine = PickleMachine(archive.read(pickle), source.path, "data.pkl")
    value = machine.load()
    refs = state_dict(source, value)
    budget = 4 * source.size + (16 << 20)
    for storage in machine.storages.values():
        record = archive.entries.get("%s/data/%s" % (root, storage.key))
        if record is None or record.size != storage.numel * storage.item_size:
            raise ConvertError(3630, source.path, "storage record data/" + storage.key,
                               "no record" if record is None else "%d bytes" % record.size,
                               "%d (%d of %s)" % (storage.numel * storage.item_size, storage.numel, storage.dtype),
                               "Truncated or damaged? Download or save the file again.")
    weights = {}
    for name, ref in refs.items():
        budget -= ref.numel * ref.storage.item_size
        if budget < 0:
            raise ConvertError(3630, source.path, "tensor " + quoted(name), "shared storages that expand beyond 4 x the file",
                               "less", "Save the tensors once each.")
        weights[name] = Weight(ref.storage.dtype, ref.shape, reader(archive, root, ref))
    return weights


def refuse_other_formats(source, head):
    fail = lambda found, remedy: ConvertError(3632, source.path, "start of the file", found, "a zip file of torch.save", remedy)
    if source.size == 0:
        raise fail("an empty file", "Download the file again.")
    if head.startswith(LEGACY):
        raise fail("the legacy format of torch < 1.6", RESAVE)
    if head[257:262] == b"ustar":
        raise fail("the legacy tar format of torch < 0.1.10", RESAVE)
    if head[:1] == b"\x80":
        raise fail("a bare pickle", RESAVE + " Gene tables: see --genes-pickle.")
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        raise fail("an HDF5 file", "Give the checkpoint, not the slice.")
    if head[8:9] == b"{":
        raise fail("what looks like a safetensors file", "Name it model.safetensors.")
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html")):
        raise fail("an HTML page", "The download failed: fetch the file itself, not its page.")
    if text.startswith(b"version https://git-lfs"):
        raise fail("a Git LFS pointer", "Run git lfs pull, or download the file itself.")
    if head[:4] != b"PK\3\4":
        raise fail(quoted(head[:8]), "Give the .pth or .bin file that torch.save wrote.")


def only_root(archive):
    roots = {name.split("/")[0] for name in archive.entries}
    plain = [name for name in archive.entries if "/" not in name]
    if len(roots) != 1 or plain:
        raise archive.fail(3632, "zip archive", "%d top folders" % len(roots), "one, as torch.save writes",
                           "Give the .pth or .bin file that torch.save wrote.")
    return roots.pop()


def state_dict(source, value):
    """The top value if it is a dict of tensors, else an error that says what it looks like."""
    fail = lambda where, found, remedy: ConvertError(3634, source.path, where, found, "a state dict: names and tensors", remedy)
    if not isinstance(value, dict):
        raise fail("data.pkl", "a %s" % type(value).__name__, "Save model.state_dict().")
    if "param_groups" in value or any(isinstance(k, int) for k in value):
        raise fail("data.pkl", "an optimizer's state", "Save the model's state_dict(), not the optimizer's.")
    for name, ref in value.items():
        if isinstance(ref, dict):
            raise fail("key " + quoted(name), "a nested dict (keys: %s)" % ", ".join(quoted(str(k)) for k in list(value)[:5]),
                       "Save only the model's part, as model.state_dict().")
        if not isinstance(ref, TensorRef):
            raise fail("key " + quoted(name), "a %s" % type(ref).__name__, "Save model.state_dict() alone.")
        if not name or len(name.encode()) > 512 or not name.isprintable():
            raise fail("key " + quoted(name), "a name that is empty, long or not printable", "Rename the parameter.")
    if not value:
        raise fail("data.pkl", "no weights", "Save model.state_dict().")
    if len(value) > MAX_TENSORS:
        raise fail("data.pkl", "%d tensors" % len(value), "Save one model.")
    return value


def reader(archive, root, ref):
    def array():
        record = archive.entries["%s/data/%s" % (root, ref.storage.key)]
        kind = np.dtype(NUMPY[ref.storage.dtype])
        if ref.numel == 0:
            return np.zeros(ref.shape, kind)
        item = kind.itemsize
        # Only the span that the strides reach, then dense.
        reach = 1 + sum((n - 1) * s for n, s in zip(ref.shape, ref.strides))
        raw = archive.source.read(record.begin + ref.offset * item, reach * item)
        flat = np.frombuffer(raw, kind)
        view = np.lib.stride_tricks.as_strided(flat, ref.shape, [s * item if n > 1 else 0 for n, s in zip(ref.shape, ref.strides)],
                                               writeable=False)
        return np.ascontiguousarray(view).reshape(ref.shape)
    return array
