"""A service through `Expander`: what comes back is what the index itself would give."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from entity_expand import (
    AccessError,
    AmbiguousSeedError,
    AsyncExpander,
    ConfigError,
    Expander,
    ExpandQuery,
    ExpandSettings,
    Expansion,
    Filter,
    NewSeed,
    QueryError,
    SearchSettings,
    StoreError,
    UnknownSeedError,
    UnreachableError,
)
from entity_expand.channels.fusion import ChannelWeights
from entity_expand.elastic.address import Credentials
from entity_expand.remote.address import is_service, parse_service, service_credentials
from entity_expand.remote.expander import RemoteExpander
from entity_expand.results.expansion import History

KEY = "secret-of-20-letters"
ASKED = {
    "size": 9,
    "exclude": ["P-9"],
    "filter": Filter({"kind": ["k0", "k1"]}, name_prefix="place"),
    "settings": ExpandSettings(both_directions=0.5, search=SearchSettings(member_weight=0.3)),
    "weights": [1.0, 2.5],
    "rerank": False,
}


def test_expansions_are_those_of_the_index(url: str, local: Expander) -> None:
    with Expander.open(url) as remote:
        found = remote.expand(["3", "place 6"], **ASKED)
        assert found == local.expand(["3", "6"], **ASKED) and len(found.results) == 9
        assert found.query.seeds == ["3", "place 6"] and found.query.settings == ASKED["settings"]
        assert remote.expand(["0"], 3, strategy="mean") == local.expand(["0"], 3, strategy="mean")
        weighed = ExpandSettings(channels=ChannelWeights(lexical=2.0))
        hybrid = remote.expand(["0"], 3, strategy="hybrid", settings=weighed)
        assert hybrid == local.expand(["0"], 3, strategy="hybrid", settings=weighed)


def test_pages_go_on_without_what_was_deleted(url: str, local: Expander) -> None:
    async def more(page: Expansion) -> Expansion:
        async with await AsyncExpander.open(url) as remote:
            return await remote.more(page)

    first = local.expand(["3", "6"], 5)
    page = dataclasses.replace(first, history=History((), ("deleted", "deleted, too")))
    with Expander.open(url) as remote:
        found = [local.more(page), remote.more(page), asyncio.run(more(page))]
        assert [each.ids for each in found] == 3 * [local.more(first).ids]
        assert found[0].history.shown == ("deleted", "deleted, too", *first.ids)
        for expander in (local, remote):
            with pytest.raises(UnknownSeedError, match="deleted"):  # whoever accepted it named it
                expander.more(page.accept("deleted"))
            with pytest.raises(UnknownSeedError, match="typo"):
                expander.more(expander.expand(["3"], 5, exclude=["typo"]))


def test_what_cannot_be_asked_is_refused_alike(url: str, local: Expander) -> None:
    wrong: tuple[Any, ...] = (float("inf"), float("nan"), -1, "x", True, 10**5_000)
    with Expander.open(url) as remote:
        for expander in (local, remote):
            for timeout in wrong:
                with pytest.raises(QueryError, match="A timeout is a finite number"):
                    expander.expand(["3"], timeout=timeout)
            for name in (None, 10**5_000, "a" * 1_001):
                for ask in (expander.find, expander.lookup):
                    with pytest.raises(QueryError, match="What is looked up is a text"):
                        ask(name)  # type: ignore[operator]
            for seeds in ([""], ["3", " "]):
                with pytest.raises(UnknownSeedError):
                    expander.expand(seeds)
            with pytest.raises(UnknownSeedError):
                expander.expand(["3"], exclude=[""])
    assert local.find("Place 1", np.int64(1)) == local.find("Place 1", 1) and len(local.find("Place 1", 1)) == 1  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="whole number of 1 to 10,000"):
        local.find("Place", 10**30)


def test_numbers_of_numpy_are_asked_as_any(url: str, local: Expander) -> None:
    channels = ChannelWeights(np.float32(0.5), lexical=np.int64(2))
    settings = ExpandSettings(np.float32(0.5), pool_size=np.int64(50), channels=channels)
    asked = {"settings": settings, "weights": np.array([1, 2], np.float32), "rerank": np.False_}
    with Expander.open(url) as remote:
        found = remote.expand(["3", "6"], np.int32(4), **asked)
        assert found.results == local.expand(["3", "6"], 4, **asked).results
        json.dumps(found.to_dict(), allow_nan=False)


def test_pages_go_on_and_never_repeat(url: str, local: Expander) -> None:
    with Expander.open(url) as remote:
        first = remote.expand(["3", "6"], 5)
        decided = first.accept(first.ids[0]).reject(first.ids[1])
        second = decided.more()
        again = local.expand(["3", "6"], 5)
        assert second == local.more(again.accept(again.ids[0]).reject(again.ids[1]))
        assert not set(second.ids) & set(first.ids) and len(second.ids) == 5


def test_many_are_one_by_one(url: str, local: Expander) -> None:
    queries = [ExpandQuery([str(n % 30)], 3) for n in range(20)]
    queries[4], queries[7] = ExpandQuery(["Mercuri"], 3), ExpandQuery(["Mercury"], 3)
    queries[18] = ExpandQuery(["1"], filter=Filter(query={"match_all": {}}))
    with Expander.open(url) as remote:
        found = remote.expand_many(queries, return_errors=True)
        right = local.expand_many(queries, return_errors=True)
        for number, (one, other) in enumerate(zip(found, right, strict=True)):
            assert isinstance(one, QueryError) if number in (4, 7, 18) else one == other
        assert isinstance(found[4], UnknownSeedError) and found[4].suggestions == ("Mercury",)
        assert isinstance(found[7], AmbiguousSeedError) and found[7].readings == (("a", "Mercury"), ("b", "Mercury"))
        with pytest.raises(UnknownSeedError, match="Did you mean 'Mercury'"):
            remote.expand_many(queries)
        with pytest.raises(QueryError, match="no query of a search server"):
            remote.expand(["1"], filter=Filter(query={"match_all": {}}))
        with pytest.raises(QueryError):
            remote.expand([NewSeed("The [[okapi]] eats leaves.")])


@pytest.mark.parametrize(
    "narrower",
    [
        ExpandQuery(["0", ""]),
        ExpandQuery(["0"], 3, settings=ExpandSettings(pool_size=20_000)),
        ExpandQuery(["0"], 3, settings=ExpandSettings(search=SearchSettings(compatible_seeds=1))),
        ExpandQuery(["0"], 1_001),
        ExpandQuery(["\ud800"], 3),
        ExpandQuery([NewSeed(image=b"")], 3),
        ExpandQuery([NewSeed(image=Image.new("RGB", (0, 0)))], 3),
        ExpandQuery([NewSeed(image=Image.new("CMYK", (2, 2)))], 3),
        ExpandQuery([NewSeed(image=Path("nowhere.png"))], 3),
    ],
)
def test_what_the_service_refuses_is_refused_alone(url: str, local: Expander, narrower: ExpandQuery) -> None:
    good = ExpandQuery(["3"], 3)
    right = local.expand_many([good])[0]

    async def awaited():
        async with await AsyncExpander.open(url) as remote:
            return await remote.expand_many([good, narrower], return_errors=True)

    with Expander.open(url) as remote:
        for found in (remote.expand_many([narrower, good], return_errors=True)[::-1], asyncio.run(awaited())):
            assert found[0] == right and isinstance(found[1], QueryError)
        with pytest.raises(QueryError):
            remote.expand_many([good, narrower])


def test_no_more_are_asked_together_than_the_service_takes(small_url: str, local: Expander) -> None:
    queries = [ExpandQuery([str(n)], 3) for n in range(7)]

    async def awaited():
        async with await AsyncExpander.open(small_url) as remote:
            return await remote.expand_many(queries)

    with Expander.open(small_url) as remote:
        assert remote.expand_many(queries) == local.expand_many(queries) == asyncio.run(awaited())


def test_explanations_are_those_of_the_index(url: str, local: Expander) -> None:
    right = local.expand(["3", "6"], 5, negative=["4"])
    with Expander.open(url) as remote:
        found = remote.expand(["3", "6"], 5, negative=["4"])
        assert remote.explain(found, 2) == remote.explain(found, found.ids[1]) == local.explain(right, 2)
        assert remote.explain_set(found) == local.explain_set(right)
        with pytest.raises(QueryError, match="no result 9"):
            remote.explain(found, 9)


def test_entities_are_found_and_looked_up(url: str, local: Expander) -> None:
    with Expander.open(url) as remote:
        assert remote.find("place 1", 3) == local.find("place 1", 3)
        assert [each.name for each in remote.find("place 1", 3)] == ["Place 1", "Place 10", "Place 11"]
        assert remote.lookup("mercury") == local.lookup("mercury")
        assert [each.id for each in remote.lookup("mercury")] == ["a", "b"]
        assert remote.lookup("nobody") == local.lookup("nobody") == []
        assert remote.lookup("\ud800") == local.lookup("\ud800") == remote.find("\ud800") == local.find("\ud800") == []


def test_pictures_are_fetched(url: str, local: Expander) -> None:
    with Expander.open(url) as remote:
        (seed,) = remote.expand(["0"], 1).seeds
        found, right = remote.picture(seed.evidence), local.picture(seed.evidence)
        assert isinstance(found, Path) and right is not None
        assert found.read_bytes() == right.read_bytes() and found != right
        assert remote.picture(remote.expand(["1"], 1).seeds[0].evidence) is None
    assert not found.exists()


def test_it_is_awaited_all_the_same(url: str, local: Expander) -> None:
    async def main() -> None:
        async with await AsyncExpander.open(url) as remote:
            one, two = await asyncio.gather(remote.expand(["3", "6"], 5), remote.expand(["1"], 4))
            assert one == local.expand(["3", "6"], 5) and two == local.expand(["1"], 4)
            assert await remote.more(one.accept(one.ids[0])) == local.more(
                local.expand(["3", "6"], 5).accept(one.ids[0])
            )
            assert await remote.find("merc") == local.find("merc")
            assert await remote.lookup("p-3") == local.lookup("p-3")
            picture = await remote.picture((await remote.expand(["0"], 1)).seeds[0].evidence)
            assert picture is not None and picture.read_bytes()
            page = local.expand(["3", "6"], 5)
            assert await remote.explain(one, 1) == local.explain(page, 1)
            assert await remote.explain_set(one) == local.explain_set(page)
            with pytest.raises(UnknownSeedError):
                await remote.expand(["Mercuri"])
        async with await AsyncExpander.open(local.store.version.parents[1]) as embedded:
            assert await embedded.find("merc") == local.find("merc")
            assert await embedded.lookup("p-3") == local.lookup("p-3")

    asyncio.run(main())


def test_a_key_is_sent_where_it_is_wanted(locked_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ENTITY_EXPAND_ELASTIC_API_KEY", "ENTITY_EXPAND_SERVICE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ENTITY_EXPAND_ELASTIC_API_KEY", KEY)
    with pytest.raises(AccessError, match="Bearer KEY"):
        Expander.open(locked_url)
    with pytest.raises(AccessError) as caught:
        Expander.open(locked_url, credentials=Credentials(api_key="another" + KEY))
    assert KEY not in str(caught.value)
    monkeypatch.setenv("ENTITY_EXPAND_SERVICE_API_KEY", KEY)
    with Expander.open(locked_url) as remote:
        assert remote.expand(["0"], 1).results
    with Expander.open(locked_url, credentials=Credentials(api_key=KEY)) as remote:
        assert remote.expand(["0"], 1).results and KEY not in repr(vars(remote))


def test_what_a_service_has_itself_is_refused(url: str) -> None:
    for options in ({"pictures": "folder"}, {"bundle": "bundle"}):
        with pytest.raises(ConfigError, match="of its own"):
            Expander.open(url, **options)
    with Expander.open(url) as remote, pytest.raises(StoreError, match="through the service"):
        remote.store.begin()


def test_a_closed_one_says_so(url: str) -> None:
    remote = Expander.open(url)
    remote.close()
    with pytest.raises(StoreError, match="closed"):
        remote.expand(["0"])


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("http://localhost:8080", True), ("HTTPS://host", True), ("http://host/", True),
        ("http://host:9200/name", False), ("https://host/path/name", False), ("folder", False), ("./http", False),
        ("http://u:p@host", True),
    ],
)  # fmt: skip
def test_addresses_without_an_index_are_services(text: str, service: bool) -> None:
    assert is_service(text) == service


@pytest.mark.parametrize(
    "text",
    [
        "http://",
        "http://host:x",
        "http://host?q",
        "http://host#f",
        "http://[abc",
        "http://h ost",
        "http://u:secret@host",
    ],
)
def test_wrong_addresses_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service(text)
    assert "secret" not in str(caught.value)


def test_an_address_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="no address of a service: Invalid IPv6 URL"):
        Expander.open("http://[abc")


def test_addresses_have_ports() -> None:
    assert [parse_service(text).url for text in ("http://a", "https://a/", "http://[::1]:7")] == [
        "http://a:80", "https://a:443", "http://[::1]:7",
    ]  # fmt: skip


def test_keys_do_not_travel_in_the_clear() -> None:
    far, near = parse_service("http://far.example:80"), parse_service("http://127.0.0.1:80")
    with pytest.raises(ConfigError, match="in the clear"):
        service_credentials(None, far, {"ENTITY_EXPAND_SERVICE_API_KEY": KEY})
    assert service_credentials(None, near, {"ENTITY_EXPAND_SERVICE_API_KEY": KEY}).api_key == KEY
    with pytest.raises(ConfigError, match="not by user"):
        service_credentials(Credentials(user="u", password="p"), near, {})


def test_nobody_there_is_said() -> None:
    with pytest.raises(UnreachableError, match="Is it running"):
        RemoteExpander.connect("http://127.0.0.1:9", timeout=0.5)
