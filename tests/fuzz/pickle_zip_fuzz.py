#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fuzzes the converter's .pth path: zip reader, pickle machine, and both together (targets F2, F3, F4).

Structure-aware: a file is built from entries and opcodes, some fields or opcodes are mutated, and the rest (CRC-32,
sizes, offsets) is made right again, so that the mutation reaches the code behind the first check. Some inputs are then
damaged bytewise as well. Rules: nothing but ConvertError comes out; its text is one printable line; an input takes less
than one second and bounded memory; an accepted file gives the same tensors, bit for bit, after safetensors and back,
and after another torch_file and back.

    pickle_zip_fuzz.py --seconds 40 [--seed 1] [--corpus DIR]

Last line: executions, executions a second, findings. Exit code 1 on a finding; the input is kept in the directory
given by --keep.
"""

import argparse
import hashlib
import pathlib
import random
import resource
import signal
import struct
import sys
import time
import traceback

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "weights_tools"), str(HERE.parents[1] / "weights_tools")]
sys.dont_write_bytecode = True

from builders import (MARK, NO_HOOKS, PROTO, STOP, Entry, dense, glob, integer, storage, tensor, text, tup,  # noqa: E402
                      zip_bytes)
from stofm_convert import pickle_machine  # noqa: E402
from stofm_convert.errors import ConvertError  # noqa: E402
from stofm_convert.pickle_machine import GLOBALS, PickleMachine  # noqa: E402
from stofm_convert.safetensors_file import header_bytes, read_safetensors  # noqa: E402
from stofm_convert.source import BytesSource  # noqa: E402
from stofm_convert.torch_file import read_torch  # noqa: E402

MAX_SECONDS = 1.0
MEMORY = 1 << 30
NUMBERS = [0, 1, 2, 3, 5, 7, 8, 21, 22, 24, 30, 46, 56, 255, 256, 65_535, 65_536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
           1 << 32, 1 << 40, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, -1, -2, -(1 << 31)]
SIMPLE = [bytes([b]) for b in b"(.0128GNQRabdelost)u}]\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94"]
OTHER_GLOBALS = [("os", "system"), ("builtins", "eval"), ("torch", "QInt8Storage"), ("torch._utils", "_rebuild_qtensor"),
                 ("torch", "UntypedStorage"), ("__main__", "Model"), ("", ""), ("collections", "OrderedDict.x")]


class TooSlow(BaseException):
    pass


def on_alarm(*_):
    raise TooSlow()


class Fuzzer:
    def __init__(self, seed):
        self.random = random.Random(seed)

    # Building blocks.
    def number(self):
        r = self.random
        return r.choice(NUMBERS) + (r.randint(-2, 2) if r.random() < 0.3 else 0)

    def opcode(self):
        """One opcode, right in itself, in a random place."""
        r, kind = self.random, self.random.randrange(12)
        if kind < 4:
            return r.choice(SIMPLE)
        if kind == 4:
            return integer(max(-(1 << 63), min(self.number(), (1 << 63) - 1)))
        if kind == 5:
            return r.choice([b"q", b"h"]) + bytes([r.randrange(256)])
        if kind == 6:
            return r.choice([b"r", b"j"]) + struct.pack("<I", self.number() & 0xFFFFFFFF)
        if kind == 7:
            return text(r.choice(["storage", "0", "cpu", "w", "meta", "_metadata", "\u00e9", "x" * 300]))
        if kind == 8:
            return b"X" + struct.pack("<I", self.number() & 0xFFFFFFFF) + b"ab"
        if kind == 9:
            return glob(*r.choice(sorted(GLOBALS)).rsplit(".", 1))
        if kind == 10:
            return glob(*r.choice(OTHER_GLOBALS))
        return r.choice([b"\x8a\1\5", b"\x8a\x09" + b"\xff" * 9, b"G" + struct.pack(">d", 1.5), b"\x8c\1a", b"\x80\2",
                         b"\x95" + bytes(8), b"\x82\1", b"I1\n", b"S'a'\n", bytes([r.randrange(256)])])

    def tensors(self):
        """Opcodes of a few tensors and their records."""
        r, items, records = self.random, {}, {}
        for index in range(r.randint(1, 4)):
            shape = [r.randint(0, 4) for _ in range(r.randint(0, 3))]
            count = int(np.prod(shape, dtype=int))
            cls = r.choice(sorted(pickle_machine.STORAGES))
            size = pickle_machine.STORAGES[cls][1]
            strides = dense(shape)
            if len(shape) > 1 and r.random() < 0.3:
                shape, strides = shape[::-1], strides[::-1]
            numel, offset = count, 0
            if r.random() < 0.2:
                offset = r.randint(0, 3)
                numel += offset
            key = str(index)
            if r.random() < 0.15:
                which = r.randrange(5)
                if which == 0:
                    numel = self.number()
                elif which == 1 and shape:
                    shape[r.randrange(len(shape))] = self.number()
                elif which == 2 and strides:
                    strides[r.randrange(len(strides))] = self.number()
                elif which == 3:
                    offset = self.number()
                else:
                    key = r.choice(["x", "-1", "00", "9" * 30, "0"])
            clamp = lambda n: max(-(1 << 63), min(n, (1 << 63) - 1))
            items["t%d.weight" % index] = tensor(storage(clamp(numel), key, cls, r.choice(["cpu"] * 9 + ["cuda:0", "meta"])),
                                                 [clamp(n) for n in shape], [clamp(n) for n in strides], clamp(offset))
            raw = max(0, min(count + 3, 200)) * size
            records[str(index)] = bytes(r.randrange(256) for _ in range(raw))[:max(0, min(numel, 200)) * size]
        return items, records

    def pickle(self, items):
        parts = [PROTO, NO_HOOKS, MARK]
        for name, opcodes in items.items():
            parts += [text(name), opcodes]
        parts += [b"u"]
        if self.random.random() < 0.3:
            parts.append(b"}" + text("_metadata") + NO_HOOKS + b"sb")
        return parts + [STOP]

    def split(self, parts):
        """Opcodes one by one, where pickletools-free splitting is easy: by the machine's own reading."""
        data, cuts = b"".join(parts), []

        class Recorder(PickleMachine):
            def __setattr__(self, name, value):
                if name == "start":
                    cuts.append(value)
                object.__setattr__(self, name, value)

        try:
            Recorder(data, "", "").load()
        except ConvertError:
            pass
        cuts = sorted(set(cuts) | {0, len(data)})
        return [data[a:b] for a, b in zip(cuts, cuts[1:])]

    def mutate_opcodes(self, opcodes):
        r = self.random
        for _ in range(r.choice([1, 1, 1, 2, 4])):
            at = r.randrange(len(opcodes))
            kind = r.randrange(7)
            if kind == 0:
                opcodes.insert(at, self.opcode())
            elif kind == 1:
                opcodes[at] = self.opcode()
            elif kind == 2:
                del opcodes[at]
            elif kind == 3:
                opcodes.insert(at, opcodes[r.randrange(len(opcodes))])
            elif kind == 4:
                other = r.randrange(len(opcodes))
                opcodes[at], opcodes[other] = opcodes[other], opcodes[at]
            elif kind == 5:
                end = min(len(opcodes), at + r.randint(1, 30))
                opcodes[at:at] = opcodes[at:end] * r.choice([1, 1, 2, 100])
            else:
                op = bytearray(opcodes[at])
                op[r.randrange(len(op))] = r.randrange(256)
                opcodes[at] = bytes(op)
            if not opcodes:
                opcodes.append(STOP)
        return opcodes

    def archive(self, pickle, records):
        r = self.random
        root = r.choice(["archive"] * 8 + ["a/b", "..", ""])
        entries = [Entry(root + "/data.pkl", pickle)]
        if r.random() < 0.7:
            entries.append(Entry(root + "/byteorder", r.choice([b"little"] * 9 + [b"big", b""])))
        entries += [Entry("%s/data/%s" % (root, key), raw) for key, raw in records.items()]
        options = {"zip64": True} if r.random() < 0.2 else {}
        if r.random() < 0.4:
            self.mutate_zip(entries, options)
        return zip_bytes(entries, **options)

    def mutate_zip(self, entries, options):
        r = self.random
        for _ in range(r.choice([1, 1, 2])):
            e, kind = r.choice(entries), r.randrange(14)
            n32, n16 = self.number() & 0xFFFFFFFF, self.number() & 0xFFFF
            extra = struct.pack("<HH", r.choice([1, 1, 0x4246, n16]), r.choice([0, 8, 16, 24, n16])) + \
                b"".join(struct.pack("<Q", self.number() & (1 << 64) - 1) for _ in range(r.randint(0, 3)))
            if kind == 0:
                e.flags = n16
            elif kind == 1:
                e.method = n16
            elif kind == 2:
                e.crc = n32
            elif kind == 3:
                e.csize = e.usize = n32
            elif kind == 4:
                setattr(e, r.choice(["csize", "usize", "local_size", "local_crc"]), n32)
            elif kind == 5:
                e.offset = n32
            elif kind == 6:
                setattr(e, r.choice(["extra", "local_extra"]), extra)
            elif kind == 7:
                e.gap = bytes(r.randint(0, 40))
            elif kind == 8:
                e.descriptor = r.choice([b"", e.descriptor[4:], struct.pack("<4sIQQ", b"PK\7\x08", e.crc, e.csize, e.usize)])
            elif kind == 9:
                e.local_name = r.choice([b"", b"x", e.name + b"x", e.name[::-1]])
            elif kind == 10:
                setattr(e, r.choice(["comment", "name"]), r.choice([b"PK\5\6" + bytes(18), b"x", b"../x", b"/x", b"\xff"]))
            elif kind == 11:
                entries.insert(r.randrange(len(entries)), r.choice(entries))
            elif kind == 12:
                options[r.choice(["directory_size", "directory_offset", "locator_offset", "count"])] = n32 if r.random() < 0.5 else n16
                if "count" in options:
                    options["count"] &= 0xFFFF
            else:
                options[r.choice(["prefix", "suffix", "comment", "before_directory"])] = r.choice([b"x", b"PK\5\6" + bytes(18)])

    def damage(self, data):
        r, data = self.random, bytearray(data)
        for _ in range(r.choice([1, 1, 2, 8])):
            if not data:
                break
            at = r.randrange(len(data))
            kind = r.randrange(5)
            if kind == 0:
                data[at] ^= 1 << r.randrange(8)
            elif kind == 1:
                data[at] = r.choice([0, 1, 0x7F, 0x80, 0xFF])
            elif kind == 2:
                del data[at:at + r.randint(1, 16)]
            elif kind == 3:
                data[at:at] = bytes(r.randrange(256) for _ in range(r.randint(1, 16)))
            else:
                del data[at:]
        return bytes(data)

    def one(self, seeds):
        """(target, input)."""
        r = self.random
        if seeds and r.random() < 0.15:
            data = self.damage(r.choice(seeds))
            return "pth", data
        items, records = self.tensors()
        parts = self.pickle(items)
        if r.random() < 0.7:
            parts = self.mutate_opcodes(self.split(parts))
        pickle = b"".join(parts)
        if r.random() < 0.35:
            return r.choice(["pickle", "plain"]), pickle
        data = self.archive(pickle, records)
        return "pth", self.damage(data) if r.random() < 0.15 else data


