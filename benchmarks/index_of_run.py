"""Write an embedded index of the entities that a run was trained on, by its own features, without an export.

    python benchmarks/index_of_run.py RUN CORPUS INDEX [--cache DIR] [--picture-weight 0.5]

Texts and pictures are encoded apart, as with `entity-expand index build --late-fusion --modalities`; what training had
encoded is used again. The index has no evidence, and no bundle fits it.
"""

import argparse
from pathlib import Path

import numpy as np

from entity_expand._version import __version__
from entity_expand.corpus import Corpus
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import PARTS, IndexMeta, Record
from entity_expand.stores.writing import use_version, write_version
from indexer.prepare import masked
from training.checkpoint import load_checkpoint
from training.data import training_set
from training.experiments.describe import Way
from training.experiments.encoding import Trained
from training.experiments.measuring import Tables
from training.table import EntityTable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--picture-weight", type=float, default=0.5)
    args = parser.parse_args()
    config = load_checkpoint(args.run, "preferred").config
    with Corpus.open(args.corpus) as corpus:
        data = training_set(corpus, config.data)
        cache = args.cache or args.run / "cache"
        trained = Trained.load(args.run, corpus, data.samples, data.labels[: data.trained], cache)
        tables = Tables(trained, config.loop.seed)
        table = tables.of(Way("", "apart", picture_weight=args.picture_weight))
        parts = {part: [aligned(tables.of(Way("", part)), table.entities)] for part in PARTS}
        entities = [data.entities[row] for row in table.entities.tolist()]
        width, count = table.rows.head.shape[1], len(entities)
        meta = IndexMeta(
            "", corpus.content_hash, str(corpus.root.absolute()), "both", args.picture_weight, "", width - 1,
            table.vocabulary, count, count, data.trained, __version__,
        )  # fmt: skip
        filled = args.index / "filled"
        filled.mkdir(parents=True)
        labels = data.labels[: data.trained]
        texts = (masked([corpus.sample(n) for n in data.samples[np.flatnonzero(labels == row)].tolist()])
                 for row in table.entities)  # fmt: skip
        records = (Record(entity, True, 1, ()) for entity in entities)
        write_version(filled, meta, [table.rows], records, texts=texts, parts=parts)
        use_version(args.index, filled, "run")


def aligned(table: EntityTable, entities: np.ndarray) -> EntityRows:
    """Return the rows of entities, 0 for those that a table lacks."""
    places = table.places(entities)
    rows = table.rows.take(np.maximum(places, 0))
    for array in (rows.head, rows.scaled, rows.deviation, rows.log_offset):
        array[places < 0] = 0
    return rows


if __name__ == "__main__":
    main()
