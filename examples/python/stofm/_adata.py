# SPDX-License-Identifier: MIT
"""The arrays of an AnnData as a slice of the library. Counts are not copied where they are dense or CSR."""
import logging

import numpy as np
import pandas as pd
import scipy.sparse

from . import _stofm
from ._errors import DataError, UsageError

logger = logging.getLogger("stofm")

_MOST_GROUPS, _MOST_REALS = 2000, 200  # a column of obs with more values tells no slices apart
_MOST_NAMES = 200_000  # names of cells that are looked at for parts that tell slices apart


def _native(array, what):
    """The array with numbers that the library reads; a copy only where the bytes are the other way round."""
    array = np.asarray(array)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise UsageError("STOFM-2095", "adata", what, f"elements of type {array.dtype}",
                         "integers, bools or floats of 16, 32 or 64 bits", "Convert the matrix with astype.")
    if not array.dtype.isnative:
        logger.info("%s: a copy is made, in the byte order of this machine", what)
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def matrix_parts(matrix, what):
    """(values, indices, indptr, rows, columns) of a matrix in memory; indices and indptr are None for a dense one."""
    if scipy.sparse.issparse(matrix):
        if matrix.format != "csr":
            logger.info("%s: a copy is made, CSR of %s", what, matrix.format.upper())
            matrix = matrix.tocsr()
        parts = [np.ascontiguousarray(_native(part, what)) for part in (matrix.data, matrix.indices, matrix.indptr)]
        return (*parts, *map(int, matrix.shape))
    if isinstance(matrix, (np.ndarray, pd.DataFrame)) and getattr(matrix, "ndim", 0) == 2:
        values = _native(matrix, what)
        if any(stride % values.itemsize for stride in values.strides):
            values = values.copy()
        return (values, None, None, *map(int, values.shape))
    raise UsageError("STOFM-2093", "adata", what, f"a {type(matrix).__module__}.{type(matrix).__name__}",
                     "a NumPy array or a matrix of SciPy in memory",
                     "Use adata.to_memory() first, or the program: stofm embed FILE.")


def _text(value):
    """A value as the library writes it: names as they are, numbers with six digits."""
    return value if isinstance(value, str) else format(float(value), "g")


