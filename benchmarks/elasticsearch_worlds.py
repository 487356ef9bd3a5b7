"""Made indices for the Elasticsearch benchmarks.

    python benchmarks/elasticsearch_worlds.py INDEX ...      statistics of indices in folders

A world has the shape that trained heads have; the constants were fitted by these statistics to those of real ones:

- Spectra. The covariances of head rows and of features fall exponentially: in the direction number d of D as
  exp(-d / (D s)), s = 0.18 for rows and 0.09 for features, in common directions that a random rotation hides.
- Classes. An entity's latent position is the sum of a group's, a class's and its own; half of the variance is the
  class's and its group's in the leading directions, less further on. Classes have log-normal sizes.
- A feature follows its own head row with correlation 0.8 in every direction.
- All features share a large mean, most of it where head rows vary little.
- Head rows have nearly one length, as weight decay leaves them; `spread` makes lengths log-normal instead.
- The bias column has half the variance of an average column.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entity_expand._version import __version__
from entity_expand.search.frame import pair_frame_of
from entity_expand.search.scoring import EntityRows, entity_rows, head_statistics
from entity_expand.stores.base import Facts, IndexMeta, Rows, VectorField
from entity_expand.stores.memory import MemoryStore

CLASS, GROUP = 100, 12
ROW_DECAY, FEATURE_DECAY, SHARED, SHARED_DECAY = 0.18, 0.09, 0.5, 0.3
CORRELATION, DEVIATION, POPULARITY, FEATURE_RMS = 0.8, 1.2, 0.15, 0.9
_BLOCK = 8_192


@dataclass(frozen=True)
class World:
    """A made index: stored rows, and the class of each entity (n,)."""

    rows: EntityRows
    label: np.ndarray

    @property
    def dimension(self) -> int:
        """D."""
        return self.rows.head.shape[1] - 1

    def facts(self, exact: bool) -> Facts:
        """Return what an expansion must know of the index."""
        n = len(self.rows)
        meta = IndexMeta("0", "0", "", "both", None, "", self.dimension, n, n, n, n, __version__)
        heads = np.einsum("nw,nw->n", self.rows.head, self.rows.head, dtype=np.float64)
        frame = pair_frame_of(self.rows)
        norms: dict[VectorField, float] = {"head": float(np.sqrt(heads.max())), "pair": frame.largest_norm(self.rows)}
        return Facts(meta, norms, np.zeros(self.dimension), exact, frame)

    def members_of(self, rng: np.random.Generator, least: int) -> np.ndarray:
        """Return the members, in random order, of a class of at least `least` that a random entity is in."""
        sizes = np.bincount(self.label)
        while True:
            label = self.label[rng.integers(len(self.label))]
            if sizes[label] >= least:
                return rng.permutation(np.flatnonzero(self.label == label))


def make_world(size: int, dimension: int, spread: float = 0.0, seed: int = 0) -> World:
    """Return a world of `size` entities; `spread` is the deviation of the logarithm of the rows' lengths."""
    rng = np.random.default_rng(seed)
    count = max(2, size // CLASS)
    popularity = rng.lognormal(0.0, 1.0, count)
    label = rng.choice(count, size, p=popularity / popularity.sum())
    rotation = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0].astype(np.float32)
    place = np.arange(dimension) / dimension
    row_scale, feature_scale = np.exp(-place / (2 * ROW_DECAY)), np.exp(-place / (2 * FEATURE_DECAY))
    shared = SHARED * np.exp(-place / SHARED_DECAY)
    mean = _mean_feature(rng, row_scale, feature_scale)
    feature_scale, mean = (
        part * FEATURE_RMS * np.sqrt(dimension / (feature_scale @ feature_scale + mean @ mean))
        for part in (feature_scale, mean)
    )
    row_scale = row_scale * DEVIATION / np.linalg.norm(row_scale * feature_scale)
    groups = rng.standard_normal((count // GROUP + 1, dimension))
    centres = np.sqrt(0.4 * shared) * groups[np.arange(count) // GROUP]
    centres += np.sqrt(0.6 * shared) * rng.standard_normal((count, dimension))
    weight, features = np.empty((size, dimension), np.float32), np.empty((size, dimension), np.float32)
    typical = np.linalg.norm(row_scale)
    for start in range(0, size, _BLOCK):
        part = slice(start, start + _BLOCK)
        position = centres[label[part]]
        position = position + np.sqrt(1 - shared) * rng.standard_normal(position.shape)
        noisy = CORRELATION * position + np.sqrt(1 - CORRELATION**2) * rng.standard_normal(position.shape)
        rows = row_scale * position
        lengths = np.sqrt(np.linalg.norm(rows, axis=1) / typical)
        lengths /= rng.lognormal(0.0, spread, len(rows)) if spread else 1.0
        weight[part] = (rows / lengths[:, None]).astype(np.float32) @ rotation
        features[part] = (mean + feature_scale * noisy).astype(np.float32) @ rotation
    bias = (np.sqrt(0.5) * weight.std() * rng.standard_normal(size)).astype(np.float32)
    return World(_stored(weight, bias, features), label)


def _mean_feature(rng: np.random.Generator, row_scale: np.ndarray, feature_scale: np.ndarray) -> np.ndarray:
    """Return a mean feature as long as 0.9 features whose scores deviate by `POPULARITY` of a feature's own."""
    size = len(row_scale)
    tail = np.where(np.arange(size) >= size // 2, rng.standard_normal(size), 0.0)
    tail *= 0.9 * np.linalg.norm(feature_scale) / np.linalg.norm(tail)
    front = feature_scale * rng.standard_normal(size)
    front *= POPULARITY * np.linalg.norm(feature_scale * row_scale) / np.linalg.norm(front * row_scale)
    mean: np.ndarray = tail + front
    return mean


def _stored(weight: np.ndarray, bias: np.ndarray, features: np.ndarray) -> EntityRows:
    vocabulary = np.column_stack([weight, bias]).astype(np.float64)
    statistics = head_statistics(vocabulary)
    found = []
    for start in range(0, len(weight), _BLOCK):
        part = slice(start, start + _BLOCK)
        found.append(entity_rows(features[part], vocabulary[part], vocabulary, statistics))
    names = ("head", "scaled", "deviation", "log_offset")
    return EntityRows(*(np.concatenate([getattr(block, name) for block in found]) for name in names))


def kept_world(folder: Path, size: int, dimension: int, spread: float = 0.0) -> World:
    """Return a world, from a file in `folder` if it was made before."""
    path = folder / f"world-{size}-{dimension}-{spread:g}.npz"
    if not path.exists():
        world = make_world(size, dimension, spread)
        rows = world.rows
        partial = path.with_suffix(".part.npz")
        np.savez(
            partial,
            head=rows.head,
            scaled=rows.scaled,
            deviation=rows.deviation,
            offset=rows.log_offset,
            label=world.label,
        )
        partial.replace(path)
    with np.load(path) as saved:
        rows = EntityRows(saved["head"], saved["scaled"], saved["deviation"], saved["offset"])
        return World(rows, saved["label"])


def shape_of(text: str) -> tuple[int, int, float]:
    """Return entities, dimension and spread of a world such as "14489x768" or "14489x768+0.25"."""
    sizes, _, spread = text.partition("+")
    size, dimension = sizes.split("x")
    return int(size), int(dimension), float(spread or 0)


def statistics_of(rows: EntityRows) -> dict[str, str]:
    """Return what describes the shape of an index, in the words of the result page's table."""
    head, scaled, n = rows.head.astype(np.float64), rows.scaled.astype(np.float64), len(rows)
    chosen = np.random.default_rng(0).permutation(n)[:400]
    scores = scaled[chosen] @ head.T
    own = scores[np.arange(len(chosen)), chosen].copy()
    scores[np.arange(len(chosen)), chosen] = -np.inf
    best = -np.sort(-scores, axis=1)[:, [0, 9, min(99, n - 2)]].mean(axis=0)
    features = scaled[:, :-1] / scaled[:, -1:]
    features -= features.mean(axis=0)
    lengths, sizes = np.linalg.norm(head, axis=1), np.linalg.norm(scaled, axis=1)
    products = np.einsum("nd,nd->n", features, head[:, :-1])
    cosine = products / np.linalg.norm(features, axis=1) / np.linalg.norm(head[:, :-1], axis=1)
    return {
        "energy of R in the first 5 / 20 / 50 % of directions": _spectrum(head[:, :-1]),
        "energy of the features in them": _spectrum(features),
        "cosine of a centred feature and its own row": f"{cosine.mean():.2f}",
        "length of R, deviation / mean": f"{lengths.std() / lengths.mean():.3f}",
        "length of the mean G / mean length of G": f"{np.linalg.norm(scaled.mean(axis=0)) / sizes.mean():.2f}",
        "mean length of G / of R": f"{sizes.mean() / lengths.mean():.1f}",
        "variance of the bias / of an average column of R": f"{head[:, -1].var() / head[:, :-1].var():.2f}",
        "score of an entity for itself": f"{own.mean():.1f}",
        "1st / 10th / 100th score of others": " / ".join(f"{score:.1f}" for score in best),
        "deviation of an entity's mean score": f"{(scaled.mean(axis=0) @ head.T).std():.2f}",
    }


def _spectrum(vectors: np.ndarray) -> str:
    centred = (vectors - vectors.mean(axis=0))[:4_000]
    energy = np.linalg.svd(centred, compute_uv=False) ** 2
    rank = min(len(centred) - 1, centred.shape[1])
    share = np.cumsum(energy) / energy.sum()
    return " / ".join(f"{share[max(1, int(rank * part)) - 1]:.2f}" for part in (0.05, 0.2, 0.5))


def main() -> None:
    """Print the statistics of indices in folders, to be compared with those of the made ones."""
    for name in sys.argv[1:]:
        store = MemoryStore.open(name)
        count = store.begin().facts.meta.entities
        (rows,) = store.begin().answer([Rows(np.arange(count))])
        print(f"{name}: {count} entities, D = {rows.head.shape[1] - 1}")
        for what, value in statistics_of(rows).items():
            print(f"    {what}: {value}")


if __name__ == "__main__":
    main()
