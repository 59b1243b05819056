#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Converts a SToFM checkpoint into one bundle: `convert.py CHECKPOINT_DIR -o stofm.safetensors`. See README.md here."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

try:
    import numpy  # noqa: F401
except ImportError:
    print("convert.py: %s: found no NumPy, expected one. Install it (apt-get install python3-numpy, or pip install numpy) "
          "or use another python3. [STOFM-3603]" % sys.executable, file=sys.stderr)
    sys.exit(2)

from stofm_convert.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
