"""The versions of an index: physical indices NAME-<hash>, of which the alias NAME stands for one."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.connection import Call, Deadline
from entity_expand.elastic.meta import ElasticMeta, is_ours, read_meta, to_meta
from entity_expand.errors import (
    DeadlineError,
    IndexMismatchError,
    IndexMissingError,
    StoreError,
    UnreachableError,
)
from indexer.elastic.session import Session, reading, writing
from indexer.settings import ElasticSettings

_SWAP_SECONDS, _PAUSE = 30.0, 0.2


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an index.

    Attributes:
        physical: Name of the physical index.
        in_use: Whether the alias stands for it.
        created: When it was made, by the server's clock.
        documents: How many entities it holds; None if it is closed.
        bytes: Its size on the server's disks, copies included; None if it is closed.
        meta: What it says of itself; None if that cannot be read.
        problem: Why not, or why it cannot be used, or "".
        closed: Whether it was closed on the server, so that nothing but its mapping can be read.
    """

    physical: str
    in_use: bool
    created: datetime
    documents: int | None
    bytes: int | None
    meta: ElasticMeta | None
    problem: str
    closed: bool = False

    @property
    def state(self) -> str:
        """How far it is: "loading", "verified", "unreadable", or "closed"."""
        if self.closed:
            return "closed"
        return self.meta.state if self.meta else "unreadable"

    @property
    def usable(self) -> bool:
        """Whether the alias may stand for it."""
        return self.state == "verified"


def version_pattern(name: str) -> re.Pattern[str]:
    """Return what the names of all versions of an index match as a whole."""
    return re.compile(re.escape(name) + r"-[0-9a-f]{16}(-\d+)?")


def find_versions(session: Session) -> list[Version]:
    """Return all versions of a name, oldest first."""
    name = session.name
    wanted = "*.aliases,*.mappings,*.settings.index.creation_date,*.settings.index.verified_before_close"
    only = {"filter_path": wanted, "expand_wildcards": "open,closed"}
    found = session.ask("GET", f"/{name}-*", params=only).body or {}
    named = version_pattern(name)
    ours = {key: value for key, value in found.items() if named.fullmatch(key) and is_ours(value.get("mappings", {}))}
    if not ours:
        return []
    paths = "indices.*.primaries.docs.count,indices.*.total.store.size_in_bytes"
    measured = session.ask("GET", f"/{name}-*/_stats/docs,store", params={"filter_path": paths}).body or {}
    stats = measured.get("indices", {})
    versions = [_version(name, key, value, stats.get(key, {})) for key, value in ours.items()]
    return sorted(versions, key=lambda each: (each.created, each.physical))


def _version(name: str, physical: str, found: Mapping[str, Any], stats: Mapping[str, Any]) -> Version:
    meta, problem = None, ""
    try:
        meta = read_meta(found["mappings"], physical)
    except IndexMismatchError as caught:
        problem = str(caught)
    own = found["settings"]["index"]
    closed = str(own.get("verified_before_close")).lower() == "true"
    if closed:
        problem = f"{physical} is closed. Open it by `POST /{physical}/_open`, or delete it by `DELETE /{physical}`."
    return Version(
        physical=physical,
        in_use=name in found["aliases"],
        created=datetime.fromtimestamp(int(own["creation_date"]) / 1000, UTC),
        documents=None if closed else stats.get("primaries", {}).get("docs", {}).get("count", 0),
        bytes=None if closed else stats.get("total", {}).get("store", {}).get("size_in_bytes", 0),
        meta=meta,
        problem=problem,
        closed=closed,
    )


def behind(session: Session) -> list[str]:
    """Return the physical indices that the name stands for.

    Raises:
        StoreError: An index itself has this name.
    """
    found = session.ask("GET", f"/{session.name}", params={"filter_path": "*.aliases"}, accept=(404,))
    indices = list(found.body or {}) if found.status != 404 else []
    if session.name in indices:
        raise StoreError(
            f"{session.address} is an index of its own, so the name cannot stand for versions. Choose another name, "
            "or delete that index."
        )
    return sorted(indices)


def current(session: Session) -> tuple[str, ElasticMeta]:
    """Return the physical index in use and what it says of itself.

    Raises:
        IndexMissingError: There is none.
        IndexMismatchError: The name stands for several, or for one that was not made by this release.
    """
    found = behind(session)
    if not found:
        raise IndexMissingError(
            f"There is no index {session.address}. Make one with `entity-expand index BUNDLE CORPUS --to "
            f"{session.address}`."
        )
    if len(found) > 1:
        raise IndexMismatchError(f"{session.address} stands for several indices, {', '.join(found)}; expected one.")
    return found[0], meta_of(session, found[0])


