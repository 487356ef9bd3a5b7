"""`entity-expand demo`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo")
@click.argument("seeds", nargs=-1)
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True,
    help="Where corpus, index and page are written.",
)  # fmt: skip
@click.option("--size", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many results.")
@click.option("--both-directions", type=click.FloatRange(min=0), default=1.0, show_default=True, help="As for expand.")
def command(seeds: tuple[str, ...], folder: Path, size: int, both_directions: float) -> None:
    """Index the demo corpus, 163 countries with their flags, and expand SEEDS (default: Ghana Mali Senegal)."""
    from entity_expand.bundle import Bundle
    from entity_expand.corpus import Corpus
    from entity_expand.demo import LATE_FUSION, bundle_path, write_demo_corpus
    from entity_expand.encoder import OnnxEncoder
    from entity_expand.expander import Expander
    from entity_expand.files import write_text
    from entity_expand.results.show import page, table
    from entity_expand.search.plan import ExpandSettings
    from indexer import IndexSettings, index_corpus

    bundle = Bundle.open(bundle_path())
    if not (folder / "corpus" / "corpus.json").is_file():
        click.echo(f"Writing the demo corpus to {folder / 'corpus'} ...", err=True)
        write_demo_corpus(folder / "corpus")
    with Corpus.open(folder / "corpus") as corpus:
        click.echo(f"Indexing {len(corpus):,} sentences with their pictures ...", err=True)
        settings = IndexSettings(late_fusion=LATE_FUSION)
        report = index_corpus(bundle, OnnxEncoder(bundle), corpus, folder / "index", settings)
    click.echo(f"{report.entities} entities are in {folder / 'index'}.\n", err=True)
    with Expander.open(folder / "index") as expander:
        chosen = seeds or ("Ghana", "Mali", "Senegal")
        expansion = expander.expand(chosen, size, settings=ExpandSettings(both_directions=both_directions))
        click.echo(table(expansion))
        write_text(folder / "expansion.html", page(expansion, expander.picture))
    if expansion.cutoff is not None:
        click.echo("\nHow sure it is was fitted on classes of these very countries (entity-expand fit).", err=True)
    click.echo(f"\nWith pictures: {folder / 'expansion.html'}", err=True)
    click.echo(f"More: entity-expand expand {folder / 'index'} Peru Bolivia Ecuador", err=True)
    click.echo(f"By hand: entity-expand serve {folder / 'index'} --bundle {bundle_path()}", err=True)
