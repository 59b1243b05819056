# SPDX-License-Identifier: MIT
import os
from typing import Any, List, Optional, Sequence, Union

from anndata import AnnData

__all__ = ["spatial"]

def spatial(
    adata: AnnData,
    color: Optional[Union[str, Sequence[str]]] = None,
    *,
    spatial_key: str = "spatial",
    layer: Optional[str] = None,
    size: Optional[float] = None,
    ncols: int = 2,
    cmap: str = "viridis",
    ax: Optional[Any] = None,
    save: Optional[Union[str, "os.PathLike[str]"]] = None,
    show: Optional[bool] = None,
) -> Union[None, Any, List[Any]]: ...
