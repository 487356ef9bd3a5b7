"""Files and folders that appear whole: at success, at an exception, at a kill, and beside other processes."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entity_expand import renaming
from entity_expand.errors import CorpusError, EntityExpandError, StoreError
from entity_expand.files import (
    confined,
    discard,
    locked,
    new_folder,
    read_capped,
    read_json,
    replacing,
    settle,
    sha256_of,
    write_bytes,
    write_json,
    write_result,
    write_text,
)


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which two folders change places."""
    if request.param == "two renames":
        monkeypatch.setattr(renaming.ctypes, "CDLL", lambda *_, **__: object())
    elif sys.platform != "linux":
        pytest.skip("only Linux exchanges two paths in one step")
    return request.param


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(path: Path, content: str) -> None:
    with new_folder(path) as beside:
        (beside / "inner").mkdir()
        (beside / "inner" / "file").write_text(content)


def content_of(path: Path) -> str:
    assert names(path) == ["inner"]
    return (path / "inner" / "file").read_text()


def killed_in(tmp_path: Path, body: str) -> int:
    """Run a body in a process that ends at once where the body says `die()`; return its number."""
    code = f"""
        import os, sys, pathlib
        from entity_expand import files, renaming
        path = pathlib.Path(sys.argv[1])
        die = lambda *_, **__: os.kill(os.getpid(), 9)
        {body}
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "it")])
    assert child.wait() == -9
    return child.pid


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), replacing(path) as beside:
        beside.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    with replacing(path) as beside:
        beside.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["file"]
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_text_and_json_are_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "å\n")
    assert (tmp_path / "text").read_bytes() == b"\xc3\xa5\n"
    write_json(tmp_path / "json", {"b": 1, "a": "å"})
    assert (tmp_path / "json").read_text(encoding="utf-8") == '{\n  "a": "å",\n  "b": 1\n}\n'
    # echo -n abc | sha256sum
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_takes_the_place_of_an_older_one(tmp_path: Path, way: str) -> None:
    path = tmp_path / "new" / "folder"
    fill(path, "first")
    assert content_of(path) == "first"
    with new_folder(path) as beside:
        (beside / "inner").mkdir()
        (beside / "inner" / "file").write_text("second")
        assert content_of(path) == "first"
    assert content_of(path) == "second"
    assert names(path.parent) == ["folder"]


def test_an_exception_leaves_the_older_folder(tmp_path: Path, way: str) -> None:
    path = tmp_path / "folder"
    fill(path, "first")
    with pytest.raises(RuntimeError), new_folder(path) as beside:
        (beside / "half").touch()
        raise RuntimeError
    assert content_of(path) == "first"
    assert names(tmp_path) == ["folder"]


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path, way: str) -> None:
    fill(tmp_path / "target", "kept")
    for link, target in (("link", "target"), ("dangling", "nothing")):
        (tmp_path / link).symlink_to(target)
        fill(tmp_path / link, "new")
        assert content_of(tmp_path / link) == "new"
        assert not (tmp_path / link).is_symlink()
    assert content_of(tmp_path / "target") == "kept"
    assert names(tmp_path) == ["dangling", "link", "target"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("kept")
    with pytest.raises(EntityExpandError, match="it is a file"), new_folder(tmp_path / "it"):
        pytest.fail("the body must not run")
    assert (tmp_path / "it").read_text() == "kept"
    assert names(tmp_path) == ["it"]


def test_a_file_system_that_cannot_exchange_is_served_by_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        @staticmethod
        def renameat2(*_: object) -> int:
            renaming.ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(renaming.ctypes, "CDLL", lambda *_, **__: Refusing)
    fill(tmp_path / "it", "first")
    fill(tmp_path / "it", "second")
    assert content_of(tmp_path / "it") == "second"
    assert names(tmp_path) == ["it"]


def test_a_reader_that_settles_between_the_renames_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renaming.ctypes, "CDLL", lambda *_, **__: object())
    path = tmp_path / "it"
    fill(path, "first")
    rename, met = Path.rename, []

    def meddled(self: Path, target: Path) -> Path:
        if target == path and not met:
            met.append(settle(path))  # the reader comes when there is no folder at `path`
            assert content_of(path) == "first"
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", meddled)
    fill(path, "second")
    assert met == [path]
    assert content_of(path) == "second"
    assert names(tmp_path) == ["it"]


def test_readers_always_meet_a_whole_folder(tmp_path: Path, way: str) -> None:
    path = tmp_path / "it"
    fill(path, "0")
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                descriptor = os.open(settle(path), os.O_RDONLY)
            except FileNotFoundError:
                seen.append("nothing")
                continue
            try:
                inside = os.listdir(descriptor)  # noqa: PTH208 - of the folder opened, whatever its name is now
                seen.append("whole" if inside == ["inner"] else "removed" if not inside else "half")
            finally:
                os.close(descriptor)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(1, 60):
            fill(path, str(turn))
            assert content_of(path) == str(turn)
    finally:
        stop.set()
        reader.join()
    # A folder that was replaced after it had been opened may be empty; by two renames there may be none for a moment.
    assert set(seen) <= {"whole", "removed", *(["nothing"] if way == "two renames" else [])}
    assert "whole" in seen
    assert names(tmp_path) == ["it"]


@pytest.mark.parametrize("older", [False, True])
def test_a_kill_while_a_folder_is_filled(tmp_path: Path, older: bool) -> None:
    if older:
        fill(tmp_path / "it", "older")
    body = """
        with files.new_folder(path) as beside:
            (beside / "half").touch()
            die()"""
    killed = killed_in(tmp_path, body)
    assert f".it.{killed}-1.part" in names(tmp_path)
    assert settle(tmp_path / "it").exists() == older
    if older:
        assert content_of(tmp_path / "it") == "older"
    fill(tmp_path / "it", "newer")
    assert content_of(tmp_path / "it") == "newer"
    assert names(tmp_path) == ["it"]


def test_a_kill_between_the_two_renames(tmp_path: Path) -> None:
    fill(tmp_path / "it", "older")
    body = """
        renaming.ctypes.CDLL = lambda *_, **__: object()
        rename = pathlib.Path.rename
        pathlib.Path.rename = lambda self, target: die() if target == path else rename(self, target)
        with files.new_folder(path) as beside:
            (beside / "half").touch()"""
    killed = killed_in(tmp_path, body)
    assert names(tmp_path) == [f".it.{killed}-1.part", ".it.old"]
    assert content_of(settle(tmp_path / "it")) == "older"
    fill(tmp_path / "it", "newer")
    assert names(tmp_path) == ["it"]


def test_a_kill_before_the_older_one_is_removed(tmp_path: Path, way: str) -> None:
    fill(tmp_path / "it", "older")
    setting = "renaming.ctypes.CDLL = lambda *_, **__: object()" if way == "two renames" else ""
    body = f"""
        {setting}
        files.shutil.rmtree = die
        with files.new_folder(path) as beside:
            (beside / "inner").mkdir()
            (beside / "inner" / "file").write_text("newer")"""
    killed = killed_in(tmp_path, body)
    assert content_of(settle(tmp_path / "it")) == "newer"
    assert content_of(tmp_path / f".it.{killed}-1.part") == "older"
    discard(tmp_path / "it")
    assert not settle(tmp_path / "it").exists()
    assert names(tmp_path) == []


def test_a_kill_while_a_file_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "it", "older")
    body = """
        with files.replacing(path) as beside:
            beside.write_text("half")
            die()"""
    killed = killed_in(tmp_path, body)
    assert names(tmp_path) == [f".it.{killed}-1.part", "it"]
    assert (tmp_path / "it").read_text() == "older"
    write_text(tmp_path / "other", "")
    assert f".it.{killed}-1.part" in names(tmp_path)
    write_text(tmp_path / "it", "newer")
    assert names(tmp_path) == ["it", "other"]


@pytest.fixture
def running() -> Iterator[int]:
    """The number of a process that runs."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child.pid
        child.kill()


