# SPDX-License-Identifier: MIT
"""Rows P16 to P23 and P28: hostile archives and files of other kinds."""

import pathlib
import struct
import sys
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from hostile import ONE, HostileCase  # noqa: E402  (sets the paths for the next)
from builders import PROTO, Entry, state, storage, tensor, torch_file, zip_bytes  # noqa: E402
from stofm_convert.errors import ConvertError  # noqa: E402
from stofm_convert.source import BytesSource  # noqa: E402
from stofm_convert.torch_file import read_torch  # noqa: E402


class Archives(HostileCase):
    def test_P16_a_wrong_crc_in_any_record(self):
        good = bytearray(torch_file({"w": ONE}))
        for marker in (b"OrderedDict", b"little", ONE.tobytes(), b"3\n"):
            bad = bytearray(good)
            bad[bytes(good).index(marker)] ^= 1
            self.refuse(bytes(bad), 3617, "CRC-32")

    def test_P17_the_same_name_twice(self):
        pickle = state({"w": tensor(storage(6), (2, 3), (3, 1))})
        entries = [Entry("a/data.pkl", pickle), Entry("a/data/0", ONE.tobytes()), Entry("a/data/0", ONE.tobytes())]
        self.refuse(zip_bytes(entries), 3613, "twice", "data/0")

    def entry(self, **fields):
        return zip_bytes([Entry("a/data.pkl", state({"w": tensor(storage(6), (2, 3), (3, 1))})),
                          Entry("a/data/0", ONE.tobytes(), **fields)])

    def test_P18_compressed_and_encrypted_entries(self):
        small = zlib.compress(bytes(10_000_000))[2:-4]
        self.refuse(self.entry(method=8), 3614, "deflated", "stored entries only")
        bomb = Entry("a/data/0", small, method=8, usize=10_000_000)
        self.refuse(zip_bytes([bomb]), 3614, "deflated")
        self.refuse(self.entry(method=99), 3614, "99")
        self.refuse(self.entry(method=12), 3614, "method 12")
        for bit in (0, 6, 13):
            self.refuse(self.entry(flags=0x808 | 1 << bit), 3614, "encrypted")
        self.refuse(self.entry(flags=0x828), 3614, "flags")
        self.refuse(self.entry(usize=25), 3614, "24 stored bytes for 25")

    def test_P19_local_header_and_directory_disagree(self):
        self.refuse(self.entry(local_name=b"a/data/1"), 3616, "another name")
        self.refuse(self.entry(local_name=b"a/data/00"), 3616, "another name")
        self.refuse(self.entry(local_size=23), 3616, "size 23")
        self.refuse(self.entry(local_crc=1), 3616, "CRC 1")
        self.refuse(self.entry(local_flags=0), 3616, "flags 0x0000")
        self.refuse(self.entry(local_method=8), 3616, "method 8")
        self.refuse(self.entry(descriptor=b"PK\7\x08" + bytes(12)), 3616, "after its data")
        self.refuse(self.entry(descriptor=b""), 3616, "after its data")
        self.refuse(self.entry(offset=3), 3615, "overlaps")
        self.refuse(self.entry(crc=5), 3616, "after its data")

    def test_P20_overlaps_gaps_and_second_directories(self):
        entry = lambda **o: zip_bytes([Entry("a/data.pkl", state({"w": tensor(storage(6), (2, 3), (3, 1))})),
                                       Entry("a/data/0", ONE.tobytes())], **o)
        self.assertEqual(len(self.accept(entry(zip64=True))), 1)
        self.refuse(self.entry(offset=0), 3615, "overlaps")
        self.refuse(self.entry(offset=1 << 31), 3615, "gap")
        self.refuse(self.entry(gap=b"hidden"), 3615, "6 bytes before")
        self.refuse(entry(before_directory=b"hidden"), 3615, "belong to no entry")
        self.refuse(entry(directory_size=5), 3611, "directory of 5 bytes")
        self.refuse(entry(directory_offset=0), 3611, "directory of")
        self.refuse(entry(count=1), 3612, "after the last entry")
        self.refuse(entry(count=3), 3611, "3 entries")
        self.refuse(entry(count=65_535), 3611, "entries")
        inner = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0)
        self.refuse(entry(comment=inner), 3611)                   # the last end record counts, and it lies
        self.refuse(entry(comment=b"hello"), 3610, "comment")
        self.refuse(entry(end=struct.pack("<4sHHHHIIH", b"PK\5\6", 1, 1, 2, 2, 99, 0, 0)), 3611, "split")
        self.refuse(entry(zip64=True, locator_disks=2), 3611, "split")
        self.refuse(entry(zip64=True, locator_offset=3), 3611, "zip64 locator: found end record at 3")
        good = entry()
        self.refuse(good[:-2] + b"\5\0", 3610, "a comment of 5 bytes")
        self.refuse(b"PK\3\4" + bytes(10), 3610, "a file of 14 bytes")
        second = good.index(b"PK\3\4", 4)
        self.refuse(good[:second] + b"PK\3\5" + good[second + 4:], 3615, "a local header")
        many = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 70_000, 70_000, 46 * 70_000, 0)
        self.refuse(zip_bytes([], prefix=b"PK\3\4" + bytes(46 * 70_000 - 4), zip64=True, end64=many), 3611, "at most 65536")
        first = good.index(b"PK\1\2")
        nothing = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2, 2, len(good) - 22 - first, 4, 0)
        self.refuse(b"PK\3\4" + good[first:-22] + nothing, 3615, "4 bytes from offset 0 to the directory")
        lie = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, 1 << 63, 1 << 63)
        self.refuse(entry(zip64=True, end64=lie), 3611, "9223372036854775808")
        wide = struct.pack("<HHQQ", 1, 16, 1 << 60, 1 << 60)
        self.refuse(self.entry(csize=0xFFFFFFFF, usize=0xFFFFFFFF, extra=wide), 3615, "1152921504606846976")
        self.refuse(self.entry(csize=0xFFFFFFFF, usize=0xFFFFFFFF), 3612, "zip64")
        self.refuse(self.entry(extra=b"\1\0\xff\xff"), 3612, "extra field")
        self.refuse(self.entry(comment=b"c"), 3612, "comment")
        self.refuse(self.entry(disk=1), 3612, "split")
        narrow = struct.pack("<HHQQ", 1, 16, 24, 24)
        self.assertEqual(len(self.accept(self.entry(csize=0xFFFFFFFF, usize=0xFFFFFFFF, extra=narrow, local_size=0xFFFFFFFF,
                                                    local_crc=zlib.crc32(ONE.tobytes()), local_extra=narrow,
                                                    descriptor=struct.pack("<4sIQQ", b"PK\7\x08", zlib.crc32(ONE.tobytes()), 24, 24)))), 1)

    def test_P20_directory_fields_one_by_one(self):
        pickle = state({"w": tensor(storage(6), (2, 3), (3, 1))})
        entry = lambda **o: zip_bytes([Entry("a/data.pkl", pickle), Entry("a/data/0", ONE.tobytes())], **o)
        good = entry()
        second = good.rindex(b"PK\1\2")
        end64 = lambda signature, size: struct.pack("<4sQHHIIQQQQ", signature, size, 45, 45, 0, 0, 2, 2, second, 0)
        self.refuse(entry(zip64=True, end64=end64(b"PK\6\5", 44)), 3611, "its signature")
        self.refuse(entry(zip64=True, end64=end64(b"PK\6\6", 45)), 3611, "size 45")
        short = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        self.refuse(entry(zip64=True, end=short), 3611, "zip64 end record: entries", "1 as in the end record")
        self.refuse(good[:second] + b"PK\1\3" + good[second + 4:], 3612, "entry 1", "its signature")
        self.refuse(good[:second + 28] + b"\xff\xff" + good[second + 30:], 3612, "65535 bytes of name")
        self.refuse(zip_bytes([Entry("a/" + "x" * 60, b"")], count=2), 3612, "the end of the directory")
        field = struct.pack("<HHQQ", 1, 16, 24, 24)
        wide = {"csize": 0xFFFFFFFF, "usize": 0xFFFFFFFF}
        self.refuse(self.entry(extra=b"\1\0"), 3612, "2 stray bytes")
        self.refuse(self.entry(extra=field + field, **wide), 3612, "two zip64 fields")
        self.refuse(self.entry(extra=field[:2] + b"\x08\0" + field[4:12], **wide), 3612, "a zip64 field of 8 bytes")

    def test_P21_names_that_leave_the_archive(self):
        for name in ("../etc/x", "a/../../x", "/etc/passwd", "a//x", "C:/x", "a\\x", "a/./x", "", "a/\x1b[2J", b"a/\xff", "a" * 513):
            self.refuse(zip_bytes([Entry(name, b"")]), 3613)

    def test_P22_old_formats_and_torchscript(self):
        self.refuse(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", 3632, "legacy format of torch < 1.6", "Re-save")
        self.refuse(bytes(257) + b"ustar" + bytes(250), 3632, "tar", "Re-save")
        self.refuse(PROTO + b"}.", 3632, "bare pickle")
        pickle = state({"w": tensor(storage(6), (2, 3), (3, 1))})
        for name in ("a/constants.pkl", "a/code/__torch__.py"):
            self.refuse(zip_bytes([Entry("a/data.pkl", pickle), Entry(name, b"x")]), 3632, "TorchScript", "state_dict()")
        self.refuse(zip_bytes([Entry("a/data.pkl", pickle), Entry("b/data/0", b"x")]), 3632, "2 top folders")
        self.refuse(zip_bytes([Entry("a/other.pkl", pickle)]), 3632, "data.pkl")
        self.refuse(b"<!DOCTYPE html><html>", 3632, "HTML")
        self.refuse(b"version https://git-lfs.github.com/spec/v1\n", 3632, "LFS")
        self.refuse(b"", 3632, "empty")
        self.refuse(bytes(8) + b'{"w":', 3632, "safetensors")
        self.refuse(b"MZ\x90\0 not a zip" * 9, 3632, "MZ")
        self.refuse(b"\x89HDF\r\n\x1a\n", 3632, "HDF5")

    def test_P23_byte_order(self):
        pickle = state({"w": tensor(storage(6), (2, 3), (3, 1))})
        for order in (b"big", b"", b"little\n", b"x" * 1000):
            self.refuse(zip_bytes([Entry("a/data.pkl", pickle), Entry("a/byteorder", order), Entry("a/data/0", ONE.tobytes())]),
                        3633, "little")
        self.assertEqual(len(self.accept(zip_bytes([Entry("a/data.pkl", pickle), Entry("a/data/0", ONE.tobytes())]))), 1)

    def test_P28_cut_and_padded_files(self):
        good = torch_file({"w": ONE})
        for data in (good[:len(good) // 2], good[:-1], good[:21], good + b"\0", good + b"x" * 70_000, b"#!/bin/sh\n" + good):
            with self.assertRaises(ConvertError):
                read_torch(BytesSource(data))
        self.refuse(good[:-1], 3610, "Truncated?")
        self.refuse(good + b"\0", 3610, "bytes after it")
        self.refuse(zip_bytes([Entry("a/data.pkl", b"")], prefix=b"PK\3\4junk"), 3615, "gap")
        for cut in range(0, len(good)):
            with self.assertRaises(ConvertError):
                read_torch(BytesSource(good[:cut]))


if __name__ == "__main__":
    unittest.main()
