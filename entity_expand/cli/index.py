"""`entity-expand index`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("index")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("--to", "destination", required=True, type=click.Path(path_type=Path), help="Folder of the index.")
@click.option(
    "--modality", type=click.Choice(["both", "text", "picture"]), default="both", help="What the encoder is shown."
)
@click.option(
    "--late-fusion", type=click.FloatRange(0, 1), metavar="WEIGHT",
    help="Encode texts and pictures apart and give the pictures this weight, instead of showing both at once.",
)  # fmt: skip
@click.option("--split", help="Only samples of this split of the corpus.")
@click.option("--provider", default="cpu", show_default=True, help="Where the encoder runs: cpu or cuda.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the encoder; all cores by default.")
@click.option("--table/--no-table", default=True, help="Keep the scores of all pairs, up to 1 GiB: faster, larger.")
def command(
    bundle: Path,
    corpus: Path,
    destination: Path,
    modality: str,
    late_fusion: float | None,
    split: str | None,
    provider: str,
    threads: int | None,
    table: bool,
) -> None:
    """Encode CORPUS through BUNDLE and write its index.

    Killed half-way and run again, it goes on where it was; until it is done, the old index stays in use.
    """
    from entity_expand.bundle import Bundle
    from entity_expand.corpus import Corpus
    from entity_expand.encoder import OnnxEncoder
    from entity_expand.stores.writing import TABLE_BYTES
    from entity_expand.types import MODALITIES
    from indexer import IndexSettings, index_corpus

    opened = Bundle.open(bundle)
    encoder = OnnxEncoder(opened, providers=(provider,), threads=threads)
    chosen = next(known for known in MODALITIES if known == modality)
    settings = IndexSettings(chosen, split, late_fusion, table_bytes=TABLE_BYTES if table else 0)
    with Corpus.open(corpus) as samples:
        report = index_corpus(opened, encoder, samples, destination, settings)
        dropped = sum(problem.count for problem in samples.report.problems)
    if report.up_to_date:
        click.echo(f"{destination} is up to date: {report.entities:,} entities from {report.samples:,} samples.")
        return
    click.echo(
        f"Indexed {report.entities:,} entities from {report.samples:,} samples into {destination}; "
        f"{report.trained:,} have head rows of their own, {report.entities - report.trained:,} predicted ones."
    )
    for count, what in (
        (report.without_samples, "entities without samples were left out"),
        (encoder.missing_pictures, "pictures could not be read and counted as missing"),
        (dropped, "rows or mentions of the corpus were dropped; `entity-expand corpus check` shows which"),
    ):
        if count:
            click.echo(f"{count:,} {what}.", err=True)
