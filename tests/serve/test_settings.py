"""Where the service listens: loopback, unless it may do otherwise."""

from __future__ import annotations

import pytest

from entity_expand import ConfigError, Expander
from entity_expand.serve.run import serve
from entity_expand.serve.settings import ServeSettings


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("192.168.0.1", False), ("example.org", False), ("127.0.0.1.nip", False),
    ],
)  # fmt: skip
def test_loopback_is_this_machine_alone(host: str, loopback: bool) -> None:
    assert ServeSettings(host).loopback == loopback


def test_it_is_the_default() -> None:
    assert ServeSettings().host == "127.0.0.1"


def test_no_other_address_is_served_without_a_key(expander: Expander) -> None:
    with pytest.raises(ConfigError, match="without a key"):
        serve(expander, ServeSettings("0.0.0.0", 0))


@pytest.mark.parametrize("wrong", [{"port": -1}, {"host": ""}, {"workers": 0}, {"seconds": 0.0}, {"size": 10_001}])
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        ServeSettings(**wrong)
