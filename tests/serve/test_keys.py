"""API keys: how they are read, and that they never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from entity_expand import ConfigError
from entity_expand.serve.keys import ApiKeys


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_keys_have_the_names_of_their_lines(tmp_path: Path) -> None:
    keys = ApiKeys.from_file(write(tmp_path, f"# for tests\n\n{'a' * 16}\npage: {'b' * 16}\nx:y:{'c' * 16}\n"))
    assert keys.name_of("a" * 16) == "line-3" and keys.name_of("b" * 16) == "page"
    assert keys.name_of("y:" + "c" * 16) == "x"
    assert keys.name_of("") is keys.name_of("a" * 15) is keys.name_of("é" * 16) is keys.name_of("\ud800") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("# none\n", "holds no key"),
        ("short-secret\n", "Line 1"),
        (f"{'s' * 16}\nse cret{'s' * 16}\n", "Line 2"),
        (f"{'s' * 257}\n", "Line 1"),
        (f"a: {'s' * 16}\na: {'t' * 16}\n", "once more"),
    ],
)
def test_a_wrong_file_is_refused_without_its_keys(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        ApiKeys.from_file(write(tmp_path, text))
    assert "secret" not in str(caught.value) and "sss" not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        ApiKeys.from_file(write(tmp_path, "s" * 16, 0o640))
    with pytest.raises(ConfigError, match="Cannot read"):
        ApiKeys.from_file(tmp_path / "none")


def test_keys_are_not_kept() -> None:
    keys = ApiKeys({"desk": "secret-of-20-letters"})
    assert "secret" not in repr(keys) + repr(vars(keys))
