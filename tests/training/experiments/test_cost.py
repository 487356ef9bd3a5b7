from __future__ import annotations

from pathlib import Path

import pytest

from entity_expand.errors import TrainingError
from training.experiments import cost, cost_worker
from training.experiments.cost import ExpansionCost, TrainingCost, expansion_costs, training_costs
from training.experiments.cost_views import cost_views
from training.experiments.cost_worker import times
from training.experiments.made import Made
from training.experiments.plots import Panel, Series, draw
from training.experiments.report import markdown
from training.experiments.views import Table


def _cost(n: int, lengths: tuple[int, ...], *, table: bool) -> ExpansionCost:
    """Seconds grow with n and with the square of K, from n = 1,000 on with the square of n; memory likewise."""
    seconds = tuple(1e-9 * max(1000 * n, n**2) * length**2 for length in lengths)
    return ExpansionCost(n, table, lengths, seconds, 500.0, 500.0 + 1e-4 * n**2, 1.0)


def _again(*_):
    raise AssertionError("measured again")


def test_costs_and_their_exponents(tmp_path):
    expansions = [_cost(n, (10, 20), table=table) for table in (False, True) for n in (100, 1000, 10_000, 100_000)]
    trainings = [TrainingCost(n, 10 * n, 0.1 * n**1.5, 200.0) for n in (50, 100, 200)]
    (time, memory, training), panels = cost_views(expansions, trainings)
    # Over the decades 2, 3, 4 and 5 the logarithm rises by 0, 1, 3 and 5: a slope of (1.5 * 5 + 0.5 * 2) / 5.
    for kind in ("In a table", "On demand"):
        grows = "time at K = 20 grows with n to the power 1.70 over all sizes and 2.00 from n = 10,000 on"
        assert f"{kind}, {grows}; at n = 100,000 it grows with K to the power 2.00." in time.text
        assert f"{kind} the memory above the process's own grows with n to the power 2.00 over all" in memory.text
    assert [line[:2] for line in time.lines[3:5]] == [("table", "100,000"), ("on demand", "100")]
    assert time.lines[1] == ("table", "1,000", "100.00", "400.00")
    assert memory.lines[2] == ("table", "10,000", "1.00", "10500", "10000")
    assert "up to 16,384 entities" in time.text and "quadratic part" in memory.text
    assert "to the power 1.50" in training.text
    assert [len(panel.series) for panel in panels] == [2, 2, 2, 1, 1]
    draw(tmp_path / "cost.png", panels)
    assert (tmp_path / "cost.png").stat().st_size > 1000


def test_a_line_parts_the_scan_from_the_steps():
    costs = [ExpansionCost(n, True, (50,), (0.004 + 2e-6 * n,), 1.0, 2.0, 1.0) for n in (1000, 3000, 9000)]
    text = cost_views(costs, [])[0][0].text
    assert "has 4.00 ms that do not depend on n" in text and "2.00 ms for each 1,000 entities" in text


def test_one_size_has_no_exponent():
    (time, memory), panels = cost_views([_cost(300, (10, 20), table=True)], [])
    assert "time at K = 20 grows with n to the power unknown (one size)" in time.text
    assert "On demand" not in memory.text and len(panels) == 2


@pytest.mark.parametrize("table", [True, False])
def test_expansions_are_measured_in_processes_of_their_own(table, monkeypatch, tmp_path):
    monkeypatch.setitem(cost.TURNS, table, 3)
    found = expansion_costs((40, 60), (5, 15), table, tmp_path, lambda _: None)
    assert [(each.entities, each.table, each.lengths) for each in found] == [(40, table, (5, 15)), (60, table, (5, 15))]
    assert all(min(each.seconds) > 0 and each.prepared > 0 and each.megabytes >= each.base > 10 for each in found)
    work = cost._work
    monkeypatch.setattr(cost, "_work", _again)
    assert expansion_costs((40, 60), (5, 15), table, tmp_path, lambda _: None) == found
    with pytest.raises(TrainingError, match=r"with \{'entities': 'many'\} ended with 1:(?s:.)*TypeError"):
        work("memory", {"entities": "many"})


@pytest.mark.parametrize("table", [True, False])
def test_all_sizes_and_lengths_take_turns(table, monkeypatch):
    seen, kept = [], []

    def searched(pool, seeds, length, settings, excluded):
        kept.append(pool)
        seen.append((pool.size, tuple(seeds), length))
        clock[0] += len(seen)

    clock = [0.0]
    monkeypatch.setattr(cost_worker, "search_whole", searched)
    monkeypatch.setattr(cost_worker.time, "process_time", lambda: clock[0])
    found = times((40, 60), (5, 10), table, turns=3)
    assert [(size, length) for size, _, length in seen] == [(40, 5), (40, 10), (60, 5), (60, 10)] * 4
    assert seen[0][1] == seen[1][1] != seen[4][1]
    assert {type(pool).__name__ for pool in kept} == {"TablePool" if table else "VectorPool"}
    assert len({id(pool) for pool in kept}) == (2 if table else len(seen))
    # The k-th expansion takes k seconds; the first of four turns is not counted, and the third is in the middle.
    assert found["seconds"] == [[8 + 1, 8 + 2], [8 + 3, 8 + 4]]


def test_a_training_is_measured_in_its_own_process(asked, config, tmp_path, monkeypatch):
    (found,) = training_costs(config, asked, (0.6,), tmp_path, lambda _: None)
    assert found.entities == 6 and found.pairs > 0 and found.seconds > 0
    with monkeypatch.context() as patch:
        patch.setattr(cost, "_work", _again)
        assert training_costs(config, asked, (0.6,), tmp_path, lambda _: None) == [found]


def test_a_training_that_was_cut_off_is_measured_anew(asked, config, tmp_path, monkeypatch):
    left = []

    def work(kind, arguments, environment=None):
        run = Path(arguments["run"])
        left.append(sorted(each.name for each in run.iterdir()))
        (run / "latest.json").write_text("{}")
        if len(left) == 1:
            raise TrainingError("killed")
        return {"pairs": 1, "seconds": 2.0, "megabytes": 3.0}

    monkeypatch.setattr(cost, "_work", work)
    with pytest.raises(TrainingError):
        training_costs(config, asked, (0.6,), tmp_path, lambda _: None)
    assert training_costs(config, asked, (0.6,), tmp_path, lambda _: None) == [
        TrainingCost(6, 1, 2.0, 3.0, (Made.here(),))
    ]
    assert left == [["asked.json"], ["asked.json"]]


def test_bars_and_lines(tmp_path):
    bars = Panel("bars", "", "MAP", (Series("one", ("x", "y"), (1.0, 2.0), (0.1, None)),))
    lines = Panel("lines", "x", "y", (Series("one", (1.0, 2.0), (1.0, 2.0)), Series("two", (1.0,), (3.0,), (None,))))
    for name, panel in (("bars", bars), ("lines", lines)):
        draw(tmp_path / f"{name}.png", [panel])
    assert (tmp_path / "bars.png").read_bytes()[1:4] == (tmp_path / "lines.png").read_bytes()[1:4] == b"PNG"


def test_markdown_tables():
    assert markdown(Table("t", "", ("a", "b"), (("1|2", "3"),))) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"
