# SPDX-License-Identifier: MIT
"""What bench/linear_probe.py and bench/training_quality.py share: slices, the representations a probe is run on, splits, and
the probe itself. Needs numpy, scipy, scikit-learn and anndata.

A representation is one row per cell. Nothing here but `probe` sees a label, and `probe` sees those of the training part only.
"""
import dataclasses
import pathlib
import subprocess
import sys
import warnings

try:
    import anndata
    import numpy as np
    import scipy.sparse
    from scipy.spatial import cKDTree
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.model_selection import StratifiedShuffleSplit
    from sklearn.preprocessing import StandardScaler
except ImportError as missing:
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {missing.name} is missing: pip install numpy scipy scikit-learn anndata")

NO_LABEL = ("Excluded", "unlabelled", "Ambiguous", "NA", "nan", "None", "")
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C of scikit-learn, the inverse of the L2 penalty


@dataclasses.dataclass
class Slice:
    name: str
    counts: scipy.sparse.csr_matrix  # [cells, genes]
    genes: list
    positions: np.ndarray  # [cells, 2]
    obs: object

    def labels(self, column):
        """Labels as text, and which cells have one."""
        text = self.obs[column].astype(str).to_numpy()
        return text, ~np.isin(text, NO_LABEL)


def read_slice(folder, name):
    data = anndata.read_h5ad(pathlib.Path(folder) / f"{name}.h5ad")
    return Slice(name, scipy.sparse.csr_matrix(data.X).astype(np.float64), list(data.var_names),
                 np.asarray(data.obsm["spatial"], np.float64)[:, :2], data.obs)


def log_normalised(slices, target=1e4):
    """log(1 + counts / total of the cell * target) of the genes that all slices have: [all cells, genes]."""
    genes = [gene for gene in slices[0].genes if all(gene in set(other.genes) for other in slices[1:])]
    parts = []
    for one in slices:
        total = np.maximum(np.asarray(one.counts.sum(axis=1)).ravel(), 1e-12)
        place = {gene: i for i, gene in enumerate(one.genes)}
        dense = one.counts[:, [place[gene] for gene in genes]].toarray()
        parts.append(np.log1p(dense / total[:, None] * target))
    return np.concatenate(parts)


def neighbour_mean(slices, values, neighbours=10):
    """Mean of the `neighbours` nearest other cells of the same slice; `values` has the rows of all slices in order."""
    means, start = [], 0
    for one in slices:
        rows = values[start:start + len(one.positions)]
        start += len(one.positions)
        nearest = cKDTree(one.positions).query(one.positions, neighbours + 1)[1]
        own = np.arange(len(rows))[:, None]
        # cells at one place: the cell itself need not come first, so it is taken out by number
        order = np.argsort(nearest == own, axis=1, kind="stable")
        means.append(rows[np.take_along_axis(nearest, order, axis=1)[:, :neighbours]].mean(axis=1))
    return np.concatenate(means)


def baselines(slices, components=30, seed=0):
    """PCA of the log-normalised counts of all cells, and the same beside its mean over ten neighbours."""
    counts = log_normalised(slices)
    pca = PCA(min(components, counts.shape[1] - 1), random_state=seed, svd_solver="full").fit_transform(counts)
    return {"PCA": pca, "PCA + 10 neighbours": np.concatenate([pca, neighbour_mean(slices, pca)], axis=1)}


def random_split(labels, seed, share=0.2):
    """Stratified 8:2 split of the rows: (training, test)."""
    return next(StratifiedShuffleSplit(1, test_size=share, random_state=seed).split(labels, labels))


def block_split(positions, seed, seeds, share=0.2):
    """Holds out the `share` of the cells that lie furthest in one direction; each seed has its own direction."""
    angle = 2 * np.pi * seed / seeds
    along = positions @ np.array([np.cos(angle), np.sin(angle)])
    order = np.argsort(along, kind="stable")
    cut = len(order) - int(round(share * len(order)))
    return np.sort(order[:cut]), np.sort(order[cut:])


def fit(values, labels, strength, start=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3, class_weight="balanced", warm_start=True)
        if start is not None and start.coef_.shape[0] > 1:
            model.coef_, model.intercept_, model.classes_ = start.coef_.copy(), start.intercept_.copy(), start.classes_
        return model.fit(values, labels)


def choose_strength(values, labels, seed):
    """The L2 strength with the best macro F1 on a fifth of the training part, by a fit on the rest of it."""
    names, counts = np.unique(labels, return_counts=True)
    rows = np.flatnonzero(np.isin(labels, names[counts >= 2]))
    inner, outer = next(StratifiedShuffleSplit(1, test_size=max(0.2, 1.01 * len(names) / len(rows)),
                                               random_state=1000 + seed).split(rows, labels[rows]))
    inner, outer = rows[inner], rows[outer]
    scale = StandardScaler().fit(values[inner])
    best, model = (-1.0, STRENGTHS[0]), None
    for strength in STRENGTHS:
        model = fit(scale.transform(values[inner]), labels[inner], strength, model)
        score = f1_score(labels[outer], model.predict(scale.transform(values[outer])), average="macro", zero_division=0)
        if score > best[0]:
            best = (score, strength)
    return best[1]


def probe(values, labels, train, test, seed, strength=None):
    """Accuracy, and macro F1 over the labels of the test part, of multinomial logistic regression on standardised inputs with
    classes weighted by one over their frequency (the floors of the data were measured so)."""
    strength = strength or choose_strength(values[train], labels[train], seed)
    scale = StandardScaler().fit(values[train])
    model = fit(scale.transform(values[train]), labels[train], strength)
    found = model.predict(scale.transform(values[test]))
    return {"accuracy": float(accuracy_score(labels[test], found)),
            "macro_f1": float(f1_score(labels[test], found, labels=np.unique(labels[test]), average="macro", zero_division=0)),
            "strength": float(strength)}


def stofm_embeddings(stofm, weights, source, work, cells_only=False, threads=0, extra=()):
    """Runs `stofm embed` unless its result is there already; obsm X_stofm, or X_stofm_cells with cells_only."""
    source, work = pathlib.Path(source), pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    result = work / f"{source.stem}.{'cells' if cells_only else 'stofm'}.h5ad"
    if not result.exists():
        command = [stofm, "embed", source, "-o", result, "--threads", threads, "--accept-noninteger", "-q"]
        command += ["--weights", weights] if weights else []
        command += ["--cells-only"] if cells_only else []
        subprocess.run([str(part) for part in [*command, *extra]], check=True)
    return np.asarray(anndata.read_h5ad(result).obsm["X_stofm_cells" if cells_only else "X_stofm"], np.float64)


def mean_and_sd(rows, key):
    values = np.array([row[key] for row in rows])
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] * len(header)) + " |"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])
