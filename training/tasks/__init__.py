"""The tasks, one module each, and those of a run."""

from __future__ import annotations

from training.config import TrainingConfig
from training.tasks.base import Loss, PairContext, PairTask, SampleContext, SampleTask, Tasks
from training.tasks.contrasts import ClusterTask, InstanceTask
from training.tasks.entity import EntityTask, hits
from training.tasks.image_text import ImageTextTask
from training.tasks.matching import matching_task
from training.tasks.words import words_task

__all__ = ["Loss", "PairContext", "SampleContext", "Tasks", "hits", "tasks_of"]


def tasks_of(config: TrainingConfig) -> Tasks:
    """Return the tasks that have a weight."""
    samples: dict[str, SampleTask] = {
        "entity": EntityTask(config), "words": words_task, "matching": matching_task,
        "image_text": ImageTextTask(config.tasks),
    }  # fmt: skip
    pairs: dict[str, PairTask] = {"instance": InstanceTask(config.tasks), "cluster": ClusterTask(config.tasks)}
    of_samples, contrasts = config.tasks.of_samples, config.tasks.contrasts
    return Tasks(
        {name: samples[name] for name in of_samples},
        {name: pairs[name] for name in contrasts},
        {name: getattr(config.tasks, name) for name in (*of_samples, *contrasts)},
    )
