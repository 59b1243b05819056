# SPDX-License-Identifier: MIT
"""SToFM, a foundation model of spatial transcriptomics: one embedding per cell of an AnnData.

>>> import scanpy as sc, stofm
>>> adata = sc.read_h5ad("slice.h5ad")
>>> stofm.embed(adata)                                # adata.obsm["X_stofm"]
>>> sc.pp.neighbors(adata, use_rep="X_stofm")
"""
from . import pl, tl
from ._embed import Parts, bundled_model, embed, load_model
from ._errors import DataError, DeviceError, Error, FileError, ResourceError, StofmWarning, UsageError
from ._stofm import Model
from ._stofm import version as __version__
from ._tasks import annotate, cluster, segment

__all__ = ["DataError", "DeviceError", "Error", "FileError", "Model", "Parts", "ResourceError", "StofmWarning",
           "UsageError", "annotate", "bundled_model", "cluster", "embed", "load_model", "pl", "segment", "tl"]
