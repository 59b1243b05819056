# SPDX-License-Identifier: MIT
import os
from typing import Any, Callable, Dict, List, Literal, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from anndata import AnnData

from . import pl as pl
from . import tl as tl

__version__: str

class Error(Exception):
    code: str
    file: str
    where: str
    found: str
    expected: str
    remedy: str
    exit_code: int

class UsageError(Error, ValueError): ...
class FileError(Error, ValueError): ...
class DataError(Error, ValueError): ...
class ResourceError(Error, RuntimeError): ...
class DeviceError(Error, RuntimeError): ...
class StofmWarning(UserWarning): ...

class Model:
    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def info(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def notices(self) -> List[Tuple[str, str, int]]: ...

class Parts(NamedTuple):
    macro: np.ndarray
    piece: np.ndarray
    pieces: List[Dict[str, Any]]
    libraries: List[str]

_Weights = Union[str, "os.PathLike[str]", Model]
_Progress = Union[bool, Callable[[str, int, int, str], object]]

def bundled_model() -> str: ...
def load_model(
    path: Optional[Union[str, "os.PathLike[str]"]] = None, dtype: Literal["float32", "bfloat16"] = "float32"
) -> Model: ...
def embed(
    adata: AnnData,
    model: Optional[_Weights] = None,
    *,
    key_added: Optional[str] = None,
    spatial_key: str = "spatial",
    layer: Optional[str] = None,
    use_raw: bool = False,
    library_key: Optional[str] = None,
    gene_key: Optional[str] = None,
    species: Literal["auto", "human", "mouse"] = "auto",
    min_coverage: float = 0.1,
    counts_scale: Literal["auto", "counts", "linear", "log1p", "log2", "log10"] = "auto",
    overlay: bool = False,
    cells_only: bool = False,
    clustering: Literal["leiden", "kmeans"] = "leiden",
    clusters: int = 0,
    alpha: float = 0.2,
    resolution: float = 1.0,
    split: int = 1000,
    merge_slivers: bool = False,
    geometry: Literal["reference", "stable"] = "reference",
    seed: int = 0,
    dtype: Literal["float32", "bfloat16"] = "float32",
    threads: Optional[int] = None,
    max_memory: Optional[int] = None,
    progress: Optional[_Progress] = None,
    copy: bool = False,
    return_parts: bool = False,
) -> Union[None, AnnData, Parts, Tuple[AnnData, Parts]]: ...
def cluster(
    adata: AnnData,
    n_clusters: Optional[int] = None,
    *,
    method: Literal["leiden", "gmm", "kmeans"] = "leiden",
    resolution: float = 1.0,
    n_neighbors: int = 15,
    use_rep: str = "X_stofm",
    library_key: Optional[str] = None,
    key_added: str = "stofm_cluster",
    seed: int = 0,
    threads: Optional[int] = None,
    copy: bool = False,
) -> Optional[AnnData]: ...
def annotate(
    adata: AnnData,
    train: Optional[Union[AnnData, Sequence[AnnData]]] = None,
    label: str = "cell_type",
    model: Optional[_Weights] = None,
    *,
    head: Optional[Union[str, "os.PathLike[str]"]] = None,
    save: Optional[Union[str, "os.PathLike[str]"]] = None,
    key_added: str = "stofm_cell_type",
    tune: Literal["none", "all"] = "none",
    use: str = "cells+genes",
    epochs: int = 20,
    class_weights: Literal["balanced", "none"] = "balanced",
    center: Literal["auto", "on", "off"] = "auto",
    smooth: int | Literal["auto"] = 0,
    unassigned_below: float = 0.0,
    ignore_labels: Sequence[str] = (),
    spatial_key: str = "spatial",
    layer: Optional[str] = None,
    use_raw: bool = False,
    library_key: Optional[str] = None,
    gene_key: Optional[str] = None,
    species: Literal["auto", "human", "mouse"] = "auto",
    min_coverage: float = 0.1,
    counts_scale: Literal["auto", "counts", "linear", "log1p", "log2", "log10"] = "auto",
    overlay: bool = False,
    seed: int = 0,
    threads: Optional[int] = None,
    max_memory: Optional[int] = None,
    progress: Optional[_Progress] = None,
    copy: bool = False,
) -> Optional[AnnData]: ...
def segment(
    adata: AnnData,
    train: Optional[Union[AnnData, Sequence[AnnData]]] = None,
    label: str = "region",
    model: Optional[_Weights] = None,
    *,
    head: Optional[Union[str, "os.PathLike[str]"]] = None,
    save: Optional[Union[str, "os.PathLike[str]"]] = None,
    key_added: str = "stofm_region",
    tune: Literal["none", "all"] = "none",
    use: str = "auto",
    epochs: int = 20,
    class_weights: Literal["balanced", "none"] = "balanced",
    center: Literal["auto", "on", "off"] = "auto",
    smooth: int | Literal["auto"] = "auto",
    unassigned_below: float = 0.0,
    ignore_labels: Sequence[str] = (),
    spatial_key: str = "spatial",
    layer: Optional[str] = None,
    use_raw: bool = False,
    library_key: Optional[str] = None,
    gene_key: Optional[str] = None,
    species: Literal["auto", "human", "mouse"] = "auto",
    min_coverage: float = 0.1,
    counts_scale: Literal["auto", "counts", "linear", "log1p", "log2", "log10"] = "auto",
    overlay: bool = False,
    seed: int = 0,
    threads: Optional[int] = None,
    max_memory: Optional[int] = None,
    progress: Optional[_Progress] = None,
    copy: bool = False,
) -> Optional[AnnData]: ...
