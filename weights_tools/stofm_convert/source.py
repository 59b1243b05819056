# SPDX-License-Identifier: MIT
"""Bytes of an input file: read by position, never mapped, never more than asked for."""

import hashlib
import os
import stat

from .errors import FILE, USAGE, ConvertError

CHUNK = 1 << 20


class FileSource:
    """A regular file, opened once. `path` is what messages show."""

    def __init__(self, path):
        self.path = str(path)
        try:
            # Non-blocking, so that a FIFO without a writer is refused rather than waited for.
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as e:
            raise ConvertError(3601, self.path, "", getattr(e, "strerror", None) or str(e), "a readable file",
                               "Check the path and its permissions.", FILE) from None
        info = os.fstat(self._fd)
        if not stat.S_ISREG(info.st_mode):
            os.close(self._fd)
            what = "a directory" if stat.S_ISDIR(info.st_mode) else "something that is not a regular file"
            raise ConvertError(3601, self.path, "", what, "a regular file", "Give the path of a file.")
        self.size = info.st_size

    def read(self, offset, count):
        """Exactly `count` bytes; the caller has compared the range with `size`."""
        parts, at = [], offset
        while count > 0:
            try:
                part = os.pread(self._fd, min(count, 1 << 30), at)
            except OSError as e:
                raise ConvertError(3601, self.path, "byte %d" % at, e.strerror, "readable content",
                                   "Check the disk.") from None
            if not part:
                raise ConvertError(3601, self.path, "byte %d" % at, "the end of the file",
                                   "%d more bytes: it was cut while being read" % count, "Run again.")
            parts.append(part)
            at, count = at + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def sha256(self):
        digest = hashlib.sha256()
        for at in range(0, self.size, CHUNK):
            digest.update(self.read(at, min(CHUNK, self.size - at)))
        return digest.hexdigest()

    def close(self):
        os.close(self._fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class BytesSource:
    """The same over bytes in memory (tests, fuzzing)."""

    def __init__(self, data, path="memory"):
        self.data, self.path, self.size = data, path, len(data)

    def read(self, offset, count):
        return self.data[offset:offset + count]

    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()


def read_whole(path, cap, what):
    """All bytes of a small file. The size is compared with `cap` before anything is read."""
    with FileSource(path) as source:
        if source.size > cap:
            raise ConvertError(3602, path, "", "%d bytes" % source.size, "at most %d for %s" % (cap, what),
                               "Check that this is the right file.", USAGE)
        return source.read(0, source.size) if source.size else b""
