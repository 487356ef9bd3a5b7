"""From loading to serving: refresh, merge, and the settings that an index has when it is searched."""

from __future__ import annotations

import time

from entity_expand.errors import StoreError, UnreachableError
from indexer.elastic.session import Session

_MERGE_SECONDS = 4 * 3600.0
_POLL_SECONDS = 1.0


def refresh(session: Session, physical: str) -> None:
    """Make what was written visible to searches."""
    session.ask("POST", f"/{physical}/_refresh")


def finish(session: Session, physical: str) -> None:
    """Merge the loaded index if that is wanted, give it the settings of one that serves, and wait for its copies."""
    session.check()
    refresh(session, physical)
    if session.settings.merge:
        _merge(session, physical)
    _serve(session, physical)
    refresh(session, physical)


def _merge(session: Session, physical: str) -> None:
    """Merge into one segment per shard: as a task that is asked after, so that no connection has to live so long."""
    params = {"max_num_segments": "1", "wait_for_completion": "false"}
    answer = session.ask("POST", f"/{physical}/_forcemerge", params=params)
    task = (answer.body or {}).get("task")
    began, pause = time.monotonic(), 0.05
    moved, before = began, (0, 0)
    while task:
        found = session.ask("GET", f"/_tasks/{task}", accept=(403, 404))
        if found.status != 200 or found.body.get("completed"):
            break  # without a task to ask after, the merge goes on by itself; searches are right all the same
        now, merges = time.monotonic(), _merges(session, physical)
        if merges != before or merges[0]:
            moved, before = now, merges
        if now - moved > session.settings.patience:
            raise StoreError(
                f"The server did not merge {physical} for {now - moved:.0f} s, though it was asked to: its disk may be "
                "fuller than indices.merge.disk.watermark.high allows (95 %). Make room and run the same again, which "
                "goes on from here; or index without merging (ElasticSettings(merge=False))."
            )
        if now - began > _MERGE_SECONDS:
            raise StoreError(f"Merging {physical} takes more than {_MERGE_SECONDS / 3600:g} hours; index without it.")
        session.check()
        time.sleep(pause)
        pause = min(_POLL_SECONDS, 2 * pause)


def _merges(session: Session, physical: str) -> tuple[int, int]:
    """Return how many merges are at work on an index, and how many were done."""
    params = {"filter_path": "_all.total.merges.current,_all.total.merges.total"}
    found = session.ask("GET", f"/{physical}/_stats/merge", params=params, accept=(403,))
    merges = found.body["_all"]["total"]["merges"] if found.status == 200 else {}
    return int(merges.get("current", 1)), int(merges.get("total", 0))


def _serve(session: Session, physical: str) -> None:
    """Let the server refresh by itself and make copies; wait until these can serve."""
    wanted = session.settings.replicas
    if wanted is None:
        health = session.ask("GET", "/_cluster/health", params={"filter_path": "number_of_data_nodes"}).body
        wanted = 1 if health.get("number_of_data_nodes", 1) > 1 else 0
    session.check()
    session.ask("PUT", f"/{physical}/_settings", {"index": {"refresh_interval": None, "number_of_replicas": wanted}})
    began = time.monotonic()
    while True:
        # 408 and a timed-out answer are the server's way of saying "not yet".
        params = {"wait_for_status": "green", "timeout": "0s", "filter_path": "status"}
        answer = session.ask("GET", f"/_cluster/health/{physical}", params=params, accept=(408,))
        if (answer.body or {}).get("status") == "green":
            return
        if time.monotonic() - began > session.settings.patience:
            raise UnreachableError(
                f"The copies of {physical} were not made within {session.settings.patience:g} s: the cluster may have "
                "too few data nodes for them. Index with fewer replicas."
            )
        time.sleep(0.2)
