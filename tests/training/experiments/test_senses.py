from __future__ import annotations

from entity_expand.corpus import Query
from entity_expand.types import Entity
from training.experiments.senses import precision_of_ambiguous, senses_of, share_of_confusers

ENTITIES = [
    Entity("1", "grey crane"), Entity("2", "heron"), Entity("3", "stork"), Entity("4", "tower crane"),
    Entity("5", "digger"), Entity("6", "sea"),
]  # fmt: skip
TRUTH = {"bird": frozenset("123"), "machine": frozenset("45")}


def test_words_that_are_shared_across_classes():
    senses = senses_of(ENTITIES, TRUTH)
    assert senses.ambiguous == {"bird": {"1"}, "machine": {"4"}}
    assert senses.confusers == {"bird": {"4"}, "machine": {"1"}}


def test_only_ambiguous_members_count():
    senses = senses_of(ENTITIES, TRUTH)
    lists = {Query("bird", 0, ("2",)): ["3", "4", "1", "5"]}
    # 3 is a member, but not ambiguous: it is taken out, and 1 stands second.
    assert precision_of_ambiguous(lists, TRUTH, senses) == 1 / 2
    assert share_of_confusers(lists, senses) == 1 / 10
    assert precision_of_ambiguous({Query("bird", 0, ("1",)): ["2"]}, TRUTH, senses) is None
