# SPDX-License-Identifier: MIT
"""What the tests of the Python package share: slices, the program beside it, and what an AnnData holds."""
import os
import pickle
import shutil
import subprocess
import tempfile
import unittest
import warnings
from pathlib import Path

import anndata
import numpy as np

import stofm

SOURCE = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("STOFM_PROGRAM", str(SOURCE / "build" / "stofm"))
XENIUM = SOURCE / "examples" / "data" / "xenium_mousebrain_4261.h5ad"
LEFT, RIGHT = (SOURCE / "tests" / "data" / f"crop_{side}.h5ad" for side in ("left", "right"))
ZOO = SOURCE / "tests" / "data" / "formats"


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_h5ad(path)


def quietly(function, *arguments, **options):
    """The function without what it warns of, and without a bar."""
    options.setdefault("progress", False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stofm.StofmWarning)
        return function(*arguments, **options)


def contents(adata):
    """Everything that an AnnData holds, as bytes."""
    return pickle.dumps((adata.X, adata.obs, adata.var, dict(adata.uns), {k: adata.obsm[k] for k in adata.obsm},
                         {k: adata.layers[k] for k in adata.layers}))


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="stofm-python-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def program(self, *words):
        """Runs the program, which must succeed."""
        done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def embedded_by_program(self, path, *options):
        """The slice as the program wrote it, and its .npy."""
        out, npy = self.dir / "out.h5ad", self.dir / "out.npy"
        self.program("embed", path, "-o", out, "--npy", npy, "--no-clusters", "--overwrite", "-q", *options)
        return read(out), np.load(npy)

    def assert_same_bits(self, a, b):
        self.assertEqual((a.dtype, a.shape), (b.dtype, b.shape))
        self.assertEqual(np.ascontiguousarray(a).tobytes(), np.ascontiguousarray(b).tobytes())
