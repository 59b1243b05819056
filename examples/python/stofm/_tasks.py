# SPDX-License-Identifier: MIT
"""What is done with embeddings: clusters, cell types and regions."""
import json
import os
import re

import numpy as np
import pandas as pd

from . import _stofm
from ._adata import make_slice
from ._embed import (embedding_options, model_card, model_of, one_of, provenance_options, say, threads_set)
from ._errors import DataError, UsageError, arguments_of_options
from ._progress import heard

_UNASSIGNED_COLOUR = "#bdbdbd"
_MISSING = {"", "nan", "-nan", "NaN", "NA", "<NA>", "None", "null"}


def _task_record(adata, task, record):
    """uns["stofm"][task], beside what is there."""
    before = adata.uns.get("stofm")
    adata.uns["stofm"] = {**(before if isinstance(before, dict) else {}), task: record}


def _library_codes(adata, library_key):
    if library_key is None:
        return np.zeros(adata.n_obs, np.int32)
    if library_key not in adata.obs:
        raise UsageError("STOFM-3538", "adata", f"obs/{library_key}", "nothing", "the column of the slices",
                         "Name a column of obs with library_key.")
    codes = pd.factorize(adata.obs[library_key])[0].astype(np.int32)
    if (codes < 0).any():
        raise DataError("STOFM-3561", "adata", f"obs/{library_key}", f"no value for {(codes < 0).sum()} cells",
                        "the slice of every cell", "Mend them.")
    return codes


def cluster(adata, n_clusters=None, *, method="leiden", resolution=1.0, n_neighbors=15, use_rep="X_stofm",
            library_key=None, key_added="stofm_cluster", seed=0, threads=None, copy=False):
    """Cluster cells by their embedding, as ``stofm cluster --use stofm`` does.

    Parameters
    ----------
    adata : anndata.AnnData
        With ``adata.obsm[use_rep]``.
    n_clusters : int, optional
        Exactly so many; by `resolution` if None (Leiden alone).
    method : {"leiden", "gmm", "kmeans"}
        Leiden on the graph of neighbours, a Gaussian mixture, or k-means.
    resolution : float
        Of Leiden, where `n_clusters` is None.
    n_neighbors : int
        Of the graph, the cell itself counted.
    use_rep : str
        Key of ``adata.obsm``. Its columns are standardised within each slice first.
    library_key : str, optional
        Column of ``adata.obs`` that tells slices in one object apart.
    key_added : str
        Column of ``adata.obs``.
    seed, threads, copy
        As in `embed`.

    Returns
    -------
    None or anndata.AnnData
        ``adata.obs[key_added]``: categorical, "0" is the largest cluster; its colours are in
        ``adata.uns[key_added + "_colors"]``.

    Raises
    ------
    stofm.UsageError, stofm.DataError
        No such embedding, values that are not finite, fewer cells than clusters.
    """
    one_of("method", method, ("leiden", "gmm", "kmeans"))
    if n_clusters is None and method != "leiden":
        raise UsageError("STOFM-2059", "", "n_clusters", f"method {method} without a number", "n_clusters",
                         "Give n_clusters, or use method leiden.")
    if use_rep not in adata.obsm:
        raise UsageError("STOFM-3552", "adata", f"obsm/{use_rep}",
                         "nothing; obsm has " + (", ".join(map(str, adata.obsm)) or "nothing"), "an embedding",
                         "Run stofm.embed(adata) first, or name another with use_rep.")
    rows = np.ascontiguousarray(adata.obsm[use_rep], np.float32)
    options = {"method": method, "clusters": int(n_clusters or 0), "resolution": float(resolution),
               "neighbours": int(n_neighbors), "seed": int(seed)}
    with threads_set(threads):
        labels, resolution = _stofm.cluster_rows(rows, _library_codes(adata, library_key), options)
    target = adata.copy() if copy else adata
    count = int(labels.max()) + 1 if len(labels) else 0
    target.obs[key_added] = pd.Categorical.from_codes(labels, [str(c) for c in range(count)])
    target.uns[f"{key_added}_colors"] = _stofm.group_colours(count)  # where scanpy looks
    _task_record(target, "cluster", {"program": "stofm " + _stofm.version, "use_rep": use_rep,
                                     "options": json.dumps(options), "resolution": float(resolution)})
    return target if copy else None


