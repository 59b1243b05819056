# SPDX-License-Identifier: MIT
"""The command ``stofm``: the program of the package, if this installation was built with it."""
import os
import pathlib
import sys


def program():
    """Path of the program, or None where the package was built without it."""
    path = pathlib.Path(__file__).parent / "bin" / "stofm"
    return path if path.exists() else None


def main():
    path = program()
    if path is None:
        sys.exit("stofm: this Python package was built without the program, as libhdf5 or CLI11 was not found. Its functions are "
                 "all there (import stofm). For the program: apt-get install libhdf5-dev libcli11-dev and install the package "
                 "from source again, or build the repository.")
    os.execv(path, [str(path), *sys.argv[1:]])
