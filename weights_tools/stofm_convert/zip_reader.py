# SPDX-License-Identifier: MIT
"""The zip container of torch.save: stored entries only, every structure compared with every other.

Accepted is what torch's own writer makes and nothing looser: local entries lie without gaps from byte 0 to the
central directory, the central directory ends at the end record, the end record ends the file. That leaves no room
for a second archive, a prefix, a suffix or overlapping entries. Source: APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.
"""

import struct
import zlib

from .errors import ConvertError, quoted
from .source import CHUNK

MAX_ENTRIES = 65_536
MAX_NAME = 512
LOCAL, CENTRAL, END, END64, LOCATOR64 = (b"PK" + s for s in (b"\3\4", b"\1\2", b"\5\6", b"\6\6", b"\6\7"))
DESCRIPTOR = b"PK\7\x08"
ALLOWED_FLAGS = 1 << 3 | 1 << 11     # sizes follow the data; names are UTF-8
DAMAGED = "Download or save the file again."


class Entry:
    __slots__ = ("name", "raw_name", "flags", "method", "crc", "size", "offset", "begin")


class ZipReader:
    """Names and byte ranges of the entries of `source`, verified; `read(name)` gives checked content."""

    def __init__(self, source):
        self.source = source
        self.entries = {}
        first, count, end = self._end_record()
        listed = self._central_directory(first, count, end)
        self._local_entries(listed, first)

    def fail(self, code, where, found, expected, remedy=DAMAGED):
        return ConvertError(code, self.source.path, where, found, expected, remedy)

    def _end_record(self):
        """(offset of the central directory, entries, its end)."""
        size, read = self.source.size, self.source.read
        if size < 22:
            raise self.fail(3610, "zip end record", "a file of %d bytes" % size, "at least 22", "Truncated? " + DAMAGED)
        at = size - 22
        record = read(at, 22)
        if record[:4] != END:
            tail = read(max(0, size - 65_557), min(size, 65_557))
            if 0 <= tail.find(END) < len(tail) - 22:
                raise self.fail(3610, "zip end record", "bytes after it, or a comment",
                                "the end record as the last 22 bytes", "Remove what follows the archive, or save it again.")
            raise self.fail(3610, "zip end record", "none in the last 22 bytes", "one: the file is cut or not a zip",
                            "Truncated? " + DAMAGED)
        disk, first_disk, here, count, length, first, comment = struct.unpack("<4xHHHHIIH", record)
        end = at
        if comment:
            raise self.fail(3610, "zip end record", "a comment of %d bytes" % comment, "no comment")
        if at >= 20 and read(at - 20, 4) == LOCATOR64:
            disk64, offset64, disks = struct.unpack("<4xIQI", read(at - 20, 20))
            if disk64 != 0 or disks > 1:
                raise self.fail(3611, "zip64 locator", "%d disks" % disks, "one: split archives are refused")
            if offset64 != at - 76 or at < 76:
                raise self.fail(3611, "zip64 locator", "end record at %d" % offset64, "at %d" % (at - 76))
            record = read(offset64, 56)
            if record[:4] != END64:
                raise self.fail(3611, "zip64 end record at %d" % offset64, quoted(record[:4]), "its signature")
            length64, d, f, h, c, l, o = struct.unpack("<4xQ4xIIQQQQ", record)
            if length64 != 44 or d or f:
                raise self.fail(3611, "zip64 end record", "size %d, disk %d" % (length64, d), "size 44, disk 0")
            for name, short, whole, full in (("entries", count, c, 0xFFFF), ("entries here", here, h, 0xFFFF),
                                             ("directory size", length, l, 0xFFFFFFFF),
                                             ("directory offset", first, o, 0xFFFFFFFF)):
                if short not in (full, whole):
                    raise self.fail(3611, "zip64 end record: " + name, str(whole), "%d as in the end record" % short)
            here, count, length, first, end = h, c, l, o, offset64
        if disk not in (0, 0xFFFF) or first_disk not in (0, 0xFFFF) or here != count:
            raise self.fail(3611, "zip end record", "disk %d, %d of %d entries here" % (disk, here, count),
                            "one disk: split archives are refused")
        if count > MAX_ENTRIES:
            raise self.fail(3611, "zip end record", "%d entries" % count, "at most %d" % MAX_ENTRIES)
        if first + length != end or length < 46 * count:
            raise self.fail(3611, "zip end record", "a directory of %d bytes at %d for %d entries" % (length, first, count),
                            "one that ends at byte %d" % end)
        return first, count, end

    def _zip64_values(self, extra, where, wanted):
        """`wanted`: names of the fields that are saturated, in their order. Other extra fields are skipped."""
        values, at = {}, 0
        while at < len(extra):
            if at + 4 > len(extra):
                raise self.fail(3612, where, "%d stray bytes in the extra field" % (len(extra) - at), "whole fields")
            tag, length = struct.unpack_from("<HH", extra, at)
            if at + 4 + length > len(extra):
                raise self.fail(3612, where, "an extra field of %d bytes" % length, "at most %d" % (len(extra) - at - 4))
            if tag == 1:
                if values:
                    raise self.fail(3612, where, "two zip64 fields", "one")
                if length < 8 * len(wanted):
                    raise self.fail(3612, where, "a zip64 field of %d bytes" % length, "%d" % (8 * len(wanted)))
                values = dict(zip(wanted, struct.unpack_from("<%dQ" % len(wanted), extra, at + 4)))
                values["present"] = True
            at += 4 + length
        if wanted and not values:
            raise self.fail(3612, where, "saturated sizes and no zip64 field", "one")
        return values

    def _central_directory(self, first, count, end):
        listed, at, read = [], first, self.source.read
        for index in range(count):
            where = "zip central directory, entry %d" % index
            if at + 46 > end:
                raise self.fail(3612, where, "the end of the directory", "%d entries" % count)
            head = read(at, 46)
            if head[:4] != CENTRAL:
                raise self.fail(3612, where, quoted(head[:4]), "its signature")
            (flags, method, crc, csize, usize, n, m, k, disk, offset) = struct.unpack("<8xHH4xIIIHHHH6xI", head)
            if at + 46 + n + m + k > end:
                raise self.fail(3612, where, "%d bytes of name, extra field and comment" % (n + m + k),
                                "at most %d" % (end - at - 46))
            entry = Entry()
            entry.raw_name = read(at + 46, n)
            entry.name = self._checked_name(entry.raw_name, where)
            where = "zip entry " + quoted(entry.raw_name)
            fields = {"usize": usize, "csize": csize, "offset": offset}
            wanted = [f for f in ("usize", "csize", "offset") if fields[f] == 0xFFFFFFFF]
            fields.update(self._zip64_values(read(at + 46 + n, m), where, wanted))
            self._check_kind(where, flags, method, fields["csize"], fields["usize"])
            if disk not in (0, 0xFFFF):
                raise self.fail(3612, where, "disk %d" % disk, "disk 0: split archives are refused")
            if k:
                raise self.fail(3612, where, "a comment of %d bytes" % k, "no comment")
            if entry.name in self.entries:
                raise self.fail(3613, where, "the same name twice", "unique names", "Save the file again.")
            entry.flags, entry.method, entry.crc = flags, method, crc
            entry.size, entry.offset = fields["usize"], fields["offset"]
            self.entries[entry.name] = entry
            listed.append(entry)
            at += 46 + n + m + k
        if at != end:
            raise self.fail(3612, "zip central directory", "%d bytes after the last entry" % (end - at), "none")
        return listed

    def _checked_name(self, raw, where):
        if not 0 < len(raw) <= MAX_NAME:
            raise self.fail(3613, where, "a name of %d bytes" % len(raw), "1 to %d" % MAX_NAME)
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fail(3613, where, "the name " + quoted(raw), "UTF-8") from None
        parts = name.split("/")
        if ".." in parts or "." in parts or "" in parts or "\\" in name or ":" in parts[0] or not name.isprintable():
            raise self.fail(3613, where, "the name " + quoted(raw), "a plain relative name",
                            "Archives with such names are refused; save the file again with torch.save.")
        return name

    def _check_kind(self, where, flags, method, csize, usize):
        stored = "stored entries only"
        remedy = "Load it with torch.load(..., weights_only=True) and torch.save it again."
        if flags & 1 or flags & 1 << 6 or flags & 1 << 13:
            raise self.fail(3614, where, "an encrypted entry", stored, remedy)
        if method != 0:
            kind = {8: "a deflated entry", 99: "an encrypted entry (method 99)"}.get(method, "method %d" % method)
            raise self.fail(3614, where, kind, stored, remedy)
        if flags & ~ALLOWED_FLAGS:
            raise self.fail(3614, where, "flags 0x%04x" % flags, "only 0x%04x" % ALLOWED_FLAGS, remedy)
        if csize != usize:
            raise self.fail(3614, where, "%d stored bytes for %d" % (csize, usize), "equal sizes (stored)", remedy)

    def _local_entries(self, listed, directory):
        """Local headers against the central directory; together they must tile [0, directory)."""
        at = 0
        for entry in sorted(listed, key=lambda e: e.offset):
            where = "zip entry " + quoted(entry.raw_name)
            if entry.offset != at:
                how = "overlaps the one before" if entry.offset < at else "leaves a gap"
                raise self.fail(3615, where, "offset %d (%s)" % (entry.offset, how), "offset %d" % at)
            at = self._local_entry(entry, where, directory)
        if at != directory:
            raise self.fail(3615, "zip directory", "%d bytes before it that belong to no entry" % (directory - at), "none")

    def _local_entry(self, entry, where, directory):
        read, at = self.source.read, entry.offset
        if at + 30 > directory:
            raise self.fail(3615, where, "%d bytes from offset %d to the directory" % (directory - at, at), "30 of a local header")
        head = read(at, 30)
        if head[:4] != LOCAL:
            raise self.fail(3615, where, quoted(head[:4]) + " at %d" % at, "a local header")
        flags, method, crc, csize, usize, n, m = struct.unpack("<6xHH4xIIIHH", head)
        if at + 30 + n + m > directory or read(at + 30, n) != entry.raw_name:
            raise self.fail(3616, where, "another name in the local header", "the name of the directory")
        wanted = [f for f, v in (("usize", usize), ("csize", csize)) if v == 0xFFFFFFFF]
        wide = self._zip64_values(read(at + 30 + n, m), where, wanted)
        csize, usize = wide.get("csize", csize), wide.get("usize", usize)
        later = bool(flags & 8)
        if flags != entry.flags or method != entry.method:
            raise self.fail(3616, where, "flags 0x%04x, method %d in the local header" % (flags, method),
                            "0x%04x, %d as in the directory" % (entry.flags, entry.method))
        for name, local, central in (("size", usize, entry.size), ("stored size", csize, entry.size),
                                     ("CRC", crc, entry.crc)):
            if local != central and not (later and local == 0):
                raise self.fail(3616, where, "%s %d in the local header" % (name, local),
                                "%d as in the directory" % central)
        entry.begin = at + 30 + n + m
        end = entry.begin + entry.size
        if end > directory:
            raise self.fail(3615, where, "%d bytes at %d" % (entry.size, entry.begin),
                            "at most %d before the directory" % (directory - entry.begin))
        return self._descriptor(entry, where, end, directory) if later else end

    def _descriptor(self, entry, where, end, directory):
        for layout in ("<4sIII", "<4sIQQ"):
            length = struct.calcsize(layout)
            if end + length <= directory:
                found = struct.unpack(layout, self.source.read(end, length))
                if found == (DESCRIPTOR, entry.crc, entry.size, entry.size):
                    return end + length
        raise self.fail(3616, where, "another CRC or size after its data", "those of the directory")

    def verify(self, entry):
        """Compares the CRC-32 of the content, 1 MiB at a time. \\throws ConvertError"""
        crc, at, end = 0, entry.begin, entry.begin + entry.size
        while at < end:
            part = self.source.read(at, min(CHUNK, end - at))
            crc, at = zlib.crc32(part, crc), at + len(part)
        if crc != entry.crc:
            raise self.fail(3617, "zip entry " + quoted(entry.raw_name), "CRC-32 %08x" % crc, "%08x" % entry.crc,
                            "The content is damaged: download the file again.")

    def read(self, entry):
        return self.source.read(entry.begin, entry.size) if entry.size else b""
