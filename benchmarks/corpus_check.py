"""Measure `entity-expand corpus check` and `Corpus.open` on a made corpus of MESED's size.

    python benchmarks/corpus_check.py [--rows 434675] [--entities 14489] [--pictures shared|missing|distinct]

Writes a corpus of random words in MESED's layout into a temporary folder, runs each command in a child process of
its own, and prints seconds and peak memory. Fails if the check takes more than 90 s or 1 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

MAX_SECONDS = 90.0
MAX_BYTES = 1 << 30
SHARED_PICTURES = 1000
OPEN = """
import sys
from entity_expand.corpus import Corpus
corpus = Corpus.open(sys.argv[1])
print(corpus, sum(len(corpus.sample(number).mentions) for number in range(0, len(corpus), 1000)))
"""


def png(shade: int) -> bytes:
    """Return a small valid PNG file; different shades give different bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = (8).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress((b"\0" + bytes([shade % 256]) * 8) * 8)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def make(folder: Path, rows: int, entities: int, pictures: str) -> None:
    draw = random.Random(20260)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 10))) for _ in range(20_000)]
    names = [" ".join(draw.choices(words, k=draw.randint(1, 3))) for _ in range(entities)]
    (folder / "entity2id.txt").write_text("".join(f"{name}\t{i}\n" for i, name in enumerate(names)))
    (folder / "img").mkdir()
    files = {"shared": SHARED_PICTURES, "distinct": rows, "missing": 0}[pictures]
    for number in range(files):
        (folder / "img" / f"{number}.png").write_bytes(png(number))
    with (folder / "sentences.json").open("w") as handle:
        for row in range(rows):
            tokens = draw.choices(words, k=draw.randint(10, 40))
            mentions = []
            for _ in range(draw.choice((1, 1, 1, 2))):
                entity = row % entities if not mentions else draw.randrange(entities)
                name = names[entity].split()
                mentions.append({"entityId": entity, "start": len(tokens), "end": len(tokens) + len(name) - 1})
                tokens += name
            picture = row % files if files else row
            record = {"tokens": tokens, "entityMentions": mentions, "image": f"../data/img/{picture}.png"}
            handle.write(json.dumps(record) + "\n")


def measure(command: list[str]) -> tuple[float, float, int]:
    """Run a child and return its seconds, its processor seconds, and its peak resident bytes."""
    start = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}")
    busy = usage.ru_utime + usage.ru_stime
    return seconds, busy, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=434_675)
    parser.add_argument("--entities", type=int, default=14_489)
    parser.add_argument("--pictures", choices=("shared", "missing", "distinct"), default="shared")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder, options.rows, options.entities, options.pictures)
        size = (folder / "sentences.json").stat().st_size
        print(f"{platform.python_version()}, {os.cpu_count()} cores; {options.rows:,} rows, {size / 1e6:.0f} MB,")
        print(f"{options.entities:,} entities, pictures {options.pictures}", flush=True)
        opened, open_busy, open_peak = measure([sys.executable, "-c", OPEN, str(folder)])
        check = [sys.executable, "-c", "from entity_expand.cli import main; main()", "corpus", "check", str(folder)]
        checked, check_busy, check_peak = measure(check)
    print(f"Corpus.open    {opened:6.1f} s ({open_busy:.1f} s of processor time), peak {open_peak / 2**20:6.0f} MiB")
    print(f"corpus check   {checked:6.1f} s ({check_busy:.1f} s of processor time), peak {check_peak / 2**20:6.0f} MiB")
    return 0 if checked <= MAX_SECONDS and check_peak <= MAX_BYTES else 1


if __name__ == "__main__":
    raise SystemExit(main())
