from __future__ import annotations

from training.experiments.cost import Cost, cost_views, expansion_costs, training_costs
from training.experiments.cost_worker import expand, peak
from training.experiments.plots import Panel, Series, draw
from training.experiments.report import markdown
from training.experiments.views import Table


def test_costs_and_their_exponents(tmp_path):
    expansions = [Cost(n, k, 0, 1e-6 * n * k**2, 10.0) for n in (100, 1000) for k in (10, 20)]
    trainings = [Cost(n, 0, 10 * n, 0.1 * n**1.5, 200.0) for n in (50, 100, 200)]
    tables, panels = cost_views(expansions, trainings)
    assert "At K = 20 time grows with n to the power 1.00." in tables[0].text
    assert "At n = 1,000 it grows with K to the power 2.00." in tables[0].text
    assert "to the power 1.50" in tables[1].text
    draw(tmp_path / "cost.png", panels)
    assert (tmp_path / "cost.png").stat().st_size > 1000


def test_an_expansion_is_measured_in_its_own_process():
    (found,) = expansion_costs((60,), (5, 100), lambda _: None)
    assert found.entities == 60 and found.length == 5 and found.seconds > 0 and found.megabytes > 10
    assert expand(60, 5)["seconds"] > 0 and peak() > 10


def test_a_training_is_measured_in_its_own_process(asked, config, tmp_path):
    (found,) = training_costs(config, asked, (0.6,), tmp_path, lambda _: None)
    assert found.entities == 6 and found.pairs > 0 and found.seconds > 0


def test_bars_and_lines(tmp_path):
    bars = Panel("bars", "", "MAP", (Series("one", ("x", "y"), (1.0, 2.0), (0.1, None)),))
    lines = Panel("lines", "x", "y", (Series("one", (1.0, 2.0), (1.0, 2.0)), Series("two", (1.0,), (3.0,), (None,))))
    for name, panel in (("bars", bars), ("lines", lines)):
        draw(tmp_path / f"{name}.png", [panel])
    assert (tmp_path / "bars.png").read_bytes()[1:4] == (tmp_path / "lines.png").read_bytes()[1:4] == b"PNG"


def test_markdown_tables():
    assert markdown(Table("t", "", ("a", "b"), (("1|2", "3"),))) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"
