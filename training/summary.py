"""What a run leaves when it ends: its curves and its model card."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from entity_expand.corpus import Corpus
from entity_expand.errors import EntityExpandError
from training.batches import Source
from training.checkpoint import best, newest
from training.run.card import card_of, write_card
from training.run.curves import write_curves
from training.run.facts import CorpusFacts

_LOG = logging.getLogger(__name__)
PROTOCOL = "single: every query is expanded on its own, over the samples that were trained on"


@contextlib.contextmanager
def summarised(run: Path, corpus: Corpus, source: Source) -> Iterator[None]:
    """Write the summary of a run when it ends; where it ends with an error, one of the summary is logged instead.

    Arguments and errors are those of `write_summary`.
    """
    try:
        yield
    except BaseException:
        try:
            write_summary(run, corpus, source)
        except (EntityExpandError, OSError) as problem:
            _LOG.warning("The curves and the model card of %s could not be written: %s", run, problem)
        raise
    write_summary(run, corpus, source)


def write_summary(run: Path, corpus: Corpus, source: Source) -> None:
    """Write curves.png, README.md and card.json into the folder of a run, if it has a checkpoint.

    Args:
        run: The folder.
        corpus: The corpus.
        source: Where batches came from.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OSError: A file cannot be written.
    """
    folders = best(run), newest(run)
    if folders[1] is None:
        return
    config, data = source.config, source.data
    pictures = source.pictures.picture_of[: data.trained]
    facts = CorpusFacts(
        name=corpus.root.resolve().name,
        content_hash=corpus.content_hash,
        split=config.data.split,
        entities=len(corpus.entities),
        trained_entities=len(data.entities),
        samples=data.trained,
        held_out=len(data.samples) - data.trained,
        pictures=len(np.unique(pictures[pictures >= 0])),
    )
    names = [None if folder is None else folder.name for folder in folders]
    card = card_of(
        run, config, facts, source.held.device, best_checkpoint=names[0], last_checkpoint=names[1],
        protocol="none" if config.validation.queries is None else PROTOCOL,
    )  # fmt: skip
    write_card(run, card)
    write_curves(run / "metrics.jsonl", run)
