# SPDX-License-Identifier: MIT
"""Plots, thin over matplotlib, which must be installed (pip install "stofm[plot]")."""
import numpy as np
import pandas as pd

from ._adata import positions
from ._errors import UsageError

__all__ = ["spatial"]


def _values(adata, name, layer):
    if name in adata.obs:
        return adata.obs[name]
    if name in adata.var_names:
        return pd.Series(np.asarray(adata.obs_vector(name, layer=layer), float), index=adata.obs_names)
    raise UsageError("STOFM-3552", "adata", "color", repr(name), "a column of obs or a gene of var_names",
                     "Name one that is there.")


def _colours(adata, name, categories, default):
    """Those of uns, where they are as many, else the default ones."""
    known = adata.uns.get(f"{name}_colors")
    return list(known) if known is not None and len(known) >= len(categories) else [
        default(i) for i in range(len(categories))]


def spatial(adata, color=None, *, spatial_key="spatial", layer=None, size=None, ncols=2, cmap="viridis", ax=None,
            save=None, show=None):
    """Cells where they are, coloured.

    Parameters
    ----------
    adata : anndata.AnnData
        With ``adata.obsm[spatial_key]``.
    color : str or list of str, optional
        Columns of ``adata.obs`` or genes; a panel for each.
    spatial_key : str
        Key of ``adata.obsm`` with the positions.
    layer : str, optional
        Where the values of genes are taken from.
    size : float, optional
        Of a point, in points squared; by the number of cells if None.
    ncols : int
        Panels in a row.
    cmap : str
        Colour map of numbers.
    ax : matplotlib.axes.Axes, optional
        Draw there; for one panel.
    save : str or path-like, optional
        Write the figure.
    show : bool, optional
        Show the figure; if None, where it is neither saved nor drawn into `ax`.

    Returns
    -------
    matplotlib.axes.Axes or list of them
        None where the figure was shown.
    """
    import matplotlib.pyplot as plt

    names = [None] if color is None else [color] if isinstance(color, str) else list(color)
    xy = positions(adata, spatial_key)[0]
    size = size or min(40.0, max(0.5, 60000.0 / max(1, adata.n_obs)))
    if ax is not None:
        if len(names) != 1:
            raise UsageError("STOFM-2094", "", "ax", f"{len(names)} panels", "one", "Leave ax out.")
        axes = [ax]
    else:
        columns = min(ncols, len(names))
        rows = -(-len(names) // columns)
        figure, grid = plt.subplots(rows, columns, figsize=(5.5 * columns, 4.5 * rows), squeeze=False,
                                    layout="constrained")
        axes = list(grid.flat)
    for name, one in zip(names, axes):
        points = {"s": size, "linewidths": 0, "rasterized": True}
        values = None if name is None else _values(adata, name, layer)
        if values is None:
            one.scatter(xy[:, 0], xy[:, 1], color="grey", **points)
        elif pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
            drawn = one.scatter(xy[:, 0], xy[:, 1], c=values.to_numpy(float), cmap=cmap, **points)
            one.figure.colorbar(drawn, ax=one, shrink=0.7)
        else:
            groups = values.astype("category").cat
            default = plt.get_cmap("tab10" if len(groups.categories) <= 10 else "tab20")
            colours = _colours(adata, name, groups.categories, lambda i: default(i % default.N))
            codes = groups.codes.to_numpy()
            for code, category in enumerate(groups.categories):
                here = codes == code
                one.scatter(xy[here, 0], xy[here, 1], color=colours[code], label=str(category), **points)
            if (codes < 0).any():
                one.scatter(xy[codes < 0, 0], xy[codes < 0, 1], color="lightgrey", label="none", **points)
            if len(groups.categories) <= 40:
                legend = one.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small",
                                    ncols=1 + len(groups.categories) // 21)
                for handle in legend.legend_handles:
                    handle.set_sizes([30])
        one.set_title(name or "")
        one.set_aspect("equal")
        if not one.yaxis_inverted():
            one.invert_yaxis()  # y points down, as in the images that positions come from
        one.set_xticks([])
        one.set_yticks([])
    for one in axes[len(names):]:
        one.axis("off")
    if save is not None:
        axes[0].figure.savefig(save, dpi=150)
    if show or (show is None and save is None and ax is None):
        plt.show()
        return None
    return axes[0] if len(names) == 1 else axes[:len(names)]
