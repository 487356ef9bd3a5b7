"""Indexing: a bundle and a corpus in, an index out."""

from indexer.build import index_corpus
from indexer.settings import ElasticSettings, IndexReport, IndexSettings, LoadReport

__all__ = ["ElasticSettings", "IndexReport", "IndexSettings", "LoadReport", "index_corpus"]