def _labels(adata, column):
    """(codes, categories, colours) of a column, whatever it holds: categories in their order, other values sorted."""
    if column not in adata.obs:
        raise UsageError("STOFM-3552", "adata", f"obs/{column}",
                         "nothing; obs has " + ", ".join(map(str, adata.obs.columns)), "a column of labels",
                         "Name a column that is there.")
    series = adata.obs[column]
    if not isinstance(series.dtype, pd.CategoricalDtype):
        if pd.api.types.is_float_dtype(series.dtype):
            values = series.to_numpy(float)
            if (np.floor(values) != values)[~np.isnan(values)].any():
                raise UsageError("STOFM-3553", "adata", f"obs/{column}", "real numbers",
                                 "labels: texts, categories, integers or bools", "Name a column of labels.")
            series = series.astype("Int64")
        series = series.astype("category")
    names = [str(category) for category in series.cat.categories]
    codes = series.cat.codes.to_numpy(np.int32).copy()
    for code, name in enumerate(names):
        if name in _MISSING:
            codes[codes == code] = -1
    return codes, names, _known_colours(adata, column, len(names))


def _known_colours(adata, column, count):
    """Those of uns as "#rrggbb", if there is one for every category; else none."""
    known = adata.uns.get(f"{column}_colors")
    known = [] if known is None or isinstance(known, str) else [str(colour)[:7].lower() for colour in known][:count]
    return known if len(known) == count and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in known) else []


def _matrix(adata, key):
    """obsm[key] as numbers, a row a cell."""
    if key not in adata.obsm:
        raise DataError("STOFM-4766", "", f'obsm["{key}"]', "nothing; obsm has " + (", ".join(sorted(adata.obsm)) or "nothing"), "a matrix",
                        "Give another key after obsm: in use.")
    values = adata.obsm[key]
    values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    return np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.float32)


def _classify(task, adata, train, label, model, *, head, save, key_added, tune, use, epochs, class_weights, center, smooth,
              unassigned_below, ignore_labels, spatial_key, layer, use_raw, library_key, gene_key, species, min_coverage,
              counts_scale, overlay, seed, threads, max_memory, progress, copy):
    one_of("tune", tune, ("none", "all"))
    one_of("class_weights", class_weights, ("balanced", "none"))
    one_of("center", center, ("auto", "on", "off"))
    train = [] if train is None else [train] if hasattr(train, "obs") else list(train)
    if head is not None and (train or save is not None):
        raise UsageError("STOFM-2094", "", "head", "train or save beside it", "a head or what one is learnt from",
                         "Leave the others out.")
    if head is None and not train:
        raise UsageError("STOFM-2081", "", task, "nothing to learn from", "train=[...] or head=...",
                         "Give labelled AnnData objects as train and their column as label.")
    options = embedding_options(species=species, min_coverage=min_coverage, clustering="leiden", clusters=0, alpha=0.2,
                                resolution=1.0, split=1000, merge_slivers=False, geometry="reference", seed=seed,
                                max_memory=max_memory)
    reading = {"layer": layer, "use_raw": use_raw, "spatial_key": spatial_key, "library_key": library_key,
               "gene_key": gene_key, "counts_scale": counts_scale, "overlay": overlay}
    learning = {"verb": task, "label": label, "save": "" if save is None else os.fspath(save), "use": use, "ignore": list(ignore_labels), "tune": tune == "all", "center": center,
                "balanced": class_weights == "balanced", "epochs": int(epochs), "smooth": -1 if smooth == "auto" else int(smooth)}
    with threads_set(threads):
        head = None if head is None else _stofm.load_head(os.fspath(head))
        needed = tune == "all" or _stofm.use_needs_model(use) if head is None else head.needs_model
        weights = model_of(model) if needed else None
        if weights is not None:
            learning["model_name"] = model_card(weights)[0]
        keys = (_stofm.obsm_keys_of(use) if tune == "none" else []) if head is None else head.obsm_keys
        learning["obsm"] = [{key: _matrix(one, key) for key in keys} for one in (*train, adata)] if keys else []
        labels = [_labels(one, label) for one in train]
        slices = [make_slice(one, **reading) for one in (*train, adata)]
        with heard(progress) as callback:
            found = _stofm.classify(slices, labels, weights, head, {**options, **learning}, callback)
    notices = [notice for one in slices for notice in one.notices] + found["notices"]
    say(dict.fromkeys(notices), stacklevel=4)
    names, codes, probabilities = found["names"], found["codes"][0], found["probabilities"][0]
    probability = probabilities[np.arange(len(codes)), codes]
    shown, colours = list(names), list(found["colours"])
    if unassigned_below > 0:
        unsure = probabilities.max(axis=1) < unassigned_below
        if unsure.any():
            shown.append("unassigned")
            colours.append(_UNASSIGNED_COLOUR)
            codes = np.where(unsure, len(names), codes)
    target = adata.copy() if copy else adata
    target.obs[key_added] = pd.Categorical.from_codes(codes, shown)
    target.uns[f"{key_added}_colors"] = colours
    target.obs[key_added + "_probability"] = probability
    target.obsm[key_added + "_probabilities"] = pd.DataFrame(probabilities.astype(np.float32), index=target.obs_names,
                                                             columns=names)
    record = {"program": "stofm " + _stofm.version, **({"head": head.path} if head else {"label": label}), "train_cells": [int(one.n_obs) for one in train],
              "features": found["features"], "centred": bool(found["centred"]),
              "options": json.dumps({**provenance_options(options, **reading), **({} if head else {"use": use, "tune": tune})}),
              "notices": np.array([f"{code} {arguments_of_options(text)}" for code, text, _ in dict.fromkeys(notices)], dtype=object)}
    if weights is not None:
        name, _, kind = model_card(weights)
        record.update(model=name, model_sha256=weights.sha256, model_kind=kind)
    _task_record(target, task, record)
    return target if copy else None


