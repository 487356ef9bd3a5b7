"""The JSON forms of explanations, read: from anyone, so that everything is checked."""

from __future__ import annotations

from typing import Any

from entity_expand.explain.about import Contribution, Explanation, Neighbour, SetExplanation, Word
from entity_expand.results.checks import each, number, table, text, whole
from entity_expand.results.reading import read_evidence, read_result, read_seed

_MOST = 10_000


def read_explanation(content: Any) -> Explanation:
    """Read what `Explanation.to_dict` returned.

    Raises:
        ExpansionError: It is not of that form.
    """
    found = table(content, ("result", "contributions", "against", "words", "evidence"), "The explanation")
    return Explanation(
        read_result(found["result"], "result"),
        each(found["contributions"], _MOST, "contributions", _contribution),
        each(found["against"], _MOST, "against", _contribution),
        each(found["words"], _MOST, "words", text),
        each(found["evidence"], _MOST, "evidence", read_evidence),
    )


def _contribution(value: Any, where: str) -> Contribution:
    names = ("share", "gives", "takes", "likeness")
    found = table(value, ("seed", *names), where)
    numbers = {name: number(found[name], f"{where}.{name}") for name in names}
    return Contribution(read_seed(found["seed"], f"{where}.seed"), **numbers)


def read_set_explanation(content: Any) -> SetExplanation:
    """Read what `SetExplanation.to_dict` returned.

    Raises:
        ExpansionError: It is not of that form.
    """
    found = table(content, ("label", "members", "words", "neighbours", "cohesion"), "The explanation")
    return SetExplanation(
        text(found["label"], "label"),
        whole(found["members"], 0, "members"),
        each(found["words"], _MOST, "words", _word),
        each(found["neighbours"], _MOST, "neighbours", _neighbour),
        number(found["cohesion"], "cohesion"),
    )


def _word(value: Any, where: str) -> Word:
    found = table(value, ("text", "members", "elsewhere", "weight"), where)
    return Word(
        text(found["text"], where), whole(found["members"], 0, where),
        number(found["elsewhere"], where), number(found["weight"], where),
    )  # fmt: skip


def _neighbour(value: Any, where: str) -> Neighbour:
    found = table(value, ("id", "name", "image", "likeness"), where)
    image = None if found["image"] is None else text(found["image"], where)
    return Neighbour(text(found["id"], where), text(found["name"], where), image, number(found["likeness"], where))
