# SPDX-License-Identifier: MIT
"""What the tests of hostile checkpoints share."""

import pathlib
import sys
import tempfile
import unittest

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "weights_tools")]
sys.dont_write_bytecode = True

from builders import archive, state  # noqa: E402
from stofm_convert.errors import ConvertError  # noqa: E402
from stofm_convert.source import BytesSource  # noqa: E402
from stofm_convert.torch_file import read_torch  # noqa: E402

ONE = np.arange(6, dtype="<f4").reshape(2, 3)


class HostileCase(unittest.TestCase):
    def refuse(self, data, code, *words):
        """The file is refused with this code and these words. That none takes long is the limits' doing, each of which has
        its test; CTest ends what hangs."""
        with self.assertRaises(ConvertError) as caught:
            read_torch(BytesSource(data, "hostile.pth"))
        e = caught.exception
        self.check_error(e, code, *words)
        self.assertEqual(e.file, "hostile.pth")
        return e

    def check_error(self, e, code, *words):
        line = str(e)
        self.assertEqual(e.code, "STOFM-%d" % code, line)
        for word in words:
            self.assertIn(word, line)
        for part in (e.where, e.found, e.remedy):
            self.assertTrue(part, line)
        self.assertNotIn("\n", line)
        self.assertTrue(line.isprintable())

    def refuse_pickle(self, pickle, code, *words, records=None):
        return self.refuse(archive(pickle, records), code, *words)

    def refuse_tensor(self, opcodes, code, *words, numel=6):
        return self.refuse_pickle(state({"w": opcodes}), code, *words, records={"0": bytes(4 * numel)})

    def accept(self, data):
        return {name: w.array() for name, w in read_torch(BytesSource(data)).items()}


class ScratchFiles:
    """files(name, bytes) -> path, in a directory that goes away."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        return lambda name, data: self.write(name, data)

    def write(self, name, data):
        path = pathlib.Path(self.folder.name) / name
        path.write_bytes(data)
        return str(path)

    def __exit__(self, *_):
        self.folder.cleanup()