def _groups(series, most_groups, most_reals):
    """(codes or None, categories, text): the values of a column in order of appearance, or its categories."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        categories = series.cat.categories
        if most_groups and len(categories) > most_groups:
            return None, [], True
        try:
            names = [_text(category) for category in categories]
        except (TypeError, ValueError):
            names = [str(category) for category in categories]
        return series.cat.codes.to_numpy(np.int64), names, True
    number = pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_bool_dtype(series.dtype)
    codes, values = pd.factorize(series)
    if number:
        most = most_reals if pd.api.types.is_float_dtype(series.dtype) else most_groups
        if most and len(values) > most:
            return None, [], False
        return codes.astype(np.int64), [_text(value) for value in values], False
    if most_groups and len(values) > most_groups or not all(isinstance(value, str) for value in values):
        return None, [], False
    return codes.astype(np.int64), list(values), True


def _frame(frame, names, columns):
    """What bindings/slices.cpp takes for a data frame."""
    index = frame.index.name
    index = str(index) if index is not None and index not in frame.columns else "_index"
    return index, names, columns, len(frame)


def obs_frame(obs, wanted, with_names):
    """obs as groups of cells; the columns in ``wanted`` whatever number of values they have."""
    columns = []
    for i, name in enumerate(map(str, obs.columns)):
        limits = (0, 0) if name in wanted else (_MOST_GROUPS, _MOST_REALS)
        codes, categories, text = _groups(obs.iloc[:, i], *limits)
        columns.append((name, codes, categories, text))
    return _frame(obs, list(map(str, obs.index)) if with_names else [], columns)


def var_frame(var):
    """var with all of its text."""
    columns = []
    for i, name in enumerate(map(str, var.columns)):
        series = var.iloc[:, i]
        text = isinstance(series.dtype, pd.CategoricalDtype) or not (
            pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_bool_dtype(series.dtype))
        columns.append((name, *(_groups(series, 0, 0) if text else (None, [], False))))
    return _frame(var, list(map(str, var.index)), columns)


def positions(adata, key):
    """(float64 [cells, 2 or 3], where they stand)."""
    if key not in adata.obsm:
        raise DataError("STOFM-3506", "adata", f"obsm/{key}",
                        "nothing; obsm has " + (", ".join(f'"{k}"' for k in adata.obsm) or "nothing"),
                        "positions of the cells", "Name the key with spatial_key.")
    table = adata.obsm[key]
    table = np.asarray(table.todense() if scipy.sparse.issparse(table) else table)
    if table.ndim != 2 or table.shape[1] not in (2, 3) or table.dtype.kind not in "biuf":
        raise DataError("STOFM-3526", "adata", f"obsm/{key}", f"an array of {table.dtype} with shape {table.shape}",
                        "2 or 3 columns of numbers", "Name another key with spatial_key.")
    return np.ascontiguousarray(table, np.float64), f"obsm/{key}"


def _log_hint(adata):
    """The logarithm that scanpy noted down."""
    noted = adata.uns.get("log1p")
    base = noted.get("base") if isinstance(noted, dict) else None
    return "auto" if noted is None else {2: "log2", 10: "log10"}.get(base, "log1p")


def _beside(adata, chosen):
    """Where counts may be as well, for messages: (name, the library's option, parts)."""
    places = [(f'layers["{name}"]', f"H5adReadOptions::layer = {name!r}", adata.layers[name])
              for name in sorted(adata.layers, key=lambda name: name != "counts")[:20] if chosen != f"layers/{name}"]
    if chosen != "X" and adata.X is not None:
        places.append(("X", "H5adReadOptions::layer = X", adata.X))
    if chosen != "raw/X" and adata.raw is not None:
        places.append(("raw/X", "H5adReadOptions::use_raw", adata.raw.X))
    listed = []
    for name, option, matrix in places:
        if scipy.sparse.issparse(matrix) and matrix.format == "csr" or isinstance(matrix, np.ndarray):
            try:
                listed.append((name, option, matrix_parts(matrix, name)))
            except UsageError:
                continue
    return listed


def make_slice(adata, *, layer=None, use_raw=False, spatial_key="spatial", library_key=None, gene_key=None,
               counts_scale="auto", overlay=False, positions_required=True):
    """The slice, which keeps the arrays of ``adata`` alive. Counts must not change while it lives."""
    if use_raw and layer:
        raise UsageError("STOFM-3537", "adata", "", "layer and use_raw", "one of them", "Leave one out.")
    if use_raw:
        if adata.raw is None:
            raise DataError("STOFM-3505", "adata", "raw/X", "nothing", "a matrix of counts", "Leave use_raw out.")
        path, matrix, var = "raw/X", adata.raw.X, adata.raw.var
    elif layer and layer != "X":
        if layer not in adata.layers:
            raise DataError("STOFM-3505", "adata", f"layers/{layer}",
                            "nothing; layers are " + (", ".join(f'"{k}"' for k in adata.layers) or "none"),
                            "a matrix of counts", "Choose one with layer or use_raw.")
        path, matrix, var = f"layers/{layer}", adata.layers[layer], adata.var
    else:
        path, matrix, var = "X", adata.X, adata.var
        if matrix is None:
            raise DataError("STOFM-3505", "adata", "X", "nothing", "a matrix of counts",
                            "Choose another with layer or use_raw.")
    where, source = None, ""
    if positions_required or spatial_key in adata.obsm:
        where, source = positions(adata, spatial_key)
    libraries = adata.uns.get("spatial")
    libraries = [str(k) for k, v in libraries.items() if hasattr(v, "items")] if hasattr(libraries, "items") else []
    wanted = {"in_tissue"} | ({library_key, *library_key.split(",")} if library_key else set())
    with_names = (adata.n_obs <= _MOST_NAMES or len(libraries) > 1 or "index:" in (library_key or ""))
    options = {"gene_key": gene_key or "", "library_key": library_key or "", "overlay": bool(overlay),
               "positions_required": positions_required, "counts_scale": counts_scale, "log_hint": _log_hint(adata),
               "spatial_libraries": libraries,
               "genes_of_raw": 0 if use_raw or adata.raw is None else int(adata.raw.shape[1])}
    return _stofm.make_slice("adata", path, matrix_parts(matrix, path), obs_frame(adata.obs, wanted, with_names),
                             var_frame(var), where, source, _beside(adata, path), options)