def execute(target, data):
    """True if the input was accepted. \\raises anything but ConvertError: a finding."""
    try:
        if target != "pth":
            PickleMachine(data, "fuzz", "data.pkl", plain=target == "plain").load()
            return True
        weights = read_torch(BytesSource(data, "fuzz.pth"))
        arrays = {name: w.array() for name, w in weights.items()}
    except ConvertError as e:
        line = str(e)
        if not line.isprintable() or len(line) > 4000 or not e.remedy or not e.code.startswith("STOFM-36"):
            raise AssertionError("message: %r" % line) from None
        return False
    round_trip(weights, arrays)
    return True


def round_trip(weights, arrays):
    entries = [(n, weights[n].dtype, arrays[n].shape, arrays[n].tobytes()) for n in arrays]
    again, _ = read_safetensors(BytesSource(header_bytes(entries, {}) + b"".join(raw for _, _, _, raw in entries)))
    classes = {dtype: name for name, (dtype, _) in pickle_machine.STORAGES.items()}
    items = {n: tensor(storage(a.size, str(i), classes[weights[n].dtype]), a.shape, dense(a.shape))
             for i, (n, a) in enumerate(arrays.items())}
    pickle = PROTO + NO_HOOKS + MARK + b"".join(text(k) + v for k, v in items.items()) + b"u."
    records = [Entry("r/data/%d" % i, a.tobytes()) for i, a in enumerate(arrays.values())]
    third = read_torch(BytesSource(zip_bytes([Entry("r/data.pkl", pickle)] + records)))
    for name, array in arrays.items():
        for other in (again[name], third[name]):
            if other.dtype != weights[name].dtype or other.shape != array.shape or \
                    other.array().tobytes() != array.tobytes():
                raise AssertionError("round trip of %r" % name)


