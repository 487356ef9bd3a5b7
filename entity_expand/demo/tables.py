"""The tables of the demo corpus, read from the files that are installed with the package."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

from entity_expand.demo.flags import FlagTable, parse_flags
from entity_expand.errors import CorpusError
from entity_expand.types import id_order

CONTINENTS: Mapping[str, str] = MappingProxyType(
    {"africa": "Africa", "americas": "Americas", "asia": "Asia", "europe": "Europe", "oceania": "Oceania"}
)
"""Stem of the data file and name of each continent."""

Kind: TypeAlias = Literal["text", "picture", "both"]


@dataclass(frozen=True)
class Country:
    """One entity: each of its sentences, for training and for tests, names it exactly once."""

    id: str
    name: str
    capital: str
    continent: str
    aliases: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class DemoClass:
    """One class: what decides membership, a definition, member ids and hard negatives, both in id order."""

    name: str
    kind: Kind
    definition: str
    members: tuple[str, ...]
    near: tuple[str, ...]


def _read(name: str) -> str:
    return files("entity_expand.demo").joinpath("data", name).read_text(encoding="utf-8")


def _country(block: str, continent: str) -> Country:
    """Parse `# ID | name | capital | alias; alias` (or `-` for none) sentences, `--`, test sentences."""
    head, *sentences = block.strip().splitlines()
    border = sentences.index("--")
    identifier, name, capital, aliases = (part.strip() for part in head.split("|"))
    known = () if aliases == "-" else tuple(alias.strip() for alias in aliases.split(";"))
    return Country(
        identifier, name, capital, continent, known, tuple(sentences[:border]), tuple(sentences[border + 1 :])
    )


@cache
def read_countries() -> Mapping[str, Country]:
    """Return all countries by id, in id order."""
    found = [
        _country(block, continent)
        for stem, continent in CONTINENTS.items()
        for block in ("\n" + _read(f"{stem}.txt")).split("\n# ")[1:]
    ]
    return MappingProxyType({country.id: country for country in sorted(found, key=lambda one: id_order(one.id))})


@cache
def read_flags() -> FlagTable:
    """Return the strokes of all flags."""
    table = tomllib.loads(_read("flags.toml"))
    return parse_flags(table["colours"], table["flags"])


@cache
def read_classes() -> Mapping[str, DemoClass]:
    """Return all classes by name, sorted by name.

    Raises:
        CorpusError: A member or a hard negative is no country, or a hard negative is a member.
    """
    table = tomllib.loads(_read("classes.toml"))
    countries = read_countries()
    groups: dict[str, set[str]] = {
        continent: {country.id for country in countries.values() if country.continent == continent}
        for continent in CONTINENTS.values()
    }
    groups |= {name: set(row["members"].split()) for name, row in table.items() if "members" in row}
    classes = {}
    for name, row in sorted(table.items()):
        members = groups[name] if "members" in row else set.intersection(*(groups[part] for part in row["meets"]))
        near = set(row["near"].split())
        if unknown := (members | near) - countries.keys():
            raise CorpusError(f"The class {name} names unknown countries: {', '.join(sorted(unknown))}.")
        if members & near:
            raise CorpusError(f"The class {name} has members as hard negatives: {sorted(members & near)}.")
        ordered = (tuple(sorted(group, key=id_order)) for group in (members, near))
        classes[name] = DemoClass(name, cast(Kind, row["kind"]), row["definition"], *ordered)
    return MappingProxyType(classes)