def test_only_leftovers_of_dead_processes_are_removed(tmp_path: Path, dead: int, running: int) -> None:
    kept = [f".it.{running}.part", f".it.more.{dead}.part", f".other.{dead}.part", f".it.{dead}.parts", ".it.x.part"]
    kept += [f".it.0{dead}.part", f"it.{dead}.part", f".it.{dead}0000000000.part", f".it.{dead}-.part"]
    kept += [f".it.{running}-1.part", f".it.{dead}-x.part"]
    for name in kept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for name in (f".it.{dead}.part", f".it.{dead}-12.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    fill(tmp_path / "it", "new")
    assert names(tmp_path) == sorted(["it", *kept])


def test_what_is_locked_is_not_removed_whatever_its_number(tmp_path: Path, dead: int) -> None:
    # As with a process in another container, whose number stands for nothing here.
    other = tmp_path / f".it.{dead}.part"
    other.mkdir()
    descriptor = os.open(other, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    fill(tmp_path / "it", "new")
    assert names(tmp_path) == [other.name, "it"]
    os.close(descriptor)
    fill(tmp_path / "it", "new")
    assert names(tmp_path) == ["it"]


def test_threads_that_write_the_same_do_not_meet(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def write(number: int) -> None:
        together.wait(20)
        for _ in range(20):
            write_text(tmp_path / "file", str(number) * 1000)
            fill(tmp_path / "it", str(number))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert names(tmp_path) == ["file", "it"]
    assert (tmp_path / "file").read_text() in {str(number) * 1000 for number in range(8)}
    assert content_of(tmp_path / "it") in {str(number) for number in range(8)}


def test_what_is_being_written_is_locked(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as file, new_folder(tmp_path / "folder") as folder:
        file.write_text("other content")
        for path in (file, folder):
            descriptor = os.open(path, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(descriptor)


def test_a_link_among_leftovers_is_removed_and_not_followed(tmp_path: Path, dead: int) -> None:
    fill(tmp_path / "target", "kept")
    (tmp_path / f".it.{dead}.part").symlink_to("target")
    fill(tmp_path / "it", "new")
    assert names(tmp_path) == ["it", "target"]
    assert content_of(tmp_path / "target") == "kept"


def test_discard_removes_a_folder_and_minds_no_missing_one(tmp_path: Path) -> None:
    fill(tmp_path / "it", "old")
    discard(tmp_path / "it")
    discard(tmp_path / "it")
    assert names(tmp_path) == []


def test_settle_does_nothing_where_all_is_well(tmp_path: Path) -> None:
    assert settle(tmp_path / "it") == tmp_path / "it"
    fill(tmp_path / "it", "newer")
    fill(tmp_path / ".it.old", "older")
    settle(tmp_path / "it")
    assert content_of(tmp_path / "it") == "newer"


def test_a_lock_is_held_once_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "new" / ".lock"
    with (
        locked(path, StoreError("busy")),
        pytest.raises(StoreError, match=r"^busy$"),
        locked(path, StoreError("busy")),
    ):
        pytest.fail("the body must not run")
    with locked(path, StoreError("busy")):
        pass
    body = """
        held = files.locked(path, files.EntityExpandError("busy"))
        held.__enter__()
        die()"""
    killed_in(tmp_path, body)
    with locked(tmp_path / "it", StoreError("busy")):
        pass


def test_a_lock_without_an_error_is_waited_for(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", []

    def second() -> None:
        with locked(path):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_reads_stop_at_the_cap(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"12345")
    assert read_capped(tmp_path / "it", 5, StoreError) == b"12345"
    with pytest.raises(StoreError, match="larger than the limit of 4 bytes"):
        read_capped(tmp_path / "it", 4, StoreError)
    with pytest.raises(StoreError, match="No such file"):
        read_capped(tmp_path / "nothing", 4, StoreError)
    with pytest.raises(StoreError, match="Is a directory"):
        read_capped(tmp_path, 4, StoreError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[1]", "should hold a JSON object, not list"),
        (b'{"a": "' + b"x" * 200_000 + b'"}', "larger than"),
    ],
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "it").write_bytes(content)
    with pytest.raises(StoreError, match=message):
        read_json(tmp_path / "it", 200_000, StoreError)


def test_a_json_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes('{"å": 1}'.encode())
    assert read_json(tmp_path / "it", 9, StoreError) == {"å": 1}  # 9 bytes: å takes two


@pytest.mark.parametrize("relative", ["", "/etc/passwd", "..", "a/../../b", "a\\b", "a\0b", "out/file", "up", "out"])
def test_paths_that_leave_are_refused(tmp_path: Path, relative: str) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (root / "up").symlink_to("..")
    with pytest.raises(CorpusError, match=r"stay inside|through a link"):
        confined(root, relative, CorpusError)


def test_paths_that_stay_are_returned_as_they_are(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "link").symlink_to("in")
    (tmp_path / "alias").symlink_to("root")
    for relative in ("in", "in/new", "link/new", "./in", "in/.hidden", "...", "a b"):
        assert confined(root, relative, CorpusError) == root / relative
        assert confined(tmp_path / "alias", relative, CorpusError) == tmp_path / "alias" / relative


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path, way: str) -> None:
    mine, theirs, empty, locked_once = (tmp_path / name for name in ("mine", "theirs", "empty", "locked once"))
    for folder in (mine, theirs, empty, locked_once):
        folder.mkdir()
    (locked_once / ".lock").touch()
    (mine / "a-1").mkdir()
    (mine / "a-1" / "marker.json").touch()
    (theirs / "thesis.txt").write_text("years")
    for folder in (mine, empty, locked_once, tmp_path / "new"):
        with new_folder(folder, "a-*/marker.json") as beside:
            (beside / "made").touch()
        assert names(folder) == ["made"]
    refused = pytest.raises(
        EntityExpandError, match=r"theirs is there and is something else, for it holds no marker\.json"
    )
    with refused, new_folder(theirs, "marker.json"):
        raise AssertionError("nothing is made for it")
    assert (theirs / "thesis.txt").read_text() == "years"


def test_a_result_goes_behind_links_and_into_pipes(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    for name in ("there", "new"):
        (tmp_path / name).symlink_to(tmp_path / "far" / name)
    (tmp_path / "far" / "there").write_text("older")
    (tmp_path / "far" / "there").chmod(0o600)
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        for name in ("there", "new", "pipe"):
            write_result(tmp_path / name, "ö")
        assert read.result(10) == "ö"
    for name in ("there", "new"):
        assert (tmp_path / name).is_symlink() and (tmp_path / "far" / name).read_text(encoding="utf-8") == "ö"
    assert (tmp_path / "far" / "there").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "pipe").is_fifo() and names(tmp_path) == ["far", "new", "pipe", "there"]
    with pytest.raises(IsADirectoryError):
        write_result(tmp_path / "far", "x")
    script = "from pathlib import Path; from entity_expand.files import write_result as w; w(Path('/dev/stdout'), 'ö')"
    before = Path("/dev/stdout").readlink()
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == "ö".encode()
    assert Path("/dev/stdout").readlink() == before
