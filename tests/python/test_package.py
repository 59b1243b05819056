# SPDX-License-Identifier: MIT
"""What the package is made of: stubs, sdist and wheel, the command, words of errors, the page of documentation."""
import ast
import glob
import inspect
import io
import os
import pickle
import re
import subprocess
import sys
import tarfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import stofm
from stofm import _errors, _program
from support import PROGRAM, SOURCE, Case, read

PACKAGE = Path(stofm.__file__).parent


SYSTEM = {"libstdc++", "libm", "libgcc_s", "libc", "libpthread", "libdl", "librt"}


def needed_by(file):
    """Libraries that the loader finds for a module or program."""
    done = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=True)
    return set(re.findall(r"^\s*(lib[\w+-]+)\.so", done.stdout, re.M))


def arguments_of(function):
    """Names of a function's arguments in a stub."""
    a = function.args
    return [one.arg for one in (*a.posonlyargs, *a.args, *a.kwonlyargs)]


class Stubs(unittest.TestCase):
    def test_every_public_name_has_a_stub_with_its_arguments(self):
        self.assertTrue((PACKAGE / "py.typed").exists())
        for module, stub in ((stofm, "__init__.pyi"), (stofm.pl, "pl.pyi"), (stofm.tl, "tl.pyi")):
            tree = ast.parse((PACKAGE / stub).read_text())
            written = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
            imported = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom)
                        for alias in node.names}
            for name in module.__all__:
                with self.subTest(f"{stub}: {name}"):
                    self.assertIn(name, set(written) | imported)
                    value = getattr(module, name)
                    if name in written and inspect.isfunction(value):
                        self.assertEqual(arguments_of(written[name]), list(inspect.signature(value).parameters))

    def test_every_argument_is_in_the_docstring(self):
        for function in (stofm.embed, stofm.cluster, stofm.annotate, stofm.segment, stofm.load_model, stofm.pl.spatial):
            for name in inspect.signature(function).parameters:
                with self.subTest(f"{function.__name__}: {name}"):
                    self.assertRegex(function.__doc__, rf"(?m)^    .*\b{name}\b")
            self.assertIn("Returns\n", function.__doc__)


class Archives(unittest.TestCase):
    def setUp(self):
        if "STOFM_WHEEL" not in os.environ:
            self.skipTest("tests/python/run.sh makes sdist and wheel")

    def test_the_sdist_holds_the_sources_and_no_test_data(self):
        with tarfile.open(os.environ["STOFM_SDIST"]) as archive:
            names = ["/".join(name.split("/")[1:]) for name in archive.getnames()]
        for needed in ("pyproject.toml", "CMakeLists.txt", "LICENSE", "NOTICE", "include/stofm/stofm.hpp",
                       "examples/python/bindings/module.cpp", "examples/data/demo_trained.safetensors",
                       "weights_tools/genes/genes.tsv", "cmake/stofm-demo.cmake", "examples/stofm/main.cpp"):
            self.assertIn(needed, names)
        self.assertEqual([n for n in names if n.startswith(("tests/", "bench/", "build", ".ci/")) or n.endswith(".h5ad")], [])
        self.assertLess(Path(os.environ["STOFM_SDIST"]).stat().st_size, 8 << 20)

    def test_the_wheel_holds_one_module_and_the_weights(self):
        with zipfile.ZipFile(os.environ["STOFM_WHEEL"]) as archive:
            names = archive.namelist()
        self.assertIn("stofm/share/stofm/demo.safetensors", names)
        self.assertIn("stofm/__init__.pyi", names)
        self.assertEqual(len([n for n in names if n.endswith(".so")]), 1)
        self.assertEqual([n for n in names if not n.startswith(("stofm/", "stofm-"))], [])

    def test_the_module_needs_the_system_alone(self):
        self.assertLessEqual(needed_by(next(PACKAGE.glob("_stofm*.so"))), SYSTEM)

    def test_the_program_needs_the_system_alone(self):
        if _program.program() is None:
            self.skipTest("this package has no program: no CLI11")
        # cmake/stofm-static-hdf5.cmake; elsewhere the libhdf5 of the system is linked.
        if not all(glob.glob(f"/usr/lib/*/{name}.a") for name in ("libhdf5_serial", "libsz", "libaec", "libz")):
            self.skipTest("no static libhdf5 on this system")
        self.assertLessEqual(needed_by(_program.program()), SYSTEM)
        licences = PACKAGE / "share" / "licences"
        self.assertIn("HDF5", (licences / "libhdf5-dev.txt").read_text(errors="replace"))


