"""`entity-expand expand` and `evaluate`: what their options ask for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from contract.world import World, make_world
from entity_expand import Expander, ExpandSettings, Expansion, Filter, QueryError, UnknownSeedError
from entity_expand.cli import group
from entity_expand.cli.options import _STRATEGIES
from entity_expand.query import STRATEGIES
from entity_expand.results.show import table


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("expand"))


def asked(world: World, *arguments: str) -> list[str]:
    result = CliRunner().invoke(group, ["expand", str(world.index), *arguments, "--size", "8", "--json"])
    if result.exception is not None:
        raise result.exception
    return [found["id"] for found in json.loads(result.stdout)["results"]]


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ([], {}),
        (["--weight", "2", "--weight", "0.5"], {"weights": [2.0, 0.5]}),
        (["--negative", "Place 50", "--negative", "59"], {"negative": ["50", "59"]}),
        (["--exclude", "5"], {"exclude": ["5"]}),
        (["--strategy", "best"], {"strategy": "best"}),
        (["--strategy", "mean", "--rerank"], {"strategy": "mean", "rerank": True}),
        (["--strategy", "both"], {"strategy": "both"}),
        (["--no-rerank"], {"rerank": False}),
        (["--both-directions", "1"], {"settings": ExpandSettings(both_directions=1.0)}),
        (["--space", "features"], {"settings": ExpandSettings(space="features")}),
        (
            ["--attribute", "kind=k1", "--attribute", "kind=k2", "--attribute", "half=low", "--name-prefix", "place 1"],
            {"filter": Filter({"kind": ["k1", "k2"], "half": ["low"]}, "place 1")},
        ),
    ],
)
def test_options_ask_for_what_they_say(world, options, same) -> None:
    with Expander.open(world.index) as expander:
        assert asked(world, "0", "4", *options) == expander.expand(["0", "4"], 8, **same).ids


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ([], QueryError, "1 to 1,000 seeds"),
        (["0", "--new-seed", "The [[okapi]].", ""], QueryError, "with the bundle"),
        (["0", "--weight", "1", "--weight", "2"], QueryError, "one per seed"),
        (["\udcff"], UnknownSeedError, r"No entity has the id, name or alias '\\udcff'"),
        (["0", "--new-seed", "The [[\udcff]].", ""], QueryError, "UTF-8"),
        (["0", "--space", "features", "--rerank"], QueryError, "robabilities"),
    ],
)
def test_what_cannot_be_asked(world, arguments, error, said) -> None:
    with pytest.raises(error, match=said):
        asked(world, *arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["0", "--attribute", "kind"], "not KEY=VALUE"),
        (["0", "--encoder", "cpu"], "needs the --bundle"),
        (["0", "--strategy", "worst"], "is not one of"),
    ],
)
def test_what_is_wrongly_written(world, arguments, said) -> None:
    result = CliRunner().invoke(group, ["expand", str(world.index), *arguments])
    assert isinstance(result.exception, SystemExit) and said in result.stderr


def test_all_strategies_can_be_chosen() -> None:
    assert set(_STRATEGIES) == set(STRATEGIES)
    assert isinstance(group, click.Group)


def test_strategies_are_evaluated(world: World, tmp_path: Path) -> None:
    from entity_expand.corpus import Query, write_queries, write_truth

    write_queries(tmp_path / "query", [Query("k0", 0, ("0", "3", "6"))])
    write_truth(tmp_path / "gt", {"k0": [(str(n), str(n)) for n in range(0, 60, 3)]})
    start = [
        "evaluate",
        str(world.index),
        "--queries",
        str(tmp_path / "query"),
        "--truth",
        str(tmp_path / "gt"),
        "--json",
    ]

    def found(*options: str) -> list[dict]:
        result = CliRunner().invoke(group, [*start, *options])
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    (mean,) = found("--strategy", "mean")
    (again,) = found("--strategy", "mean", "--rerank")
    (plain,) = found("--protocol", "single")
    assert mean["protocol"] == "single" and len({str(each["overall"]) for each in (mean, again, plain)}) == 3
    with pytest.raises(QueryError, match="single protocol"):
        found("--strategy", "mean", "--protocol", "joint")


def test_explanations_are_printed(world) -> None:
    seeds = [str(number) for number in range(0, 30, 3)]
    arguments = ["expand", str(world.index), *seeds, "--size", "12", "--space", "features", "--explain"]
    shown = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert "The set: " in shown.stdout and "words of its members: " in shown.stdout
    assert shown.stdout.count(": nearest Place ") == 10
    found = CliRunner().invoke(
        group, ["expand", str(world.index), "0", "3", "--size", "4", "--explain", "--json"], catch_exceptions=False
    )
    form = json.loads(found.stdout)
    expansion = Expansion.from_dict(form["expansion"])
    assert [each["result"]["id"] for each in form["results"]] == expansion.ids and form["set"]["members"] == 6


def test_a_table_is_written(world, tmp_path) -> None:
    arguments = ["expand", str(world.index), "0", "3", "--size", "4", "--csv", str(tmp_path / "set.csv")]
    CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert len((tmp_path / "set.csv").read_text().splitlines()) == 1 + 4


def test_a_calibrated_table_says_where_the_list_ends(world) -> None:
    with Expander.open(world.index) as expander:
        found = expander.expand(["0"], 3)
    sure = [dataclasses.replace(each, confidence=0.876) for each in found.results]
    lines = table(dataclasses.replace(found, results=tuple(sure), cutoff=2)).splitlines()
    assert lines[0] == "Place 0 and 3 more, about 2 of them likely members:" and " 88 %  " in lines[1]
    assert lines[3].endswith("less likely:") and len(lines) == 1 + 3 + 1
