"""Indexing: a bundle and a corpus in, an index out."""

from indexer.build import IndexReport, IndexSettings, index_corpus

__all__ = ["IndexReport", "IndexSettings", "index_corpus"]
