"""Where the service listens and how much it takes on."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where the service listens and how much it takes on.

    Attributes:
        host: Address to listen at. Any other than loopback needs an API key.
        port: TCP port; 0 for any that is free.
        title: What the index is called for people; "" for its own name.
        seeds: Most seeds, and most negatives, of one expansion.
        size: Most results of one expansion.
        batch: Most expansions of one request.
        filter_values: Most values in a filter, all its keys together.
        picture_bytes: Largest picture that is taken or handed out.
        picture_pixels: Most pixels of such a picture, width times height.
        body_bytes: Largest body of a request.
        seconds: How long a request may take, waiting for its turn included.
        workers: How many requests are worked on at once.
        waiting: How many more may wait for their turn; others are told to come back.
        per_caller: How many requests of one caller, a key or else an address, may be under way.
    """

    host: str = "127.0.0.1"
    port: int = setting(8080, low=0, high=65_535)
    title: str = ""
    seeds: int = setting(100, low=1, high=1_000)
    size: int = setting(1_000, low=1, high=10_000)
    batch: int = setting(32, low=1, high=1_000)
    filter_values: int = setting(200, low=1, high=10_000)
    picture_bytes: int = setting(8 << 20, low=1, high=32 << 20)
    picture_pixels: int = setting(32_000_000, low=1, high=64_000_000)
    body_bytes: int = setting(16 << 20, low=1, high=1 << 30)
    seconds: float = setting(10.0, low=0.01, high=600.0)
    workers: int = setting(2, low=1, high=256)
    waiting: int = setting(32, low=0, high=10_000)
    per_caller: int = setting(16, low=1, high=10_000)

    def __post_init__(self) -> None:
        check(self)
        if not self.host:
            raise ConfigError("host is empty; write 127.0.0.1, or an address of this machine.")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine to itself: localhost, 127.0.0.0/8 or ::1."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
