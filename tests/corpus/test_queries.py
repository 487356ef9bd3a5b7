from __future__ import annotations

from pathlib import Path

import pytest

from entity_expand.corpus import Query, read_queries, read_truth, write_queries, write_truth
from entity_expand.errors import CorpusError


def test_queries_are_sorted_by_class_and_number(tmp_path: Path) -> None:
    (tmp_path / "rivers.v2.txt").write_text("3 1 2\r\n\n6 5 4\nEXIT\n7 8 9\n")
    (tmp_path / "cities.txt").write_bytes(b"\xef\xbb\xbf11 12")
    (tmp_path / ".hidden").write_text("1 2 3\n")
    (tmp_path / "folder").mkdir()
    assert read_queries(tmp_path) == (
        Query("cities", 0, ("11", "12")),
        Query("rivers", 0, ("3", "1", "2")),
        Query("rivers", 1, ("6", "5", "4")),
    )


def test_truth_needs_a_positive_third_column(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\tone\t1\n2\ttwo\t0\n3\tthree\t2\n\n")
    (tmp_path / "b.txt").write_text("")
    assert read_truth(tmp_path) == {"a": frozenset({"1", "3"}), "b": frozenset()}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    queries = (Query("a", 0, ("New York",)), Query("a", 1, ("New York", "Oslo")), Query("b", 0, ("1", "2")))
    write_queries(tmp_path / "query", queries)
    write_truth(tmp_path / "gt", {"a": [("New York", "New\nYork"), ("Oslo", "Oslo")]})
    assert read_queries(tmp_path / "query") == queries
    assert read_truth(tmp_path / "gt") == {"a": {"New York", "Oslo"}}


@pytest.mark.parametrize("content", [b"1\tone\n", b"1\tone\tx\n", b"\xff\t\t1", b"1\t\0\t1", b"1\tone\t" + b"9" * 5000])
def test_broken_truth_is_a_typed_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(CorpusError, match=r"a\.txt"):
        read_truth(tmp_path)


def test_two_files_of_one_class_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "a.csv").write_text("1")
    with pytest.raises(CorpusError, match="both of the class 'a'"):
        read_queries(tmp_path)


def test_missing_folders_and_links_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Cannot read the folder"):
        read_queries(tmp_path / "none")
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "a.txt").symlink_to("/etc/hostname")
    with pytest.raises(CorpusError, match="through a link"):
        read_queries(tmp_path / "q")
    with pytest.raises(CorpusError, match="stay inside"):
        write_queries(tmp_path / "q", [Query("../b", 0, ("1",))])