_CLASSIFY = """

    Parameters
    ----------
    adata : anndata.AnnData
        The slice whose cells are to be named.
    train : anndata.AnnData or list of them, optional
        Labelled slices to learn from.
    label : str
        Column of ``obs`` of the labelled slices.
    model : str, path-like or Model, optional
        As in `embed`.
    head : str or path-like, optional
        A head that was saved, by `save` or by the program's ``--save``, in place of `train`; `label`, `tune`, `use`,
        `epochs`, `class_weights`, `center` and `ignore_labels` were chosen when it was learnt.
    save : str or path-like, optional
        Write the head that is learnt to this ``.safetensors`` file, for `head` and the program's ``--head``. A file
        that is there is replaced.
    key_added : str
        Column of ``adata.obs``, with its colours in ``adata.uns``; with ``_probability`` (of that label) beside it, and ``_probabilities`` in
        ``adata.obsm``.
    tune : {{"none", "all"}}
        ``"none"``: logistic regression on `use`. ``"all"``: the SE(2) Transformer is trained with the head, `epochs`
        times through the labelled slices.
    use : str
        What a head is given of each cell: stofm, cells, context, genes, pca, pca+nbr or pca+rings, or
        ``"obsm:KEY"``, a matrix of your own in ``obsm`` of all slices; several joined by ``+``; after commas a head each, weighed by what it says of held-out labels; ``"auto"``: such a list. Not used
        with ``tune="all"``.
    epochs : int
        Passes of fine-tuning; the best on held-out labels is kept.
    class_weights : {{"balanced", "none"}}
        Every class, or every cell, weighs the same.
    center : {{"auto", "on", "off"}}
        Centre and scale features in each slice; by itself where panels differ. With ``tune="all"`` only if
        "on", and centred alone.
    smooth : int or "auto"
        Mean of the probabilities of each cell and its `smooth` nearest cells; "auto": a number chosen on held-out labels
        (with ``tune="all"`` and with `head` nothing is chosen: a head smooths as it was saved).
    unassigned_below : float
        Cells whose highest probability is below are "unassigned".
    ignore_labels : sequence of str
        Labels that mean none, besides missing ones.
    spatial_key, layer, use_raw, library_key, gene_key, species, min_coverage, counts_scale, overlay
        As in `embed`, for all slices.
    seed, threads, max_memory, progress, copy
        As in `embed`.

    Returns
    -------
    None or anndata.AnnData
        ``adata.obs[key_added]``: categorical; the same labels as the program gives.

    Raises
    ------
    stofm.DataError
        No labels, one class only, genes that nothing knows.
    stofm.UsageError
        No such column, arguments that do not fit, a head of another model or function.
    stofm.FileError
        `head` is no head, or a damaged one; `save` can not be written.
    """


def annotate(adata, train=None, label="cell_type", model=None, *, head=None, save=None,
             key_added="stofm_cell_type", tune="none",
             use="cells+genes", epochs=20, class_weights="balanced", center="auto", smooth=0, unassigned_below=0.0,
             ignore_labels=(), spatial_key="spatial", layer=None, use_raw=False, library_key=None, gene_key=None,
             species="auto", min_coverage=0.1, counts_scale="auto", overlay=False, seed=0, threads=None, max_memory=None,
             progress=None, copy=False):
    return _classify("annotate", **locals())


def segment(adata, train=None, label="region", model=None, *, head=None, save=None, key_added="stofm_region",
            tune="none",
            use="auto", epochs=20, class_weights="balanced", center="auto", smooth="auto", unassigned_below=0.0,
            ignore_labels=(), spatial_key="spatial", layer=None, use_raw=False, library_key=None, gene_key=None,
            species="auto", min_coverage=0.1, counts_scale="auto", overlay=False, seed=0, threads=None, max_memory=None,
            progress=None, copy=False):
    return _classify("segment", **locals())


annotate.__doc__ = "Cell types from labelled slices, as ``stofm annotate`` gives them." + _CLASSIFY.format()
segment.__doc__ = "Tissue regions from labelled slices, as ``stofm segment`` gives them." + _CLASSIFY.format()
