"""Corpora: read them in MESED's layout or our own, check them, write them, and import one's own rows."""

from entity_expand.corpus.check import check_corpus
from entity_expand.corpus.importer import ImportReport, import_rows
from entity_expand.corpus.own import OwnRow, write_corpus
from entity_expand.corpus.queries import (
    Query,
    read_queries,
    read_truth,
    validation_classes,
    write_queries,
    write_truth,
)
from entity_expand.corpus.read import Corpus
from entity_expand.corpus.report import CorpusReport, Problem

__all__ = [
    "Corpus",
    "CorpusReport",
    "ImportReport",
    "OwnRow",
    "Problem",
    "Query",
    "check_corpus",
    "import_rows",
    "read_queries",
    "read_truth",
    "validation_classes",
    "write_corpus",
    "write_queries",
    "write_truth",
]