def mapping_of(session: Session, physical: str) -> dict[str, Any]:
    """Return the mapping of an index."""
    answer = session.ask("GET", f"/{physical}/_mapping")
    found: dict[str, Any] = answer.body[physical]["mappings"]
    return found


def meta_of(session: Session, physical: str) -> ElasticMeta:
    """Return what an index says of itself, checked against its mapping.

    Raises:
        IndexMismatchError: It was not made by this release, or its mapping is another than it says.
    """
    return read_meta(mapping_of(session, physical), physical)


def write_meta(session: Session, physical: str, meta: ElasticMeta) -> None:
    """Replace what an index says of itself; others' entries in `_meta` stay."""
    kept = mapping_of(session, physical).get("_meta", {})
    session.check()
    session.ask("PUT", f"/{physical}/_mapping", {"_meta": {**kept, **to_meta(meta)}})


def use(session: Session, physical: str) -> None:
    """Let the name stand for a version, by one request that also ends what it stood for.

    Raises:
        StoreError: An index itself has this name, or the lease is lost; the name stands for what it stood for.
    """
    began = time.monotonic()
    while (old := behind(session)) != [physical]:
        if time.monotonic() - began > session.settings.patience:
            raise StoreError(f"{session.address} still stands for {', '.join(old) or 'nothing'}; run again.")
        session.check()
        actions = [{"remove": {"index": each, "alias": session.name}} for each in old if each != physical]
        body = {"actions": [*actions, {"add": {"index": physical, "alias": session.name}}]}
        deadline = Deadline.after(min(_SWAP_SECONDS, session.settings.patience))
        try:
            # Not sent twice blindly: what the name stands for is read again first.
            session.connection.send(Call("POST", "/_aliases", body, safe=False), deadline)
        except (UnreachableError, DeadlineError):
            time.sleep(_PAUSE)


def list_versions(
    address: Address | str, credentials: Credentials | None = None, settings: ElasticSettings | None = None
) -> list[Version]:
    """Return all versions of an index, oldest first."""
    with reading(address, credentials, settings or ElasticSettings()) as session:
        return find_versions(session)


def rollback(
    address: Address | str,
    version: str | None = None,
    credentials: Credentials | None = None,
    settings: ElasticSettings | None = None,
) -> str:
    """Let the name stand for an earlier version again, and return which.

    Args:
        address: The server and the name, such as https://host:9200/NAME.
        version: A physical index, with or without the name before it; None for the newest whole one that is older
            than the one in use.
        credentials: Who asks; None to take them from the environment.
        settings: How patiently.

    Raises:
        IndexMissingError: There is no such version.
        IndexMismatchError: It is not whole, or not of this release.
    """
    with writing(address, credentials, settings or ElasticSettings()) as session:
        versions = find_versions(session)
        chosen = _named(session, versions, version) if version else _previous(session, versions)
        if chosen.problem or not chosen.usable:
            raise IndexMismatchError(chosen.problem or f"{chosen.physical} was never filled; index again.")
        use(session, chosen.physical)
    return chosen.physical


def _named(session: Session, versions: list[Version], version: str) -> Version:
    for each in versions:
        if version in (each.physical, each.physical.removeprefix(f"{session.name}-")):
            return each
    listed = ", ".join(each.physical for each in versions) or "none"
    raise IndexMissingError(f"{session.address} has no version {version!r}; there are: {listed}.")


def _previous(session: Session, versions: list[Version]) -> Version:
    used = [number for number, each in enumerate(versions) if each.in_use]
    older = [each for each in versions[: used[0] if used else len(versions)] if each.usable]
    if not older:
        listed = ", ".join(each.physical for each in versions) or "none"
        raise IndexMissingError(f"{session.address} has no whole version before the one in use; there are: {listed}.")
    return older[-1]


def prune(
    address: Address | str,
    keep: int = 2,
    credentials: Credentials | None = None,
    settings: ElasticSettings | None = None,
) -> list[str]:
    """Delete old versions and what unfinished runs left behind, and return their names; closed ones stay.

    Args:
        address: The server and the name, such as https://host:9200/NAME.
        keep: Whole versions that stay: the one in use, which always stays, and the newest others.
        credentials: Who asks; None to take them from the environment.
        settings: How patiently.
    """
    with writing(address, credentials, settings or ElasticSettings()) as session:
        versions = find_versions(session)
        others = [each.physical for each in versions if each.usable and not each.in_use]
        used = sum(each.in_use for each in versions)
        kept = set(others[-(keep - used) :]) if keep > used else set()
        gone = [each.physical for each in versions if not (each.in_use or each.closed or each.physical in kept)]
        for physical in gone:
            session.check()
            session.ask("DELETE", f"/{physical}", accept=(404,))
    return gone
