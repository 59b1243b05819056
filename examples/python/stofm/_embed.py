# SPDX-License-Identifier: MIT
"""Embedding the cells of an AnnData."""
import contextlib
import functools
import json
import os
import pathlib
import warnings
from typing import NamedTuple

import numpy as np

from . import _stofm
from ._adata import make_slice
from ._errors import StofmWarning, UsageError, arguments_of_options
from ._progress import heard


class Parts(NamedTuple):
    """How a slice was taken apart on the way to its embedding; steps of the computation, not regions.

    Attributes
    ----------
    macro : numpy.ndarray
        Virtual cell of each cell, int32 [cells].
    piece : numpy.ndarray
        Sub-slice of each cell, an index into ``pieces``, int32 [cells].
    pieces : list of dict
        Of each sub-slice: library, cells, nodes, and the corners ``low`` and ``high`` of its bounding box.
    libraries : list of str
        Values of ``library_key``; empty without one.
    """

    macro: np.ndarray
    piece: np.ndarray
    pieces: list
    libraries: list


def bundled_model():
    """Path of the demonstration model that comes with the package: not for research."""
    return str(pathlib.Path(__file__).parent / "share" / "stofm" / "demo.safetensors")


def one_of(name, value, words):
    if value not in words:
        raise UsageError("STOFM-2094", "", name, repr(value), ", ".join(map(repr, words)), "Name one of them.")
    return value


@functools.lru_cache(maxsize=2)
def _load(path, bfloat16, size, changed):
    return _stofm.load_model(path, bfloat16)


def load_model(path=None, dtype="float32"):
    """Load a model bundle, once for several slices.

    Parameters
    ----------
    path : str or path-like, optional
        A ``.safetensors`` bundle; the bundled demonstration model if None.
    dtype : {"float32", "bfloat16"}
        Precision of the products of both encoders.

    Returns
    -------
    Model
        With ``path``, ``sha256``, ``info`` (JSON text) and ``width`` (numbers a cell).

    Raises
    ------
    stofm.FileError
        The file is no bundle, or a damaged one.

    Notes
    -----
    The two models used last are kept in memory.
    """
    one_of("dtype", dtype, ("float32", "bfloat16"))
    path = os.fspath(path) if path is not None else bundled_model()
    state = os.stat(path) if os.path.exists(path) else None  # a missing file is refused by the library
    return _load(path, dtype == "bfloat16", state and state.st_size, state and state.st_mtime_ns)


def model_of(model, dtype="float32"):
    return model if isinstance(model, _stofm.Model) else load_model(model, dtype)


def model_card(model):
    """(name, limits, "demonstration weights, not for research" or "weights given")."""
    info = json.loads(model.info or "{}")
    info = info if isinstance(info, dict) else {}
    name = str(info.get("name") or "") or pathlib.Path(model.path).name
    demonstration = name == "stofm-demo"
    return name, str(info.get("limits") or ""), (
        "demonstration weights, not for research" if demonstration else "weights given")


@contextlib.contextmanager
def threads_set(threads):
    """A number of threads for a while; the library has one for all of the process."""
    if threads is None:
        yield
        return
    before = _stofm.thread_count()
    _stofm.set_thread_count(threads)
    try:
        yield
    finally:
        _stofm.set_thread_count(before)


def say(notices, stacklevel=3):
    """Warns of what was accepted on purpose."""
    for code, text, _ in notices:
        warnings.warn(f"{arguments_of_options(text)} [{code}]", StofmWarning, stacklevel=stacklevel + 1)


def embedding_options(*, species, min_coverage, clustering, clusters, alpha, resolution, split, merge_slivers, geometry,
                      seed, max_memory, cells_only=False):
    """What bindings/embedding.cpp takes."""
    one_of("species", species, ("auto", "human", "mouse"))
    one_of("clustering", clustering, ("leiden", "kmeans"))
    one_of("geometry", geometry, ("reference", "stable"))
    if int(seed) < 0:
        raise UsageError("STOFM-2094", "", "seed", str(seed), "0 or more", "Choose another seed.")
    return {"species": species, "min_coverage": float(min_coverage), "clustering": clustering, "clusters": int(clusters),
            "alpha": float(alpha), "resolution": float(resolution), "split": int(split),
            "merge_slivers": bool(merge_slivers), "geometry": geometry, "seed": int(seed),
            "max_memory": int(max_memory or 0), "cells_only": bool(cells_only)}


