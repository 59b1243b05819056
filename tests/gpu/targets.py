# SPDX-License-Identifier: MIT
"""The figures that the CUDA kernels are to reach on one H200, beside what a report of tests/gpu/run.py found.

Every ratio is of figures of one report, so of one device and one run. A figure that was not measured stays None, and so
does whether its target is met.
"""


def ratio(a, b):
    return a / b if a and b else None


def milliseconds(figure):
    return figure["real_time"] * {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}[figure["time_unit"]] if figure else None


def of(report):
    """[{"what", "found", "unit", "target", "met", and where they are known "aim", "with", "peer"}]"""
    def bench(program, name):
        """The figure of the benchmark called `name`, or `name`/manual_time, `name`/real_time; None if it is missing or failed."""
        for figure in report.get("benchmarks", {}).get(program, {}).get("figures", []):
            if figure.get("name") in (name, name + "/manual_time", name + "/real_time") and not figure.get("error_occurred"):
                return figure
        return None

    def peer(name, field="median_ms"):
        entry = report.get("peers", {}).get(name, {})
        return entry.get(field) if isinstance(entry, dict) and entry.get("result") == "passed" else None

    rows = []

    def row(what, found, unit, target, at_least, **more):
        met = None if found is None else found >= target if at_least else found <= target
        rows.append({"what": what, "found": found, "unit": unit, "target": f"{'>=' if at_least else '<='} {target:g}", "met": met,
                     **{key: value for key, value in more.items() if value is not None}})

    forward = milliseconds(bench("se2_forward_gpu_bench", "forward/split_bf16/B:1/N:1050"))
    row("forward of 1 sub-slice of 1050 nodes, float32 grade", forward, "ms", 0.30, False, aim="<= 0.12",
        **{"with": "split_bf16" if forward else None})
    for mode, factor in (("eager", 15), ("compile", 5)):
        row(f"the same, times faster than PyTorch {mode} in float32", ratio(peer(f"forward {mode} float32"), forward), "x", factor,
            True, peer=peer(f"forward {mode} float32"))
    batch = bench("se2_forward_gpu_bench", "forward/bf16/B:64/N:1050") or {}
    row("forward of 64 sub-slices in bfloat16", batch.get("sub-slices/s"), "sub-slices/s", 10000, True, aim=">= 16000")
    for precision, dtype in (("split_bf16", "float32"), ("bf16", "bfloat16")):
        step = bench("se2_train_gpu_bench", f"step/{precision}/B:16/N:1050")
        for mode, factor in (("eager", 15), ("compile", 5)):
            row(f"training step of 16 sub-slices, {dtype}, times faster than PyTorch {mode}",
                ratio(peer(f"train {mode} {dtype}"), milliseconds(step)), "x", factor, True, peer=peer(f"train {mode} {dtype}"))
        bytes_of_eager = peer(f"train eager {dtype}", "peak_bytes")
        row(f"training step of 16 sub-slices, {dtype}, share of the memory of PyTorch eager",
            ratio((step or {}).get("device_MiB", 0) * 2**20, bytes_of_eager), "", 0.1, False, peer=bytes_of_eager)
    cells = bench("cell_encoder_gpu_bench", "embed/bf16/cells:512") or {}
    products = bench("cell_encoder_gpu_bench", "products_by_cublas/tokens:65536") or {}
    row("cell encoder in bfloat16, 200 to 2048 tokens, share of cuBLAS's rate on its products",
        ratio(cells.get("FLOP/s"), products.get("FLOP/s")), "", 0.6, True)
    steps = {way: milliseconds(bench("kmeans_gpu_bench", f"kmeans/full_step/{way}/N:1000000/C:256/K:256"))
             for way in ("ours/f32", "cublas_cub/f32", "cublas_cub/tf32")}
    for way in ("cublas_cub/f32", "cublas_cub/tf32"):
        row(f"k-means step, 1M x 256, k = 256, times faster than {way}", ratio(steps[way], steps["ours/f32"]), "x", 1, True,
            peer=steps[way])
    for name in ("published sizes bfloat16", "published sizes float32"):
        entry = report.get("million_cells", {}).get(name, {})
        whole = entry.get("result") == "passed" and entry.get("cells", 0) >= 1000000
        row(f"1,000,000 cells from .h5ad to .h5ad, {name}", entry.get("seconds") if whole else None, "s", 60, False)
    return rows


def table(rows):
    """Lines to read."""
    def line(row):
        found = "not measured" if row["found"] is None else f"{row['found']:.4g} {row['unit']}".strip()
        return f"{ {True: 'met', False: 'MISSED', None: '-'}[row['met']]:<7}{found:>22}  {row['target']:<9} {row['what']}"
    return "\n".join(["target figures:", *map(line, rows)])
