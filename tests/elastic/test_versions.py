"""Versions on a real server: listed, checked, rolled back and pruned, from Python and by command."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from elastic.worlds import COUNT, TRAINED, World, entities_of
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.cli.index import command
from entity_expand.errors import IndexMismatchError, IndexMissingError, StoreError
from indexer import IndexSettings, list_versions, prune, rollback, verify_index
from servers.elasticsearch_node import ask


@pytest.fixture
def world(tmp_path: Path, elasticsearch_url: str, index_name: str) -> World:
    return World(tmp_path, elasticsearch_url, index_name)


def test_versions_are_listed_rolled_back_and_pruned(world: World) -> None:
    settings = world.settings()
    assert list_versions(world.address) == []
    with pytest.raises(IndexMissingError, match="no whole version"):
        rollback(world.address, settings=settings)
    names = [world.index(chosen=IndexSettings(evidence=number)).load.version for number in (0, 1, 2)]
    world.ask("PUT", "-somebody-elses")  # matches NAME-*, but is no version
    found = list_versions(world.address)
    assert [each.physical for each in found] == names
    assert [each.in_use for each in found] == [False, False, True]
    assert {(each.state, each.documents, each.problem) for each in found} == {("verified", COUNT, "")}
    assert min(each.bytes for each in found) > 1_000
    assert rollback(world.address, settings=settings) == names[1]
    assert world.behind() == [names[1]]
    assert rollback(world.address, settings=settings) == names[0]
    with pytest.raises(IndexMissingError, match="no whole version before"):
        rollback(world.address, settings=settings)
    assert rollback(world.address, names[1].removeprefix(f"{world.name}-"), settings=settings) == names[1]
    with pytest.raises(IndexMissingError, match=f"no version 'none'; there are: {names[0]}"):
        rollback(world.address, "none", settings=settings)
    seen = world.encoder.seen
    assert world.index(chosen=IndexSettings(evidence=0)).load.version == names[0]
    assert (world.behind(), world.encoder.seen) == ([names[0]], seen)  # it was whole: nothing is encoded again
    assert rollback(world.address, names[1], settings=settings) == names[1]
    assert world.behind() == [names[1]]
    assert [prune(world.address, keep, settings=settings) for keep in (3, 4, 5, 9)] == [[], [], [], []]
    assert prune(world.address, settings=settings) == [names[0]]
    assert prune(world.address, 1, settings=settings) == [names[2]]
    assert prune(world.address, 1, settings=settings) == []
    assert world.behind() == [names[1]]
    assert ask("GET", f"{world.url}/{world.name}-somebody-elses")[0] == 200


def test_an_unfinished_version_is_never_put_into_use(world: World) -> None:
    first = world.index(chosen=IndexSettings(evidence=0)).load.version
    second = world.index().load.version
    mapping = world.ask("GET", "/_mapping")[second]["mappings"]
    mapping["_meta"]["entity_expand"]["state"] = "loading"
    ask("DELETE", f"{world.url}/{second}")
    ask("PUT", f"{world.url}/{second}", {"mappings": mapping})
    rollback(world.address, settings=world.settings())
    with pytest.raises(IndexMismatchError, match="never filled"):
        rollback(world.address, second, settings=world.settings())
    assert world.behind() == [first]
    assert [each.state for each in list_versions(world.address)] == ["verified", "loading"]
    assert prune(world.address, settings=world.settings()) == [second]


def test_a_closed_version_is_listed_and_left_alone(world: World) -> None:
    settings = world.settings()
    names = [world.index(chosen=IndexSettings(evidence=number)).load.version for number in (0, 1, 2)]
    ask("POST", f"{world.url}/{names[1]}/_close")
    found = list_versions(world.address)
    assert [each.physical for each in found] == names
    assert [each.state for each in found] == ["verified", "closed", "verified"]
    assert (found[1].documents, found[1].bytes) == (None, None)
    _, listed, said = run("list", world.address)
    assert listed.splitlines()[2].split()[1] == "closed"
    assert f"POST /{names[1]}/_open" in said
    with pytest.raises(IndexMismatchError, match=f"{names[1]} is closed. Open it"):
        rollback(world.address, names[1], settings=settings)
    seen = world.encoder.seen
    with pytest.raises(IndexMismatchError, match=f"{names[1]} is closed. Open it"):
        world.index(chosen=IndexSettings(evidence=1))
    assert world.encoder.seen == seen
    assert rollback(world.address, settings=settings) == names[0]
    assert prune(world.address, 1, settings=settings) == [names[2]]
    ask("POST", f"{world.url}/{names[0]}/_close")
    with pytest.raises(StoreError, match=rf"closed \[{names[0]}\] Open that index by `POST /NAME/_open`"):
        verify_index(world.address)
    ask("POST", f"{world.url}/{names[1]}/_open")
    assert rollback(world.address, names[1], settings=settings) == names[1]


def run(*arguments: object) -> tuple[int, str, str]:
    outcome = CliRunner().invoke(command, [str(each) for each in arguments])
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout, outcome.stderr


def test_commands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(world.folder / "cache"))
    names = [world.index(chosen=IndexSettings(evidence=number)).load.version for number in (0, 1)]
    code, listed, _ = run("list", world.address)
    lines = listed.splitlines()
    assert (code, len(lines)) == (0, 3)
    assert lines[0].split() == ["version", "state", "created", "entities", "changes", "size", "bundle"]
    assert lines[2].split()[:3] == ["*", names[1], "verified"]
    assert world.bundle.fingerprint[:16] in lines[1]
    code, said, wrong = run("verify", world.address, "--bundle", world.folder / "bundle")
    assert (code, wrong) == (0, "")
    assert f"{names[1]} holds {COUNT} entities; their digest is {world.digest()}." in said
    assert "found 100.0%" in said
    assert run("rollback", world.address)[:2] == (0, f"{world.address} now stands for {names[0]}.\n")
    assert run("prune", world.address, "--keep", 1)[:2] == (0, f"Deleted {names[1]}.\n")
    assert run("prune", world.address)[:2] == (0, "Nothing to delete.\n")
    assert run("delete", world.address, "3", "nobody") == (
        0,
        "Deleted 1 entities.\n",
        "1 are not in the index: nobody.\n",
    )
    rows = world.folder / "rows.jsonl"
    rows.write_text('{"id": "4", "attributes": {"kind": "river"}}\n\n{"id": "3", "attributes": {}}\n')
    assert run("attributes", world.address, rows) == (
        0, "Changed 1 entities; 0 had these attributes already.\n", "1 are not in the index: 3.\n",
    )  # fmt: skip
    assert world.source("4")["attributes"] == {"kind": "river"}
    rows.write_text('{"id": 4}\n')
    with pytest.raises(Exception, match="line 1: expected"):
        run("attributes", world.address, rows)
    assert run("verify", world.address)[0] == 0
    ask("PUT", f"{world.url}/{names[0]}/_doc/5?refresh=true", {**world.source("5"), "name": "Nowhere"})
    code, _, wrong = run("verify", world.address)
    assert code == 1
    assert "Wrong: 5 are not what their revision says." in wrong


def test_what_is_wrong_is_found(world: World) -> None:
    version = world.index().load.version
    before = world.source("2"), world.source("3"), world.source("9")
    assert verify_index(world.address, world.bundle).problems == ()
    other = fake_bundle(world.folder / "other", entities_of(TRAINED), seed=1)
    (problem,) = verify_index(world.address, other).problems
    assert world.bundle.fingerprint in problem and other.fingerprint in problem
    ask("DELETE", f"{world.url}/{version}/_doc/2")
    ask("PUT", f"{world.url}/{version}/_doc/3", {**before[1], "place": 4})
    ask("PUT", f"{world.url}/{version}/_doc/9?refresh=true", {**before[2], "rows": before[0]["rows"]})
    found = verify_index(world.address, world.bundle)
    text = "\n".join(found.problems)
    assert found.documents == COUNT - 1
    assert f"{COUNT} entities were loaded, {COUNT - 1} are there" in text
    assert "3, 9 are not what their revision says" in text
    assert "have a place that is taken" in text
    assert "9 have another head row than the bundle" in text
    assert f"it has {COUNT - 3} vectors 'head', expected {COUNT - 1}" in text
    for identifier, lost in (("11", "name"), ("12", "trained"), ("13", "place")):
        source = {name: value for name, value in world.source(identifier).items() if name != lost}
        ask("PUT", f"{world.url}/{version}/_doc/{identifier}?refresh=true", source)
    problems = verify_index(world.address, world.bundle).problems
    assert "11, 12, 13 do not say their place, name, trained" in problems
    with pytest.raises(IndexMissingError, match="entity-expand index BUNDLE CORPUS"):
        verify_index(f"{world.address}-nothing")
