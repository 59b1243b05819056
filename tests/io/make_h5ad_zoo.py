#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/formats/*.h5ad: one small slice in the storage forms that .h5ad files come in.

The slice: cells 0, 100, 200, ... (60 of them) of tests/data/osmfish_sscortex_6471.h5ad (MIT, Codeluppi et al. 2018).
Needs anndata >= 0.11, h5py, scipy. Usage: make_h5ad_zoo.py REPOSITORY_ROOT
"""
import pathlib
import shutil
import sys

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

ROOT = pathlib.Path(sys.argv[1])
OUT = ROOT / "tests" / "data" / "formats"


def base():
    whole = ad.read_h5ad(ROOT / "tests" / "data" / "osmfish_sscortex_6471.h5ad")
    a = whole[0:6000:100].copy()
    a.X = sp.csr_matrix(a.X, dtype=np.float32)
    a.X.sort_indices()
    a.obs = a.obs[["region"]].copy()
    for column in a.obs:
        a.obs[column] = a.obs[column].cat.remove_unused_categories()
    a.var = a.var[["gene_symbol", "ensembl_id"]].copy()
    a.uns = {"provenance": "osmFISH, Codeluppi et al. 2018"}
    return a


OLD = {}  # as h5py writes by default: every reader, superblock 0
COMPACT = {"libver": ("v110", "v110")}  # superblock 3, half the size


def write(a, name, compression="gzip", form=COMPACT):
    path = OUT / f"{name}.h5ad"
    path.unlink(missing_ok=True)
    a.write_h5ad(path)
    repack(path, compression, **form)
    return path


def repack(path, compression="keep", **kwargs):
    """Copies the objects to a fresh file: no holes, no empty groups, and only X, layers and raw/X in chunks (an index of
    chunks costs more than these data)."""
    fresh = path.with_suffix(".fresh")
    with h5py.File(path, "r") as source, h5py.File(fresh, "w", **kwargs) as target:
        target.attrs.update(source.attrs)

        def copy(name, thing):
            if isinstance(thing, h5py.Group):
                if len(thing) > 0 or name in ("obsm", "uns"):
                    target.require_group(name).attrs.update(thing.attrs)
                return
            options = {}
            if compression == "keep":
                options = dict(chunks=thing.chunks, compression=thing.compression, shuffle=thing.shuffle,
                               fletcher32=thing.fletcher32)
            elif compression and name.split("/")[0] in ("X", "layers", "raw") and "var" not in name:
                options = dict(chunks=True, compression=compression)
            target.create_dataset(name, data=thing[()], dtype=thing.dtype, **options).attrs.update(thing.attrs)

        source.visititems(copy)
    shutil.move(fresh, path)


def rewrite(path, name, values, form=COMPACT, **kwargs):
    """Replaces one data set, keeping its attributes."""
    with h5py.File(path, "r+") as f:
        attrs = dict(f[name].attrs)
        del f[name]
        f.create_dataset(name, data=values, **kwargs).attrs.update(attrs)
    repack(path, **form)


def legacy(path):
    """The way anndata 0.7 wrote data frames: codes with __categories, dataframe 0.1.0."""
    with h5py.File(path, "r+") as f:
        for frame in ("obs", "var"):
            g = f[frame]
            g.attrs["encoding-version"] = "0.1.0"
            for column in [c for c in g if isinstance(g[c], h5py.Group)]:
                codes, names = g[column]["codes"][:], g[column]["categories"][:]
                del g[column]
                store = g.require_group("__categories")
                store.create_dataset(column, data=names, dtype=h5py.string_dtype())
                store[column].attrs["ordered"] = False
                g.create_dataset(column, data=codes)
                g[column].attrs["categories"] = store[column].ref
            for column in [c for c in g if isinstance(g[c], h5py.Dataset)]:
                for attribute in ("encoding-type", "encoding-version"):
                    g[column].attrs.pop(attribute, None)
        for key in ("obsm", "uns"):
            for attribute in ("encoding-type", "encoding-version"):
                f[key].attrs.pop(attribute, None)
                for child in f[key].values():
                    child.attrs.pop(attribute, None)
        for attribute in ("encoding-type", "encoding-version"):
            f.attrs.pop(attribute, None)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    ad.settings.allow_write_nullable_strings = True
    a = base()
    write(a, "csr_f32_gzip", form=OLD)
    write(a, "superblock_v2_nocompress", compression=None, form={"libver": ("v108", "v108")})
    write(a, "csr_f32_lzf", compression="lzf", form=OLD)

    b = a.copy()
    b.X = b.X.astype(np.float64)
    b.X.indices, b.X.indptr = b.X.indices.astype(np.int64), b.X.indptr.astype(np.int64)
    write(b, "csr_f64_idx64")
    b = a.copy()
    b.X = b.X.astype(np.int32)
    write(b, "csr_i32")
    b.X = b.X.astype(np.uint16)
    path = write(b, "csr_f8_big_endian")
    values = a.X.data
    rewrite(path, "X/data", values.astype(">f8"), chunks=(500,), shuffle=True, compression="gzip")
    path = write(b, "csr_f2_fletcher32_indptr_u8")
    rewrite(path, "X/data", values.astype(np.float16), chunks=(500,), shuffle=True, fletcher32=True, compression="gzip")
    rewrite(path, "X/indptr", a.X.indptr.astype(np.uint64))
    path = write(b, "csr_unsorted")
    shuffled = a.X.copy()
    order = np.concatenate([np.arange(s, e)[::-1] for s, e in zip(shuffled.indptr[:-1], shuffled.indptr[1:])])
    rewrite(path, "X/indices", shuffled.indices[order], compression="gzip")
    rewrite(path, "X/data", shuffled.data[order], compression="gzip")
    b = a.copy()
    b.X = sp.csc_matrix(b.X)
    write(b, "csc")
    b = a.copy()
    b.X = b.X.toarray()
    path = write(b, "dense_f32")
    rewrite(path, "X", b.X, chunks=(50, 10), compression="gzip")
    path = write(b, "dense_u16_lzf")
    rewrite(path, "X", b.X.astype(np.uint16), chunks=(7, 33), compression="lzf")
    path = write(b, "dense_i2_contiguous")
    rewrite(path, "X", b.X.astype(np.int16))

    repack(write(a, "user_block"), userblock_size=1024, **COMPACT)
    legacy(write(a, "legacy_0.7", form=OLD))

    b = a.copy()
    b.obs.index = pd.Index(pd.array(b.obs.index, dtype="string"))
    b.var.index = pd.Index(pd.array(b.var.index, dtype="string"))
    write(b, "nullable_index")
    b = a.copy()
    b.obs["integer"] = pd.array([None if i % 7 == 0 else i for i in range(b.n_obs)], dtype="Int64")
    b.obs["boolean"] = pd.array([None if i % 5 == 0 else i % 2 == 0 for i in range(b.n_obs)], dtype="boolean")
    b.obs["text"] = pd.array([None if i % 3 == 0 else f"t{i}" for i in range(b.n_obs)], dtype="string")
    write(b, "nullable_columns")
    b = a.copy()
    b.obs.index = [f"Zelle-{i}-µ-細胞" for i in range(b.n_obs)]
    b.obs["régiön"] = pd.Categorical(["皮質" if i % 2 else "häutig" for i in range(b.n_obs)])
    write(b, "utf8_names")

    rng = np.random.default_rng(1)
    b = a.copy()
    b.layers["counts"] = b.X.copy()
    b.X = b.X.copy()
    b.X.data = np.log1p(b.X.data)
    write(b, "lognorm_X_counts_layer")
    b = a.copy()
    b.raw = b.copy()
    b = b[:, :20].copy()
    b.X.data = np.log1p(b.X.data)
    write(b, "lognorm_X_counts_raw")

    b = a.copy()
    b.obs["x"], b.obs["y"] = b.obsm["spatial"].T
    del b.obsm["spatial"]
    write(b, "no_obsm_spatial_xy_in_obs")
    b = a.copy()
    b.obsm["spatial"] = np.column_stack([b.obsm["spatial"], rng.normal(size=b.n_obs)])
    write(b, "spatial_3d")
    b = a.copy()
    b.obsm["spatial"][[3, 7]] = [[np.nan, 1], [2, np.inf]]
    write(b, "nan_coordinates")

    b = a.copy()
    b.var = pd.DataFrame(index=pd.Index(a.var["gene_symbol"].astype(str)))
    b.var.index.name = None
    write(b, "symbols_only")
    b = a.copy()
    dense = b.X.toarray()
    dense[[5, 9]] = 0
    b.X = sp.csr_matrix(dense)
    write(b, "two_all_zero_cells")
    write(a[:0].copy(), "zero_cells")
    print(sum(p.stat().st_size for p in OUT.glob("*.h5ad")), "bytes,", len(list(OUT.glob("*.h5ad"))), "files")


main()
