"""The content hash of a corpus: the same wherever the folder lies and whatever its files are called."""

from __future__ import annotations

import hashlib
import json

from entity_expand.corpus.lines import open_regular
from entity_expand.corpus.pictures import Pictures
from entity_expand.corpus.report import Tally
from entity_expand.corpus.scan import Source, read_rows
from entity_expand.files import sha256_of

_START = b"entity-expand corpus content 1\n"


def content_hash(source: Source) -> str:
    """Return the SHA-256, as lower-case hex, of entities by id, rows in file order, and the pictures' bytes.

    A row counts with its text, its usable mentions, its split and the hash of its picture (null if there is
    none). Names of pictures, line ends, unused fields and dropped rows do not count, so a corpus has the same
    hash in either layout.
    """
    digest = hashlib.sha256(_START)
    for entity in source.entities:
        fields = [entity.id, entity.name, list(entity.aliases), sorted(entity.attributes.items())]
        digest.update(json.dumps(fields).encode() + b"\n")
    tally = Tally(source.sentences.name)
    pictures = Pictures(source.root, source.siblings)
    known: dict[str, str] = {}
    with open_regular(source.sentences) as handle:
        for _, row in read_rows(source, handle, tally):
            if row is None:
                continue
            picture = None
            name = None if row.image is None else pictures.look(row.image, tally)
            if name is not None:
                picture = known.get(name)
                if picture is None:
                    picture = known[name] = sha256_of(source.root / name)
            mentions = [(source.entities[position].id, start, end) for position, start, end in row.mentions]
            digest.update(json.dumps([row.text, mentions, row.split, picture]).encode() + b"\n")
    return digest.hexdigest()