class OneModuleForEveryCpu(Case):
    def test_kernels_are_chosen_at_run_time(self):
        script = ("import anndata, stofm, hashlib, warnings; warnings.simplefilter('ignore');"
                  f"a = anndata.read_h5ad({str(SOURCE / 'tests' / 'data' / 'crop_left.h5ad')!r});"
                  "stofm.embed(a, progress=False); print(stofm._stofm.cpu_kernels(), a.obsm['X_stofm'].shape)")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                              env={**os.environ, "STOFM_CPU_KERNELS": "generic"})
        self.assertTrue(done.stdout.startswith("generic ("), done.stdout)


class Command(Case):
    def test_what_it_says_without_the_program(self):
        if _program.program() is not None:
            self.skipTest("this package has the program")
        with self.assertRaises(SystemExit) as left:
            _program.main()
        self.assertIn("libhdf5", str(left.exception))

    def test_the_command_gives_the_bits_of_the_program(self):
        if _program.program() is None:
            self.skipTest("this package has no program: no CLI11 or libhdf5")
        left = SOURCE / "tests" / "data" / "crop_left.h5ad"
        theirs, _ = self.embedded_by_program(left)
        out = self.dir / "ours.h5ad"
        command = Path(sys.executable).parent / "stofm"
        done = subprocess.run([command, "embed", left, "-o", out, "-q"], capture_output=True, text=True, check=False,
                              env={"PATH": ""})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_same_bits(read(out).obsm["X_stofm"], theirs.obsm["X_stofm"])

    def test_it_becomes_the_program(self):
        with mock.patch.object(_program, "program", return_value=Path(PROGRAM)), mock.patch("os.execv") as run, \
                mock.patch.object(sys, "argv", ["stofm", "--version"]):
            _program.main()
        run.assert_called_once_with(Path(PROGRAM), [PROGRAM, "--version"])

    def test_the_bundled_weights_are_those_of_the_program(self):
        theirs = Path(PROGRAM).parent / "share" / "stofm" / "demo.safetensors"
        self.assertEqual(Path(stofm.bundled_model()).read_bytes(), theirs.read_bytes())


class Words(unittest.TestCase):
    def test_options_become_arguments(self):
        for text, expected in (
                ('Give raw counts: layers["counts"] (H5adReadOptions::layer = counts), or raw/X (H5adReadOptions::use_raw).',
                 'Give raw counts: layers["counts"] (layer="counts"), or raw/X (use_raw=True).'),
                ("Choose one with H5adReadOptions::layer or H5adReadOptions::use_raw.",
                 "Choose one with layer or use_raw=True."),
                ("Use smaller pieces (EmbedOptions::split), fewer threads, or raise EmbedOptions::max_memory.",
                 "Use smaller pieces (split), fewer threads, or raise max_memory."),
                ("as slices of their own with H5adReadOptions::library_key = batch; H5adReadOptions::overlay embeds them.",
                 'as slices of their own with library_key="batch"; overlay=True embeds them.'),
                ("with H5adReadOptions::counts_scale = linear.", 'with counts_scale="linear".'),
                ("(H5adReadOptions::layer = 'a b')", '(layer="a b")'),
                ("accept it with GeneMappingOptions::refuse_below = 0.05.", "accept it with min_coverage=0.05."),
                ("leave these cells out with H5adReadOptions::drop_no_library.", "leave these cells out.")):
            self.assertEqual(_errors.arguments_of_options(text), expected)

    def test_errors_can_be_sent_between_processes(self):
        error = stofm.DataError("STOFM-3529", "adata", "X", "a fraction", "raw counts", "Use H5adReadOptions::layer = counts.")
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), str(again), again.code), (stofm.DataError, str(error), "STOFM-3529"))
        self.assertEqual(str(error), 'adata: X: found a fraction, expected raw counts. Use layer="counts". [STOFM-3529]')
        self.assertEqual(error.exit_code, 4)


class Shown(unittest.TestCase):
    def test_a_line_where_tqdm_is_missing(self):
        from stofm import _progress
        shown = io.StringIO()
        with mock.patch.dict(sys.modules, {"tqdm": None, "tqdm.auto": None}), mock.patch.object(sys, "stderr", shown):
            with _progress.heard(True) as callback:
                callback("cells", 5, 10, "cells")
            with _progress.heard(None) as nothing:  # no terminal
                self.assertIsNone(nothing)
        self.assertIn("cell encoder: 5 of 10 cells", shown.getvalue())

    def test_the_page_names_every_argument_of_embed(self):
        page = (SOURCE / "docs" / "python.md").read_text()
        for name in inspect.signature(stofm.embed).parameters:
            if name != "adata":
                self.assertIn(f"`{name}", page, name)


if __name__ == "__main__":
    unittest.main()
