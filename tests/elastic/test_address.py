"""Addresses of indices, and credentials that never show themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from entity_expand.elastic.address import Address, Credentials, credentials, is_address, parse_address
from entity_expand.errors import ConfigError

SECRET = "tr0ub4dor"
PREFIX = "ENTITY_EXPAND_ELASTIC_"


@pytest.mark.parametrize(
    ("text", "url", "index"),
    [
        ("http://localhost:9200/sights", "http://localhost:9200", "sights"),
        ("https://search.example/sights", "https://search.example:443", "sights"),
        ("http://search.example/sights/", "http://search.example:80", "sights"),
        ("https://search.example:9200/es/v9/sights-2", "https://search.example:9200/es/v9", "sights-2"),
        ("HTTPS://Search.Example:9200/städte.1", "https://search.example:9200", "städte.1"),
        ("http://[::1]:9200/sights", "http://[::1]:9200", "sights"),
        ("http://localhost:9200/" + 200 * "n", "http://localhost:9200", 200 * "n"),
    ],
)
def test_an_address_has_a_server_and_a_name(text: str, url: str, index: str) -> None:
    assert is_address(text)
    assert parse_address(text) == Address(url, index)
    assert parse_address(str(parse_address(text))) == Address(url, index)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("index", "no address"),
        ("ftp://localhost/sights", "no address"),
        ("http://localhost:9200", "names no index"),
        ("http://localhost:9200/", "names no index"),
        ("http:///sights", "no address"),
        ("http://localhost:x/sights", "no address"),
        ("http://localhost:99999/sights", "no address"),
        ("http://[::1/sights", "no address"),
        ("http://localhost:9200/sights?pretty", "nothing after it"),
        ("http://localhost:9200/sights#top", "nothing after it"),
        ("http://localhost:9200/si ghts", "nothing after it"),
        ("http://localhost:9200/si\nghts", "no address"),
        ("http://localhost:9200/Sights", "'sights'"),
        *((f"http://localhost:9200/{first}sights", "must not begin") for first in "-_+"),
        *((f"http://localhost:9200/si{sign}ghts", "does not allow") for sign in '\\*"<>|,:%'),
        ("http://localhost:9200/es/..", "cannot name"),
        ("http://localhost:9200/.", "cannot name"),
        ("http://localhost:9200/" + 101 * "ä", "200 bytes"),
    ],
)
def test_what_is_no_address_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_address(text)


def test_folders_are_no_addresses() -> None:
    assert not any(map(is_address, ("index", "/http://x", "./https", "httpx://x/y")))


@pytest.mark.parametrize("user", [f"me:{SECRET}", f"me:{SECRET}/x", f"me:#{SECRET}", f"me:?{SECRET}@@", SECRET])
def test_credentials_in_an_address_are_refused_and_not_repeated(user: str) -> None:
    with pytest.raises(ConfigError, match=PREFIX + "API_KEY") as caught:
        parse_address(f"https://{user}@localhost:9200/sights")
    assert SECRET not in repr(caught.value)


def test_only_this_machine_is_loopback() -> None:
    found = {
        host: Address(f"http://{host}:1", "x").loopback for host in ("127.0.0.1", "[::1]", "localhost", "10.0.0.1")
    }
    assert found == {"127.0.0.1": True, "[::1]": True, "localhost": True, "10.0.0.1": False}
    assert not Address("http://localhost.example:1", "x").loopback


def test_credentials_come_from_the_environment() -> None:
    environ = {PREFIX + "USER": "me", PREFIX + "PASSWORD": SECRET, PREFIX + "CA_FILE": "ca.pem", "HOME": "/"}
    assert credentials(None, environ) == Credentials(user="me", password=SECRET, ca_file="ca.pem")
    environ = {PREFIX + "API_KEY": SECRET, PREFIX + "FINGERPRINT": 20 * "aB:", PREFIX + "ALLOW_PLAIN_HTTP": "1"}
    with pytest.raises(ConfigError, match="64 hex digits"):
        credentials(None, environ)
    environ[PREFIX + "FINGERPRINT"] = (32 * "aB:")[:-1]
    expected = Credentials(api_key=SECRET, fingerprint=(32 * "aB:")[:-1], allow_plain_http=True)
    assert credentials(None, environ) == expected
    assert credentials(None, {PREFIX + "USER": ""}) == Credentials()
    with pytest.raises(ConfigError, match="0 or 1"):
        credentials(None, {PREFIX + "ALLOW_PLAIN_HTTP": "yes"})


def private(folder: Path, text: str) -> Path:
    path = folder / "credentials.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_credentials_come_from_a_private_file(tmp_path: Path) -> None:
    path = private(tmp_path, f'user = "me"\npassword = "{SECRET}"\nallow_plain_http = true\n')
    expected = Credentials(user="me", password=SECRET, allow_plain_http=True)
    assert credentials(path, {PREFIX + "API_KEY": "another"}) == expected
    assert credentials(None, {PREFIX + "CREDENTIALS": str(path)}) == expected
    with pytest.raises(ConfigError, match=f"{PREFIX}API_KEY is set as well"):
        credentials(None, {PREFIX + "CREDENTIALS": str(path), PREFIX + "API_KEY": SECRET})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path, f'api_key = "{SECRET}"')
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        Credentials.from_file(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'apikey = "{SECRET}"', "Did you mean 'api_key'"),
        (f'api_key = "{SECRET}', "not valid TOML"),
        (f"api_key = {SECRET}", "not valid TOML"),
        ("password = 4711", "password should be a text"),
        ("allow_plain_http = 1", "true or false"),
        (f'[elastic]\napi_key = "{SECRET}"', "elastic should be a text"),
        (f'api_key = "{SECRET}"\nuser = "me"', "choose one"),
        ("#" + 70_000 * "x", "limit"),
    ],
)
def test_a_file_with_mistakes_is_refused_without_repeating_it(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Credentials.from_file(private(tmp_path, text))
    assert SECRET not in repr(caught.value) and "4711" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"api_key": SECRET, "user": "me", "password": SECRET}, "api_key and user"),
        ({"user": "me"}, "without password"),
        ({"password": SECRET}, "without user"),
        ({"api_key": SECRET + "\n"}, "line break"),
        ({"api_key": ""}, "empty"),
        ({"api_key": SECRET + "ä"}, "ASCII"),
        ({"ca_file": "a", "fingerprint": 64 * "0"}, "ca_file and fingerprint"),
        ({"fingerprint": "sha256"}, "64 hex digits"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Credentials(**given)  # type: ignore[arg-type]
    assert SECRET not in repr(caught.value)


def test_secrets_are_not_shown() -> None:
    for each in (Credentials(api_key=SECRET), Credentials(user="me", password=SECRET)):
        assert SECRET not in repr(each) + str(each) + f"{each!r:>100}"
        assert "***" in repr(each)
    assert "user='me'" in repr(Credentials(user="me", password=SECRET))


def test_secrets_do_not_travel_in_the_clear() -> None:
    secret, far = Credentials(api_key=SECRET), Address("http://10.0.0.1:9200", "x")
    with pytest.raises(ConfigError, match="in the clear"):
        secret.check_fits(far)
    Credentials(api_key=SECRET, allow_plain_http=True).check_fits(far)
    Credentials().check_fits(far)
    secret.check_fits(Address("http://127.0.0.1:9200", "x"))
    secret.check_fits(Address("https://10.0.0.1:9200", "x"))
    for each in (Credentials(ca_file="ca.pem"), Credentials(fingerprint=64 * "0")):
        with pytest.raises(ConfigError, match="no TLS"):
            each.check_fits(far)
