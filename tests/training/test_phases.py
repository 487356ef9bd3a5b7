from __future__ import annotations

import numpy as np
import pytest

from training.config import DataSettings, LoopSettings, MiningSettings, TaskSettings, TrainingConfig
from training.data import TrainingSet
from training.pairs import EntityLists
from training.phases import epoch_phases, step_of

LABELS = np.repeat(np.arange(6), 5)
DATA = TrainingSet((), np.arange(30), LABELS, 30)
LISTS = EntityLists((np.array([0, 1, 2]), np.array([3, 4, 5])), (np.array([5]), np.array([0])))


def _config(**tasks):
    return TrainingConfig(
        tasks=TaskSettings(**tasks),
        mining=MiningSettings(partners=1, block=4),
        loop=LoopSettings(batch_size=8),
        data=DataSettings(),
    )


def test_one_phase_takes_every_sample():
    (phase,) = epoch_phases(_config(), DATA, None, 0)
    assert (phase.name, phase.tasks, phase.steps, phase.pairs) == ("entity", ("entity",), 4, None)
    assert [len(phase.sample_rows(step)) for step in range(4)] == [8, 8, 8, 6]
    assert sorted(phase.samples.tolist()) == list(range(30))


def test_phases_take_turns_with_whole_batches_of_pairs():
    config = _config(instance=0.5, cluster=0.2, words=1.0, passes=2)
    phases = epoch_phases(config, DATA, LISTS, 3)
    assert [phase.name for phase in phases] == ["instance", "cluster", "entity"]
    assert [phase.tasks for phase in phases] == [("instance",), ("cluster",), ("entity", "words")]
    assert epoch_phases(config, DATA, None, 3) != phases
    for phase in phases[:2]:
        assert phase.samples is None
        assert {phase.pair_rows(step).shape for step in range(phase.steps)} == {(2, 8)}
        first, second = np.split(phase.pairs, 2, axis=1)
        assert not np.array_equal(first, second)
    assert not np.array_equal(phases[0].pairs, phases[1].pairs)
    again = epoch_phases(config, DATA, LISTS, 3)
    assert all(np.array_equal(one.pairs, other.pairs) for one, other in zip(phases[:2], again[:2], strict=True))
    assert step_of(phases, phases[0].steps) == (phases[1], 0)
    assert step_of(phases, phases[0].steps - 1) == (phases[0], phases[0].steps - 1)
    with pytest.raises(IndexError):
        step_of(phases, sum(phase.steps for phase in phases))


def test_a_joint_step_has_both_and_the_shorter_side_comes_again():
    config = _config(schedule="joint", instance=0.5, cluster=0.2)
    (phase,) = epoch_phases(config, DATA, LISTS, 0)
    pairs, samples = phase.pairs.shape[1] // 8, 4
    assert phase.tasks == ("entity", "instance", "cluster")
    assert phase.steps == max(pairs, samples) > min(pairs, samples)
    assert phase.sample_rows(samples).tolist() == phase.sample_rows(0).tolist()
    (alone,) = epoch_phases(config, DATA, None, 0)
    assert (alone.name, alone.tasks) == ("entity", ("entity",))
    (contrasts,) = epoch_phases(_config(schedule="joint", entity=0.0, instance=0.5, cluster=0.2), DATA, LISTS, 0)
    assert (contrasts.tasks, contrasts.samples) == (("instance", "cluster"), None)


def test_few_pairs_are_one_batch():
    config = TrainingConfig(tasks=TaskSettings(instance=1.0), loop=LoopSettings(batch_size=4096))
    phases = epoch_phases(config, DATA, LISTS, 0)
    assert phases[0].steps == 2  # one for each pass
    assert phases[0].pair_size == phases[0].pairs.shape[1] // 2
    nothing = EntityLists((np.zeros(0, np.int64),), (np.zeros(0, np.int64),))
    assert [phase.name for phase in epoch_phases(config, DATA, nothing, 0)] == ["entity"]


@pytest.mark.parametrize("schedule", ["phases", "joint"])
def test_hard_negatives_meet_their_positives_in_one_batch_unless_the_form_is_the_papers(schedule):
    # List k has the positives 4 k to 4 k + 2 and the hard negative 4 k + 3, so an entity's row tells both.
    members = np.arange(240).reshape(60, 4)
    lists = EntityLists(tuple(members[:, :3]), tuple(members[:, 3:]))
    labels = np.repeat(np.arange(240), 4)
    data = TrainingSet((), np.arange(960), labels, 960)

    def met(form: str) -> float:
        """Return the mean share of a batch's pairs of positives whose list has a hard negative in the batch."""
        tasks = TaskSettings(schedule=schedule, form=form, instance=1.0, cluster=1.0)
        loop, mining = LoopSettings(batch_size=32), MiningSettings(partners=1, block=4)
        phases = epoch_phases(TrainingConfig(tasks=tasks, loop=loop, mining=mining), data, lists, 0)
        shares = []
        for phase in phases:
            for step in range(phase.steps if phase.pairs is not None else 0):
                entities = labels[phase.pair_rows(step)[0]]
                hard = entities % 4 == 3
                shares.append(np.isin(entities[~hard] // 4, entities[hard] // 4).mean())
        return float(np.mean(shares))

    assert met("corrected") > 0.8
    assert met("paper") < 0.3


def test_the_forms_have_the_same_pairs_in_another_order():
    loop, orders = LoopSettings(batch_size=4096), []
    for form in ("paper", "corrected"):
        tasks = TaskSettings(form=form, instance=1.0, passes=1)
        orders.append(epoch_phases(TrainingConfig(tasks=tasks, loop=loop), DATA, LISTS, 0)[0].pairs)
    assert not np.array_equal(*orders)
    assert sorted(orders[0].T.tolist()) == sorted(orders[1].T.tolist())