def provenance_options(options, **reading):
    """The options as the program writes them, in its order, so that it knows the result as one of its own."""
    def yes(value):
        return "yes" if value else "no"

    def real(value):
        return repr(int(value)) if float(value).is_integer() else repr(float(value))

    spatial_key = reading.get("spatial_key") or ""
    return {"layer": reading.get("layer") or "", "use-raw": yes(reading.get("use_raw")),
            "gene-key": reading.get("gene_key") or "", "species": options["species"],
            "min-coverage": real(options["min_coverage"]),
            "spatial-key": "" if spatial_key == "spatial" else spatial_key, "x": "", "y": "", "spatial-csv": "",
            "library-key": reading.get("library_key") or "", "only": "", "overlay": yes(reading.get("overlay")),
            "drop-no-library": "no", "drop-bad-coords": "no", "accept-noninteger": "no",
            "counts-scale": reading.get("counts_scale") or "auto", "cell-embeddings": "",
            "cells-only": yes(options["cells_only"]), "clustering": options["clustering"],
            "clusters": str(options["clusters"]), "alpha": real(options["alpha"]),
            "resolution": real(options["resolution"]), "split": str(options["split"]),
            "merge-slivers": yes(options["merge_slivers"]), "geometry": options["geometry"],
            "seed": str(options["seed"])}


