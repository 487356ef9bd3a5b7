"""What made a number, machine and commit: kept beside each, since a document may be drawn later and elsewhere."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, order=True)
class Made:
    """What made a number.

    Attributes:
        machine: Processor, cores, memory, accelerator and versions.
        commit: Of the code; with "and changes" where files differ from it, "unknown" outside of a repository.
    """

    machine: str
    commit: str

    def __str__(self) -> str:
        """Return it as documents say it."""
        return f"{self.machine}; commit {self.commit}"

    @classmethod
    @cache
    def here(cls) -> Made:
        """Return this machine and this code, as they were when first asked for."""
        return cls(_machine(), _commit())

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Made:
        """Return what a record keeps."""
        return cls(str(record.get("machine", "an unknown machine")), str(record.get("commit", "unknown")))

    def kept(self) -> dict[str, str]:
        """Return what a record keeps of it."""
        return asdict(self)


def described(parts: Mapping[str, Collection[Made]]) -> list[str]:
    """Return a line for all parts that were made alike.

    Args:
        parts: By what was done, such as "trained", all that made it; those without any are left out.
    """
    alike: dict[tuple[Made, ...], list[str]] = {}
    for name, made in parts.items():
        if made:
            alike.setdefault(tuple(sorted(set(made))), []).append(name)
    return [f"{_joined(names).capitalize()} on {', and on '.join(map(str, made))}." for made, names in alike.items()]


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])


def _machine() -> str:
    parts = [f"{_processor()}, {os.cpu_count()} cores, {_memory()}"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    parts.append(f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}")
    return "; ".join(parts)


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError):
        return "memory unknown"


def _commit() -> str:
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return f"{name} and changes" if _git("status", "--porcelain", "--untracked-files=no") else name
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
