"""Index a corpus into a folder or a search server: the version in use stays until the new one is whole and checked."""

from __future__ import annotations

import shutil
from pathlib import Path

from entity_expand.bundle import Bundle
from entity_expand.calibration.fitted import Fitted, read_fitted, write_fitted
from entity_expand.corpus import Corpus
from entity_expand.elastic.address import Credentials, is_address, parse_address
from entity_expand.encoder import Encoder
from entity_expand.errors import BundleError, StoreError
from entity_expand.files import locked
from entity_expand.stores.base import IndexMeta
from entity_expand.stores.memory import VERSIONS, MemoryStore, current_version
from entity_expand.stores.writing import is_whole, remove_others, use_version, write_version
from indexer.elastic.build import index_on_server
from indexer.features import GroupEncoder
from indexer.prepare import (
    Prepared,
    features_of,
    index_meta,
    part_blocks,
    prepare,
    records,
    row_blocks,
    texts,
    version_name,
)
from indexer.settings import ElasticSettings, IndexReport, IndexSettings

_BUILDING = "building"
_LAYOUT = "words"
"""Changes with what a version holds beside what its settings say, so that older ones are built again."""


def index_corpus(
    bundle: Bundle,
    encoder: Encoder | GroupEncoder,
    corpus: Corpus,
    destination: Path | str,
    settings: IndexSettings | None = None,
    *,
    elastic: ElasticSettings | None = None,
    credentials: Credentials | None = None,
) -> IndexReport:
    """Index a corpus into a folder, or under a name on a search server.

    The version in use stays as it is until the new one is whole and checked. Killed at any moment and run again, it
    goes on from what was encoded, and on a server from what was sent, and ends with the same index.

    Args:
        bundle: Head rows, and the entities that were trained. An entity of the corpus is one of these if both its
            id and its name are the same; all others get predicted head rows.
        encoder: Yields features of the bundle's width; a `RayEncoder` encodes in many processes.
        corpus: What to index.
        destination: The index folder, or an address such as https://host:9200/NAME.
        settings: None for the defaults.
        elastic: How an index on a server is written; None for the defaults.
        credentials: For the server; None to take them from the environment.

    Raises:
        StoreError: Another run is at work there, the encoder does not fit the bundle, the disk is full, or the server
            failed for longer than the patience.
        CorpusError: No sample shows what the modality and the split ask for.
        EncoderError: The encoder refuses an input.
    """
    chosen = settings or IndexSettings()
    if is_address(str(destination)):
        address = parse_address(str(destination))
        prepared = prepare(bundle, encoder, corpus, chosen)
        return index_on_server(prepared, encoder, address, elastic or ElasticSettings(), credentials)
    root = Path(destination)
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is a file; an index is a folder.")
    with locked(root / ".lock", StoreError(f"Another run is indexing into {root}; wait for it to end.")):
        return _index_into_folder(prepare(bundle, encoder, corpus, chosen), encoder, root)


def _index_into_folder(prepared: Prepared, encoder: Encoder | GroupEncoder, root: Path) -> IndexReport:
    meta, settings = index_meta(prepared, encoder), prepared.settings
    further = [settings.evidence, settings.table_bytes, _LAYOUT, settings.modalities]
    name = version_name(meta, *further)
    own = _own_fitted(root / VERSIONS / name, meta)
    fitted = own or read_fitted(prepared.bundle.path, meta.bundle, BundleError)
    whole = _is_current(root, name, meta)
    if not whole:
        _build(prepared, encoder, root, name, meta, fitted)
    elif fitted is not None and own is None:
        write_fitted(root / VERSIONS / name, fitted)
    remove_others(root, name)
    shutil.rmtree(root / _BUILDING, ignore_errors=True)
    without_samples = len(prepared.corpus.entities) - meta.entities
    return IndexReport(meta.entities, meta.trained, meta.samples, without_samples, whole and fitted is own)


def _build(
    prepared: Prepared, encoder: Encoder | GroupEncoder, root: Path, name: str, meta: IndexMeta, fitted: Fitted | None
) -> None:
    work = root / _BUILDING / name
    work.mkdir(parents=True, exist_ok=True)
    features = features_of(prepared, encoder, work)
    version = work / "version"
    shutil.rmtree(version, ignore_errors=True)
    version.mkdir()
    blocks, shown = row_blocks(prepared, features), records(prepared)
    parts = part_blocks(prepared, encoder, work)
    write_version(version, meta, blocks, shown, prepared.settings.table_bytes, texts(prepared), parts)
    if fitted is not None:
        write_fitted(version, fitted)
    use_version(root, version, name)


def _own_fitted(version: Path, meta: IndexMeta) -> Fitted | None:
    """Return what was fitted for this very version, which stays true when it is built again; None if nothing is."""
    try:
        return read_fitted(version, meta.bundle, StoreError)
    except (StoreError, OSError):
        return None


def _is_current(root: Path, name: str, meta: IndexMeta) -> bool:
    """Return whether the version of this name is in use and undamaged; all its files are read."""
    try:
        version = current_version(root)
        if version != root / VERSIONS / name or not is_whole(version):
            return False
        store = MemoryStore(version)
    except (StoreError, OSError):
        return False
    store.close()
    return store.meta == meta
