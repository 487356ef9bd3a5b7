"""What is trained for, and where the pairs of the contrasts come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError

SAMPLE_TASKS = ("entity", "words", "matching", "image_text")
CONTRASTS = ("instance", "cluster")


@dataclass(frozen=True)
class TaskSettings:
    """The tasks and their weights; a weight of 0 leaves a task out. The paper's modes are weights of this table.

    Attributes:
        schedule: "phases" trains the contrasts and the rest in turn, each with steps of its own, as the paper does;
            "joint" sums all weighted losses in each step.
        form: "paper" takes each loss as the original code computes it; "corrected" keeps the cluster contrast in log
            space, distils with log-probabilities, and counts no other sample of the same entity as a negative.
        entity: Weight of masked entity prediction.
        instance: Weight of the contrast between samples of pairs.
        cluster: Weight of the contrast between clusters of pairs.
        distillation: Share of masked entity prediction that follows the momentum teacher; the paper has 0.02.
        words: Weight of masked language modelling.
        matching: Weight of image-text matching.
        image_text: Weight of the contrast between texts and pictures.
        passes: Passes over the pairs of an epoch in each phase of a contrast.
        temperature, tau_plus, beta: Of the contrasts between samples and between clusters.
        estimator: "hard" weighs negatives by their similarity, "easy" does not.
        momentum: Share of the teacher that stays in each step.
        word_share: Share of the words that masked language modelling hides.
        image_text_temperature: Where the learned temperature of the image-text contrast starts.
        image_text_distillation: Share of that contrast's targets that the momentum teacher gives; ALBEF has 0.4. None
            trains without.
    """

    schedule: Literal["phases", "joint"] = "phases"
    form: Literal["paper", "corrected"] = "corrected"
    entity: float = setting(1.0, low=0.0)
    instance: float = setting(0.0, low=0.0)
    cluster: float = setting(0.0, low=0.0)
    distillation: float = setting(0.0, low=0.0, high=1.0)
    words: float = setting(0.0, low=0.0)
    matching: float = setting(0.0, low=0.0)
    image_text: float = setting(0.0, low=0.0)
    passes: int = setting(2, low=1)
    temperature: float = setting(0.5, low=1e-3)
    tau_plus: float = setting(0.05, low=0.0, high=0.999)
    beta: float = setting(1.0, low=0.0)
    estimator: Literal["hard", "easy"] = "hard"
    momentum: float = setting(0.995, low=0.0, high=1.0)
    word_share: float = setting(0.15, low=0.01, high=0.9)
    image_text_temperature: float = setting(0.07, low=1e-3)
    image_text_distillation: float | None = setting(None, low=0.0, high=1.0)

    def __post_init__(self) -> None:
        check(self)
        if not (self.of_samples or self.contrasts):
            raise ConfigError("All weights are 0; give at least one task a weight.")
        if self.distillation and not self.entity:
            raise ConfigError("distillation is a share of masked entity prediction; give entity a weight too.")
        if self.image_text_distillation and not self.image_text:
            raise ConfigError("image_text_distillation is a share of the contrast image_text; give that a weight too.")

    @property
    def of_samples(self) -> tuple[str, ...]:
        """The tasks with a weight that need no pairs."""
        return tuple(name for name in SAMPLE_TASKS if getattr(self, name))

    @property
    def contrasts(self) -> tuple[str, ...]:
        """The tasks with a weight that need pairs."""
        return tuple(name for name in CONTRASTS if getattr(self, name))


@dataclass(frozen=True)
class MiningSettings:
    """Pairs from the model's own expanded lists. No class label is read by seeds "entities" without `oracle`.

    Ranks are given in multiples of the class size, so that the same settings fit small and large vocabularies.

    Attributes:
        seeds: "entities" grows one list from every trained entity; "queries" one from each query, as the paper does.
            The seeds of a query count as of one class: training is told some members of each class that has queries,
            so never report such a model on these classes.
        queries: Folder with queries, relative to the corpus; for "queries" and `oracle`.
        class_size: Guessed number of members of a class; None = V / (model.clusters - 1), as in the paper.
        positives: How many ranks of the top count as of one class; the paper has 5.
        negatives_from, negatives_to: Ranks of hard negatives, in multiples of the class size; the paper's ranks 171 to
            200 are 0.83 to 0.97. Moved behind the positives where they would begin among them, and cut off at the end
            of the list; negatives_to = 0 means none.
        partners: Other members that each member is paired with; the paper has 2.
        block: Most samples of one pair of entities; the paper has 64.
        lists: Most lists that an epoch's pairs come from, drawn anew in each epoch; None takes all. One list per entity
            makes far more pairs than samples.
        start: Epochs of the tasks of samples alone before the first lists; without such tasks it counts as 0.
        every: Epochs after which the lists are made anew.
        both_directions: λ of the score that makes the lists.
        oracle: Keep only positives that the classes of the corpus confirm, as the paper does. Gold labels enter
            training then: never compare such a model with others.
    """

    seeds: Literal["entities", "queries"] = "entities"
    queries: str = "query"
    class_size: int | None = setting(None, low=2)
    positives: int = setting(5, low=1)
    negatives_from: float = setting(0.83, low=0.0)
    negatives_to: float = setting(0.97, low=0.0)
    partners: int = setting(2, low=1)
    block: int = setting(64, low=1)
    lists: int | None = setting(None, low=1)
    start: int = setting(1, low=0)
    every: int = setting(1, low=1)
    both_directions: float = setting(0.0, low=0.0)
    oracle: bool = False

    def __post_init__(self) -> None:
        check(self)
        if self.negatives_to < self.negatives_from:
            raise ConfigError(f"negatives_to is {self.negatives_to}, below negatives_from = {self.negatives_from}.")
