"""Indexing: a bundle and a corpus in, an index out; and what can be done with an index on a search server later."""

from indexer.build import index_corpus
from indexer.elastic.attributes import set_attributes
from indexer.elastic.audit import Audit, verify_index
from indexer.elastic.changes import ChangeReport, delete_entities, upsert_entities
from indexer.elastic.pages import contents_digest
from indexer.elastic.versions import Version, list_versions, prune, rollback
from indexer.fitted import keep_fitted, keep_fitted_with_bundle
from indexer.settings import ElasticSettings, IndexReport, IndexSettings, LoadReport

__all__ = [
    "Audit",
    "ChangeReport",
    "ElasticSettings",
    "IndexReport",
    "IndexSettings",
    "LoadReport",
    "Version",
    "contents_digest",
    "delete_entities",
    "index_corpus",
    "keep_fitted",
    "keep_fitted_with_bundle",
    "list_versions",
    "prune",
    "rollback",
    "set_attributes",
    "upsert_entities",
    "verify_index",
]
