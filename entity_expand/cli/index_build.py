"""`entity-expand index BUNDLE CORPUS --to DEST`."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from entity_expand.cli.options import credentials_option, encoder_options, read_credentials

if TYPE_CHECKING:
    from entity_expand.bundle import Bundle
    from entity_expand.elastic.bodies import VectorOptions
    from entity_expand.types import Variant
    from indexer import ElasticSettings, IndexReport, LoadReport

_METHODS = ("flat", "hnsw", "int8_flat", "int8_hnsw", "bbq_flat", "bbq_hnsw")


@click.command("build")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("--to", "destination", required=True, metavar="DEST", help="Folder, or https://host:9200/NAME.")
@click.option(
    "--modality", type=click.Choice(["both", "text", "picture"]), default="both", help="What the encoder is shown."
)
@click.option(
    "--late-fusion", type=click.FloatRange(0, 1), metavar="WEIGHT",
    help="Encode texts and pictures apart and give the pictures this weight, instead of showing both at once.",
)  # fmt: skip
@click.option(
    "--modalities", is_flag=True,
    help="Keep also what the texts alone and the pictures alone say, for expand --modality; up to three times as big.",
)  # fmt: skip
@click.option("--split", help="Only samples of this split of the corpus.")
@encoder_options
@click.option("--ray", metavar="ADDRESS", help="Encode in many processes: local, or HOST:PORT of a Ray cluster's head.")
@click.option("--workers", type=click.IntRange(min=1), help="With --ray: how many. [as many as there is room for]")
@click.option("--table/--no-table", default=True, help="In a folder, keep the scores of all pairs, up to 1 GiB.")
@click.option("--vectors", type=click.Choice(_METHODS), help="On a server: how to search. By size if not given.")
@click.option("--element-type", type=click.Choice(["float", "bfloat16"]), help="Numbers of the vectors. [float]")
@click.option("--rescore", type=click.FloatRange(min=1), help="With int8 and bbq: hits to score exactly, per result.")
@click.option("--fields", metavar="LIST", help="Vectors to search by: head,pair,feature or a part of it with head.")
@click.option("--shards", type=click.IntRange(min=1), default=1, show_default=True, help="Primary shards.")
@click.option("--replicas", type=click.IntRange(min=0), help="Copies; one if there is more than one data node.")
@click.option("--merge/--no-merge", default=True, help="Merge the loaded index into one segment, for faster searches.")
@click.option("--allow-rejected", is_flag=True, help="Use the index even if the server refused some entities.")
@click.option("--work", type=click.Path(path_type=Path), help="Folder for what must survive a kill. [the cache]")
@click.option("--patience", type=click.FloatRange(min=1), default=300, show_default=True, help="Seconds of outage.")
@credentials_option
def build_command(
    bundle: Path,
    corpus: Path,
    destination: str,
    modality: str,
    late_fusion: float | None,
    modalities: bool,
    split: str | None,
    where: str,
    threads: int | None,
    ray: str | None,
    workers: int | None,
    variant: Variant | None,
    table: bool,
    credentials: Path | None,
    **server: Any,
) -> None:
    """Encode CORPUS through BUNDLE and write its index to DEST, a folder or https://host:9200/NAME.

    Killed half-way and run again, it goes on where it was; until it is done, the old index stays in use.
    """
    from entity_expand.bundle import Bundle
    from entity_expand.corpus import Corpus
    from entity_expand.elastic.address import is_address
    from entity_expand.stores.writing import TABLE_BYTES
    from entity_expand.types import MODALITIES
    from indexer import IndexSettings, index_corpus

    on_server = ("vectors", "element_type", "rescore", "fields", "replicas", "work")
    given = [name for name in on_server if server[name] is not None] + (["credentials"] if credentials else [])
    if given and not is_address(destination):
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise click.UsageError(f"{names}: for an index on a search server, but {destination} is a folder.")
    known = read_credentials(credentials) if is_address(destination) else None
    if workers is not None and ray is None:
        raise click.UsageError("--workers: how many processes encode under --ray, which is not given.")
    opened = Bundle.open(bundle)
    chosen = next(each for each in MODALITIES if each == modality)
    kept = TABLE_BYTES if table else 0
    settings = IndexSettings(chosen, split, late_fusion, table_bytes=kept, modalities=modalities)
    with _encoder(opened, where, threads, variant or "fp32", ray, workers) as encoder, Corpus.open(corpus) as samples:
        elastic = _elastic_settings(len(samples.entities), **server)
        report = index_corpus(opened, encoder, samples, destination, settings, elastic=elastic, credentials=known)
        dropped = sum(problem.count for problem in samples.report.problems)
    _tell(destination, report, encoder.missing_pictures, dropped)


def _encoder(
    bundle: Bundle, where: str, threads: int | None, variant: Variant, ray: str | None, workers: int | None
) -> contextlib.AbstractContextManager[Any]:
    from entity_expand.encoder import open_encoder

    if ray is None:
        return contextlib.nullcontext(open_encoder(where, bundle, threads=threads, variant=variant))
    from indexer.cluster import RayEncoder, RaySettings

    return RayEncoder(bundle, RaySettings(ray, where, threads or 1, workers, variant=variant))


def _elastic_settings(
    entities: int, vectors: str | None, element_type: str | None, rescore: float | None, fields: str | None, **rest: Any
) -> ElasticSettings:
    from indexer import ElasticSettings

    given = {"method": vectors, "element_type": element_type, "rescore": rescore}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if fields is not None:
        changed["fields"] = tuple(fields.split(","))
    return ElasticSettings(vectors=_options(entities, changed) if changed else None, **rest)


def _options(entities: int, changed: dict[str, Any]) -> VectorOptions:
    from indexer.elastic.options import choose_options

    return dataclasses.replace(choose_options(entities)[0], **changed)


def _tell(destination: str, report: IndexReport, missing_pictures: int, dropped: int) -> None:
    if report.up_to_date:
        click.echo(f"{destination} is up to date: {report.entities:,} entities from {report.samples:,} samples.")
        return
    click.echo(
        f"Indexed {report.entities:,} entities from {report.samples:,} samples into {destination}; "
        f"{report.trained:,} have head rows of their own, {report.entities - report.trained:,} predicted ones."
    )
    if report.load is not None:
        _tell_of_server(report.load)
    for count, what in (
        (report.without_samples, "entities without samples were left out"),
        (missing_pictures, "pictures could not be read and counted as missing"),
        (dropped, "rows or mentions of the corpus were dropped; `entity-expand corpus check` shows which"),
    ):
        if count:
            click.echo(f"{count:,} {what}.", err=True)


def _tell_of_server(load: LoadReport) -> None:
    click.echo(
        f"The version is {load.version}; {load.sent:,} entities were sent. Vectors are searched by "
        f"{load.vectors.method} ({load.vectors.element_type}): {load.reason}. Of the nearest entities of "
        f"{load.checked} that were checked, {load.recall:.1%} were found."
    )
    if load.rejected:
        click.echo(f"{load.rejected:,} entities were refused; {load.dead_letters} lists them.", err=True)
