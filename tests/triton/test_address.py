from __future__ import annotations

import pytest

from entity_expand.errors import ConfigError
from entity_expand.triton.address import TritonAddress, is_triton, parse_triton


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("triton://models", TritonAddress("triton://models", "models:8001")),
        ("triton://10.0.0.1:9", TritonAddress("triton://10.0.0.1:9", "10.0.0.1:9")),
        ("triton+http://[::1]/", TritonAddress("triton+http://[::1]/", "[::1]:8000", http=True)),
        ("triton+https://a:1", TritonAddress("triton+https://a:1", "a:1", http=True, encrypted=True)),
        ("triton+tls://a", TritonAddress("triton+tls://a", "a:8001", encrypted=True)),
        ("triton+shm://a", TritonAddress("triton+shm://a", "a:8001", shared_memory=True)),
    ],
)
def test_addresses_are_taken_apart(text: str, expected: TritonAddress) -> None:
    assert is_triton(text) and parse_triton(text) == expected


@pytest.mark.parametrize(
    "text", ["triton://", "triton+udp://a", "triton://a:b", "triton://a/b", "triton://a?b", "http://a", "triton://a b"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no address of a Triton server"):
        parse_triton(text)


def test_credentials_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="no credentials") as caught:
        parse_triton("triton://user:secret@host")
    assert "secret" not in str(caught.value)


def test_folders_and_other_servers_are_no_triton() -> None:
    assert not any(is_triton(text) for text in ("index", "http://a/b", "cuda", "tritons/a"))
