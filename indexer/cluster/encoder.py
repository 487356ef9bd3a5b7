"""Encoding the groups of a corpus by a pool of workers under Ray Data, which schedules, holds back and tries again."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from entity_expand._version import __version__
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import open_encoder
from entity_expand.errors import ConfigError, DeadlineError, EncoderError, EntityExpandError
from entity_expand.types import Float64, Modality, Variant
from indexer.cluster.partitions import Opening, PartitionWorker, means_of, to_row
from indexer.cluster.session import LOCAL, check_address, joined
from indexer.features import Group


@dataclass(frozen=True, slots=True)
class RaySettings:
    """Where a corpus is encoded, and by how many.

    Attributes:
        address: "local" for this machine, or the HOST:PORT of a cluster's head.
        where: What a worker's encoder runs on, as `open_encoder` takes it. With "cuda" or "tensorrt" each worker has
            a GPU for itself.
        threads: Threads of a worker's encoder, and the CPUs that it is given.
        workers: How many there are; None for as many as the cluster has CPUs or GPUs for.
        timeout: Seconds until an existing cluster must have answered.
        patience: Seconds without any finished partition that a run survives, as while the cluster grows.
        variant: Which graphs of the bundle the workers take.
    """

    address: str = LOCAL
    where: str = "cpu"
    threads: int = 1
    workers: int | None = None
    timeout: float = 60.0
    patience: float = 1800.0
    variant: Variant = "fp32"

    def __post_init__(self) -> None:
        check_address(self.address)
        if self.threads < 1 or (self.workers is not None and self.workers < 1):
            raise ConfigError(f"threads and workers are at least 1; got {self.threads}, {self.workers}.")
        if not (0 < self.timeout <= 3600 and 0 < self.patience <= 86_400):
            raise ConfigError(
                f"timeout is 0 to 3600 s, patience 0 to 86400 s, both above 0; got {self.timeout}, {self.patience}."
            )

    @property
    def gpus(self) -> int:
        """GPUs of a worker."""
        name = self.where.lower()
        return 0 if name.startswith(("cpu", "triton://", "triton+")) else 1


class RayEncoder:
    """Encodes the corpus of an indexer in many processes; the features are those of one process.

    A context manager: the cluster is joined, or started, when it is entered. A worker that dies is replaced and its
    partition is encoded again. A partition that kills every worker ends the run when the patience is over; what was
    encoded is kept for the next run.

    Args:
        bundle: The bundle. All machines must see it, the corpus and its pictures at the same place.
        settings: None for the defaults.
        opening: Opens a worker's encoder; None for `open_encoder` with what the settings say.

    Attributes:
        missing_pictures: How many pictures could not be read so far; one that is shown often in a batch counts once.
    """

    def __init__(self, bundle: Bundle, settings: RaySettings | None = None, opening: Opening | None = None) -> None:
        self.missing_pictures = 0
        self._bundle, self._settings = bundle, settings or RaySettings()
        chosen = self._settings
        self._opening = opening or functools.partial(
            open_encoder, chosen.where, threads=chosen.threads, variant=chosen.variant
        )
        self._stack = contextlib.ExitStack()
        self._ray: Any = None

    def __enter__(self) -> RayEncoder:
        """Join the cluster.

        Raises:
            MissingExtraError: Ray is not installed.
            ConfigError: This process takes part in another cluster.
            ServerError: The cluster does not answer, or not in time.
        """
        settings = self._settings
        cpus = settings.threads * (settings.workers or 1)
        self._ray = self._stack.enter_context(joined(settings.address, cpus, settings.timeout))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray = None
        self._stack.close()

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self._bundle.dimension

    @property
    def variant(self) -> Variant:
        """How the graphs of the workers compute."""
        return self._settings.variant

    def encode_groups(self, corpus: Corpus, groups: Sequence[Group], modality: Modality) -> Iterator[Float64]:
        """Yield the mean features (n, D) float64 of each group's entities, in the order of `groups`.

        Raises:
            EncoderError: The encoder refuses an input, or the cluster has no room for a worker.
            DeadlineError: No partition was finished for longer than the patience.
            EntityExpandError: Whatever else a worker raised.
        """
        if self._ray is None:
            raise EncoderError("A RayEncoder is used as a context manager: `with RayEncoder(bundle) as encoder: ...`")
        rows = self._rows(corpus, groups, modality)
        with contextlib.closing(rows):
            try:
                for number, row in enumerate(rows):
                    if row["number"] != number:
                        raise EncoderError(f"Ray gave partition {row['number']} in place of {number}.")
                    self.missing_pictures += int(row["missing"])
                    yield means_of(row, self.dimension)
            except self._ray.data.exceptions.ExecutionTimeoutError as problem:
                raise DeadlineError(
                    f"No partition was finished for {self._settings.patience:g} s: there is no room for a worker, or "
                    "workers die again and again; Ray's logs tell. What was encoded is kept."
                ) from problem
            except self._ray.exceptions.RayError as problem:
                raise _translated(problem) from problem

    def _rows(self, corpus: Corpus, groups: Sequence[Group], modality: Modality) -> Any:
        ray, settings = self._ray, self._settings
        sent = ray.put(corpus)
        worker = (
            self._bundle.path.absolute(),
            self._bundle.fingerprint,
            functools.partial(ray.get, sent),
            modality,
            self._opening,
            __version__,
        )
        partitions = ray.data.from_items(
            [to_row(number, group) for number, group in enumerate(groups)], override_num_blocks=len(groups)
        )
        context = partitions.context
        context.execution_options.preserve_order = True
        context.execution_no_progress_timeout_s = settings.patience
        context.raise_original_map_exception = True
        context.enable_progress_bars = context.print_on_execution_start = False
        features = partitions.map(
            PartitionWorker,
            fn_constructor_args=worker,
            compute=ray.data.ActorPoolStrategy(size=min(self._workers(), len(groups))),
            num_cpus=settings.threads,
            num_gpus=settings.gpus,
        )
        yield from features.iter_rows()

    def _workers(self) -> int:
        """Return how many workers there are to be.

        Raises:
            EncoderError: The cluster has no room for one.
        """
        settings = self._settings
        if settings.workers is not None:
            return settings.workers
        there = self._ray.cluster_resources()
        room = int(there.get("CPU", 0) // settings.threads)
        if settings.gpus:
            room = min(room, int(there.get("GPU", 0) // settings.gpus))
        if not room:
            raise EncoderError(
                f"The Ray cluster has {there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs, too few for a "
                f"worker with {settings.threads} and {settings.gpus}; name the number of workers if it is to grow."
            )
        return room


def _translated(problem: BaseException) -> EntityExpandError:
    """Return the error of ours that a worker raised, or one that tells what Ray says."""
    cause = getattr(problem, "cause", None)
    return cause if isinstance(cause, EntityExpandError) else EncoderError(f"The workers failed: {str(problem)[:2000]}")