def guarded(target, data):
    """(accepted, finding or None, seconds)."""
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 4 * MAX_SECONDS)
    try:
        accepted, finding = execute(target, data), None
    except KeyboardInterrupt:
        raise
    except (Exception, TooSlow) as e:  # everything but ConvertError is a finding
        accepted, finding = False, "%s: %s\n%s" % (type(e).__name__, e, traceback.format_exc(limit=-4))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.monotonic() - start
    if finding is None and seconds > MAX_SECONDS:
        finding = "took %.2f s" % seconds
    return accepted, finding, seconds


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--corpus", type=pathlib.Path, default=HERE / "corpus" / "pickle_zip")
    p.add_argument("--keep", type=pathlib.Path, help="directory for inputs that are findings")
    a = p.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    seeds = [path.read_bytes() for path in sorted(a.corpus.glob("*"))] if a.corpus.is_dir() else []
    fuzzer, count, accepted, findings, slowest = Fuzzer(a.seed), 0, 0, {}, 0.0
    start = time.monotonic()

    def run(target, data):
        nonlocal count, accepted, slowest
        good, finding, seconds = guarded(target, data)
        count, accepted, slowest = count + 1, accepted + good, max(slowest, seconds)
        place = [line for line in (finding or "").splitlines() if line.startswith("  File ")][-1:]
        kind = ((finding or "").split(":")[0], *place)      # one report for each exception and line of code
        if finding is not None and kind not in findings:
            findings[kind] = data
            digest = hashlib.sha256(data).hexdigest()[:12]
            print("finding %s (%s, %d bytes): %s" % (digest, target, len(data), finding), flush=True)
            if a.keep:
                a.keep.mkdir(parents=True, exist_ok=True)
                (a.keep / ("%s-%s" % (target, digest))).write_bytes(data)

    for data in seeds:
        for target in ("pth", "pickle", "plain"):
            run(target, data)
    while time.monotonic() - start < a.seconds:
        run(*fuzzer.one(seeds))
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("seed %d, %d corpus files, %d accepted, slowest %.0f ms, peak %.0f MiB" % (
        a.seed, len(seeds), accepted, slowest * 1e3, peak))
    print("pickle_zip_fuzz: %d executions, %.0f exec/s, %d findings" % (count, count / seconds, len(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
