# SPDX-License-Identifier: MIT
"""Zip and pickle bytes written by hand, right or wrong on purpose. Nothing here pickles or unpickles anything."""

import struct
import zlib

STORAGE = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage", "<i8": "LongStorage", "<u2": "BFloat16Storage"}


class Entry:
    """One zip entry. Every field of both headers can be set to something else than the truth."""

    def __init__(self, name, data, **fields):
        self.name, self.data = name.encode() if isinstance(name, str) else name, data
        crc = zlib.crc32(data)
        self.flags, self.method, self.crc, self.csize, self.usize = 0x808, 0, crc, len(data), len(data)
        self.local_name, self.local_flags, self.local_method = self.name, None, None
        self.local_crc = self.local_size = None      # None: 0 with a descriptor, else the truth
        self.descriptor = struct.pack("<4sIII", b"PK\7\x08", crc, len(data), len(data))
        self.extra = self.local_extra = b""
        self.comment, self.disk, self.offset, self.gap = b"", 0, None, b""
        for key, value in fields.items():
            if not hasattr(self, key):
                raise KeyError(key)
            setattr(self, key, value)


def zip_bytes(entries, prefix=b"", suffix=b"", comment=b"", zip64=False, end=None, before_directory=b"", directory_size=None,
              directory_offset=None, count=None, locator_disks=1, end64=None, locator_offset=None):
    out, central = bytearray(prefix), bytearray()
    for e in entries:
        offset = len(out) if e.offset is None else e.offset
        flags = e.flags if e.local_flags is None else e.local_flags
        later = bool(flags & 8)
        crc = e.local_crc if e.local_crc is not None else 0 if later else e.crc
        size = e.local_size if e.local_size is not None else 0 if later else e.csize
        out += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, flags, e.method if e.local_method is None else e.local_method,
                           0, 0, crc, size, size, len(e.local_name), len(e.local_extra))
        out += e.local_name + e.local_extra + e.data + (e.descriptor if later else b"") + e.gap
        central += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, e.flags, e.method, 0, 0, e.crc, e.csize, e.usize,
                               len(e.name), len(e.extra), len(e.comment), e.disk, 0, 0, offset & 0xFFFFFFFF)
        central += e.name + e.extra + e.comment
    out += before_directory
    first, n = len(out) if directory_offset is None else directory_offset, len(entries) if count is None else count
    size = len(central) if directory_size is None else directory_size
    out += central
    if zip64:
        at = len(out)
        out += end64 or struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, n, n, size, first)
        out += struct.pack("<4sIQI", b"PK\6\7", 0, at if locator_offset is None else locator_offset, locator_disks)
        n, size, first = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    out += end or struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, n, n, size, first, len(comment)) + comment
    return bytes(out + suffix)


# Opcodes of a protocol 2 pickle.
PROTO, STOP, MARK = b"\x80\x02", b".", b"("


def text(s):
    raw = s if isinstance(s, bytes) else s.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(n):
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if -2**31 <= n < 2**31:
        return b"J" + struct.pack("<i", n)
    raw = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def glob(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def tup(*items):
    return MARK + b"".join(items) + b"t"


def storage(numel, key="0", cls="FloatStorage", place="cpu", module="torch"):
    return tup(text("storage"), glob(module, cls), text(key), text(place), integer(numel)) + b"Q"


NO_HOOKS = glob("collections", "OrderedDict") + b")R"


def tensor(store, size, stride, offset=0, extra=b"", hooks=NO_HOOKS, function="_rebuild_tensor_v2", grad=b"\x89"):
    args = tup(store, integer(offset), tup(*map(integer, size)), tup(*map(integer, stride)), grad, hooks, extra)
    return glob("torch._utils", function) + args + b"R"


def state(items, end=STOP):
    """A pickled OrderedDict of {name: opcodes}."""
    return PROTO + NO_HOOKS + MARK + b"".join(text(k) + v for k, v in items.items()) + b"u" + end


def archive(pickle, records=None, root="archive", **options):
    """A torch.save file around a pickle; `records`: {key: bytes}."""
    entries = [Entry(root + "/data.pkl", pickle), Entry(root + "/byteorder", b"little")]
    entries += [Entry("%s/data/%s" % (root, key), data) for key, data in (records or {}).items()]
    return zip_bytes(entries + [Entry(root + "/version", b"3\n")], **options)


def dense(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= max(size, 1)
    return strides


def torch_file(arrays, prefix="", dtype="<f4", **options):
    """A torch.save file of {name: array}."""
    items, records = {}, {}
    for i, (name, array) in enumerate(arrays.items()):
        raw = array.astype(dtype).tobytes()
        items[prefix + name] = tensor(storage(array.size, str(i), STORAGE[dtype]), array.shape, dense(array.shape))
        records[str(i)] = raw
    return archive(state(items), records, **options)
