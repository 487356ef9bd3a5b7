"""Parts of a corpus, by entities, as corpora of their own that can be trained on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from entity_expand.corpus import Corpus, OwnRow, read_queries, read_truth, write_corpus, write_queries, write_truth
from entity_expand.errors import CorpusError
from entity_expand.files import confined, new_folder
from training.experiments.measuring import FOLDERS


def write_part(corpus: Corpus, folder: Path, kept: frozenset[str], truth: str = "gt") -> Path:
    """Write the part of a corpus that is about some entities, unless it is there already.

    Classes keep those members that are kept, and go if fewer than four are left; queries go with a seed that is not
    kept. Pictures are linked where the disk can, else copied.

    Args:
        corpus: The whole.
        folder: Where to.
        kept: Ids of the entities.
        truth: Folder of the members of the classes.

    Returns:
        The folder.

    Raises:
        CorpusError: A picture or a folder cannot be read.
    """
    if folder.is_dir():
        return folder
    with new_folder(folder) as beside:
        entities = [entity for entity in corpus.entities if entity.id in kept]
        write_corpus(beside, entities, _rows(corpus, kept, beside))
        members = {name: sorted(ids & kept) for name, ids in read_truth(corpus.root / truth).items()}
        left = {name: ids for name, ids in members.items() if len(ids) >= 4}
        names = {entity.id: entity.name for entity in entities}
        write_truth(
            beside / truth, {name: [(each, names.get(each, each)) for each in ids] for name, ids in left.items()}
        )
        for name in FOLDERS.values():
            if (corpus.root / name).is_dir():
                asked = [query for query in read_queries(corpus.root / name) if query.class_name in left]
                write_queries(beside / name, [query for query in asked if kept.issuperset(query.seeds)])
    return folder


def _rows(corpus: Corpus, kept: frozenset[str], folder: Path) -> Iterator[OwnRow]:
    """Yield one row per sample, and put its picture into the folder."""
    for number in range(len(corpus)):
        sample = corpus.sample(number)
        identifier = corpus.entities[sample.entity].id
        if identifier not in kept:
            continue
        path = corpus.image_path(sample)
        if path is not None and sample.image is not None:
            _linked(path, confined(folder, sample.image, CorpusError))
        mentions = tuple((identifier, start, end) for start, end in sample.mentions) or ((identifier, 0, 0),)
        yield OwnRow(sample.text, mentions, sample.image, corpus.splits[corpus.sample_split[number]])


def _linked(path: Path, target: Path) -> None:
    if target.exists() or not path.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)