def embed(adata, model=None, *, key_added=None, spatial_key="spatial", layer=None, use_raw=False, library_key=None,
          gene_key=None, species="auto", min_coverage=0.1, counts_scale="auto", overlay=False, cells_only=False,
          clustering="leiden", clusters=0, alpha=0.2, resolution=1.0, split=1000, merge_slivers=False,
          geometry="reference", seed=0, dtype="float32", threads=None, max_memory=None, progress=None, copy=False,
          return_parts=False):
    """Embed every cell of a tissue slice.

    The same numbers, to the bit, as ``stofm embed`` writes for the same slice on the same machine.

    Parameters
    ----------
    adata : anndata.AnnData
        Counts in memory, gene names (Ensembl ids or symbols of human or mouse) and positions.
    model : str, path-like or Model, optional
        A model bundle, or what `load_model` made of it; the bundled demonstration model if None.
    key_added : str, optional
        Key of ``adata.obsm``; ``"X_stofm"`` (``"X_stofm_cells"`` with `cells_only`) if None.
    spatial_key : str
        Key of ``adata.obsm`` with the positions, two or three columns in any unit.
    layer : str, optional
        Layer with the counts; ``adata.X`` if None.
    use_raw : bool
        Counts and genes of ``adata.raw``.
    library_key : str, optional
        Column of ``adata.obs`` that tells slices in one object apart (several with commas). Each is embedded alone.
    gene_key : str, optional
        Column of ``adata.var`` that alone names the genes, or ``"index"``; found by content if None.
    species : {"auto", "human", "mouse"}
        Species of the gene names.
    min_coverage : float
        Refuse a slice of whose genes a smaller share is known.
    counts_scale : {"auto", "counts", "linear", "log1p", "log2", "log10"}
        What the values are. Counts come back from normalised and log1p values; ``"auto"`` finds out.
    overlay : bool
        Accept slices that lie on top of each other.
    cells_only : bool
        Stop at the cell embeddings; positions are not needed.
    clustering, clusters, alpha, resolution
        How cells become virtual cells: ``"leiden"`` or ``"kmeans"``, number of clusters of k-means (0: chosen), weight
        of space, resolution of Leiden.
    split, merge_slivers, geometry
        Cells of a sub-slice; join sub-slices below a tenth of that to a neighbour; ``"reference"`` (as published) or
        ``"stable"``.
    seed : int
        Seed of the clustering.
    dtype : {"float32", "bfloat16"}
        Precision of the products of both encoders.
    threads : int, optional
        Threads of this call. Results do not depend on it.
    max_memory : int, optional
        Bytes; more is refused before the work starts. 80 % of what is free if None.
    progress : bool or callable, optional
        Called as ``progress(stage, done, total, unit)``. None: a bar of tqdm where it is installed, else a line on a
        terminal. True: in any case. False: nothing.
    copy : bool
        Return a copy with the result and leave `adata` as it is.
    return_parts : bool
        Return `Parts` as well.

    Returns
    -------
    None, anndata.AnnData, Parts or (anndata.AnnData, Parts)
        By `copy` and `return_parts`. Written are

        ``adata.obsm[key_added]``
            float32 [cells, width].
        ``adata.uns["stofm"]``
            Program, model (SHA-256), options, where counts and positions come from, notices.

    Raises
    ------
    stofm.DataError
        Counts, genes or positions that can not be embedded.
    stofm.UsageError
        Arguments that do not fit.
    stofm.FileError
        A damaged model bundle, or a damaged sparse matrix.
    stofm.ResourceError
        More memory needed than allowed.
    KeyboardInterrupt
        On Ctrl-C, at the next unit of work.

    Warns
    -----
    stofm.StofmWarning
        What was accepted on purpose. ``warnings.simplefilter("error", stofm.StofmWarning)`` refuses it.

    Notes
    -----
    Whatever is raised, `adata` is as it was. Counts are read where they are: dense or CSR, integers or floats of 8 to
    64 bits; CSC and other formats are copied to CSR first. The interpreter's lock is released: other threads go on, and
    must not change the counts meanwhile. About 2 s for 4,000 cells of a panel on two cores.

    Examples
    --------
    >>> stofm.embed(adata)
    >>> sc.pp.neighbors(adata, use_rep="X_stofm")
    """
    options = embedding_options(species=species, min_coverage=min_coverage, clustering=clustering, clusters=clusters,
                                alpha=alpha, resolution=resolution, split=split, merge_slivers=merge_slivers,
                                geometry=geometry, seed=seed, max_memory=max_memory, cells_only=cells_only)
    reading = {"layer": layer, "use_raw": use_raw, "spatial_key": spatial_key, "library_key": library_key,
               "gene_key": gene_key, "counts_scale": counts_scale, "overlay": overlay}
    key = key_added or ("X_stofm_cells" if cells_only else "X_stofm")
    with threads_set(threads):
        weights = model_of(model, dtype)
        part = make_slice(adata, positions_required=not cells_only, **reading)
        with heard(progress) as callback:
            found = _stofm.embed(part, weights, options, callback)
    name, limits, kind = model_card(weights)
    notices = [limits] if limits else []
    notices += [f"{code} {arguments_of_options(text)}" for code, text, _ in found["notices"]]
    if limits:
        warnings.warn(f"{name}: {limits}", StofmWarning, stacklevel=2)
    say(found["notices"], stacklevel=2)
    record = {
        "program": "stofm " + _stofm.version,
        "model": name,
        "model_sha256": weights.sha256,
        "model_kind": kind,
        "model_info": weights.info,
        "options": json.dumps({**provenance_options(options, **reading), "dtype": dtype, "embedding-clusters": "none"},
                              ensure_ascii=False),
        "counts": part.counts_source,
        "counts_scale": part.counts_scale,
        "positions": part.positions_source,
        "species": found["species"],
        "clusters": "",
        "sliver_cells": found["sliver_cells"],
        "genes_matched": found["genes_matched"],
        "genes": found["genes"],
        "genes_learnt": found["genes_learnt"],
        "virtual_cells": found["virtual_cells"],
        "pieces": len(found["pieces"]),
        "notices": np.array(notices, dtype=object),
    }
    target = adata.copy() if copy else adata
    before = target.uns.get("stofm")
    tasks = {k: v for k, v in before.items() if isinstance(v, dict)} if isinstance(before, dict) else {}
    target.obsm[key] = found["embeddings"]
    target.uns["stofm"] = {**record, **tasks}
    answer = ([target] if copy else []) + (
        [Parts(found["macro"], found["piece"], found["pieces"], list(part.libraries))] if return_parts else [])
    return None if not answer else answer[0] if len(answer) == 1 else tuple(answer)
