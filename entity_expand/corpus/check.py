"""Check a corpus folder: what `Corpus.open` counts, and a look into every distinct picture."""

from __future__ import annotations

from pathlib import Path

from entity_expand.corpus.lines import open_regular
from entity_expand.corpus.pictures import Pictures, decode, quiet_pillow, read_header
from entity_expand.corpus.report import CorpusReport, Tally
from entity_expand.corpus.scan import find_source, scan


def check_corpus(path: str | Path, *, decode_pictures: bool = False, per_mention: bool = False) -> CorpusReport:
    """Read a corpus through and return what it holds and what is dropped, with line numbers.

    The header of each distinct picture is read, with caps on bytes and pixels; a broken picture counts as
    missing, as everywhere.

    Args:
        path: The folder, in either layout.
        decode_pictures: Decode every distinct picture whole, which finds damage behind the header and takes
            some milliseconds each.
        per_mention: As for `Corpus.open`.

    Raises:
        CorpusError: The folder is no corpus.
    """
    from tqdm import tqdm

    tally = Tally("")
    source = find_source(Path(path), tally)
    pictures = Pictures(source.root, source.siblings, decode if decode_pictures else read_header)
    with open_regular(source.sentences) as handle, quiet_pillow():
        size = source.sentences.stat().st_size
        with tqdm(total=size, unit="B", unit_scale=True, desc="check", disable=None, leave=False) as bar:
            _, report = scan(
                source,
                handle,
                tally,
                pictures,
                per_mention=per_mention,
                advance=lambda offset: bar.update(offset - bar.n),
            )
    return report
