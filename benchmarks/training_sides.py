"""Both sides of the training benchmark: this trainer, and one that computes everything anew in each step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from entity_expand.corpus import Corpus
from entity_expand.inputs.image import ImageConfig, load_rgb
from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.types import AnyArray, Int64
from training.backbones import image_config, load_text, load_vision
from training.batches import Source
from training.cache import picture_cache, text_cache
from training.cached import PictureCache
from training.checkpoint import text_config
from training.config import LoopSettings, TrainingConfig
from training.data import training_set
from training.distributed import ALONE
from training.expanding import Expanding
from training.held import Held
from training.optim import set_rate
from training.pairs import EntityLists
from training.parts import Parts, device_of, put_together
from training.phases import Phase, epoch_phases
from training.step import Stepper
from training.tasks import tasks_of
from training.tokenizer import write_tokenizer

_THREADS = 4


@dataclass(frozen=True)
class DecodedPictures(PictureCache):
    """Pictures that are read and decoded whenever they are asked for, one after the other as they stand in the batch.

    Attributes:
        paths: Of the M pictures.
        image: How they become pixels.
    """

    paths: tuple[Path, ...] = ()
    image: ImageConfig = field(default_factory=lambda: ImageConfig(8))

    def gather(self, rows: Int64) -> AnyArray:
        """Return (B, 3, H, W) uint8 pixels; rows of -1 give zeros."""
        found = np.zeros((len(rows), 3, self.image.size, self.image.size), np.uint8)
        present = np.flatnonzero(rows >= 0).tolist()
        with ThreadPoolExecutor(_THREADS) as pool:
            read = pool.map(lambda place: load_rgb(self.paths[rows[place]], self.image), present)
            for place, rgb in zip(present, read, strict=True):
                found[place] = rgb.transpose(2, 0, 1)
        return found


@dataclass(frozen=True)
class CacheCost:
    """What the caches took to build: seconds, bytes and how many items, of texts and of pictures."""

    text_seconds: float
    picture_seconds: float
    texts: int
    pictures: int
    text_bytes: int
    picture_bytes: int

    @property
    def seconds(self) -> float:
        """Of both."""
        return self.text_seconds + self.picture_seconds


@dataclass(frozen=True)
class Turn:
    """Some steps of one side: seconds, pairs of a text and a picture shown, mean losses of the steps."""

    seconds: float
    pairs: int
    losses: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Pairs per second."""
        return self.pairs / self.seconds


@dataclass(frozen=True)
class Side:
    """One trainer."""

    config: TrainingConfig
    parts: Parts
    stepper: Stepper

    def turn(self, epoch: int, lists: EntityLists | None, steps: int) -> Turn:
        """Take the first steps of an epoch, as the trainer's own loop does; the losses wait for the device."""
        phases = first_steps(self.config, self.parts, epoch, lists, steps)
        self.parts.network.model.train()
        set_rate(self.parts.optimizer, 1.0)
        started, pairs, losses = time.perf_counter(), 0, []
        with _as_in_runs(self.parts.network.device):
            for given in self.parts.source.steps(phases, epoch, 0):
                losses.append(self.stepper.take(given, epoch, given.number + 1, False).loss)
                pairs += given.shown
        return Turn(time.perf_counter() - started, pairs, tuple(losses))

    def flops(self, epoch: int, lists: EntityLists | None) -> tuple[int, int]:
        """Return the floating-point operations of one step, forward and backward, and the pairs it shows."""
        phases = first_steps(self.config, self.parts, epoch, lists, 1)
        given = self.parts.source.step(phases, epoch, 0)
        self.parts.network.model.train()
        counter = FlopCounterMode(display=False)
        with counter:
            self.stepper.take(given, epoch, 1, False)
        return counter.get_total_flops(), given.shown


def first_steps(
    config: TrainingConfig, parts: Parts, epoch: int, lists: EntityLists | None, steps: int
) -> Sequence[Phase]:
    """Return the first steps of an epoch's last phase, which is that of masked entity prediction.

    Raises:
        SystemExit: The contrasts have a weight, and the lists give them no pairs.
    """
    phase = epoch_phases(config, parts.source.data, lists, epoch)[-1]
    if config.tasks.contrasts and phase.pairs is None:
        raise SystemExit("The lists give no pairs: the corpus is too small for the contrasts; set mining.class_size.")
    return (replace(phase, steps=steps),)


def eager(loop: LoopSettings) -> LoopSettings:
    """Return the same settings without torch.compile."""
    return replace(loop, compile=False, compile_mode=None)


def build_caches(config: TrainingConfig, corpus: Corpus, run: Path, cache: Path) -> CacheCost:
    """Build both caches as a run would, and say what they took."""
    run.mkdir(parents=True, exist_ok=True)
    data, device = training_set(corpus, config.data), device_of(config.loop.device)
    write_tokenizer(run / "tokenizer.json", config.text, corpus, data.samples[: data.trained])
    tokenizer = MaskedTokenizer.from_file(run / "tokenizer.json", text_config(config))
    torch.manual_seed(config.loop.seed)  # random weights must be those of the runs
    text = load_text(config.text, tokenizer.vocabulary).to(device)
    vision = load_vision(config.vision).to(device)
    precision = config.loop.cache_precision
    started = time.perf_counter()
    texts = text_cache(cache, corpus, data.samples, run / "tokenizer.json", tokenizer, text, precision)
    between = time.perf_counter()
    pictures = picture_cache(cache, corpus, data.samples, image_config(config.vision), vision, precision)
    ended = time.perf_counter()
    return CacheCost(
        between - started, ended - between, len(data.samples), len(pictures.values),
        texts.ids.nbytes if texts.states is None else texts.states.nbytes, pictures.values.nbytes,
    )  # fmt: skip


def cached_side(config: TrainingConfig, corpus: Corpus, run: Path, cache: Path) -> Side:
    """Put this trainer together."""
    run.mkdir(parents=True, exist_ok=True)
    return _side(config, put_together(config, corpus, run, cache, None, ALONE), run)


def plain_side(config: TrainingConfig, corpus: Corpus, run: Path, cache: Path) -> Side:
    """Put together a trainer of the same model that keeps nothing: float32, eager, all layers on ids and pixels."""
    config = replace(config, loop=replace(eager(config.loop), precision="float32", cache_on_device="no"))
    run.mkdir(parents=True, exist_ok=True)
    parts = put_together(config, corpus, run, cache, None, ALONE)
    source = parts.source
    pictures = _decoded(corpus, source, image_config(config.vision))
    held = Held(parts.network.device)
    source = Source(config, source.data, source.text.only_ids(), pictures, held, ALONE)
    return _side(config, replace(parts, source=source), run)


def mined(config: TrainingConfig, corpus: Corpus, side: Side) -> EntityLists | None:
    """Return the lists that the contrasts of both sides take their pairs from; None where there are no contrasts."""
    return Expanding(config, corpus, side.parts.network, side.parts.source).lists(0) if config.tasks.contrasts else None


@contextlib.contextmanager
def without_dropout(side: Side) -> Iterator[None]:
    """Drop nothing out, so that losses do not depend on the order in which a device draws."""
    model, before = side.parts.network.model, []
    for module in model.modules():
        for name in ("p", "dropout"):
            share = getattr(module, name, None)
            if isinstance(share, float) and (name == "dropout" or isinstance(module, nn.Dropout)):
                before.append((module, name, share))
                setattr(module, name, 0.0)
    try:
        yield
    finally:
        for module, name, share in before:
            setattr(module, name, share)


def _side(config: TrainingConfig, parts: Parts, run: Path) -> Side:
    network, source = parts.network, parts.source
    stepper = Stepper(config, network, tasks_of(config), parts.optimizer, parts.teacher, source, run)
    return Side(config, parts, stepper)


def _decoded(corpus: Corpus, source: Source, image: ImageConfig) -> DecodedPictures:
    paths: dict[int, Path] = {}
    for row, number in zip(source.pictures.picture_of.tolist(), source.data.samples.tolist(), strict=True):
        path = corpus.image_path(corpus.sample(number)) if row >= 0 and row not in paths else None
        if path is not None:
            paths[row] = path
    listed = tuple(paths.get(row, Path()) for row in range(max(paths, default=-1) + 1))
    return DecodedPictures(source.pictures.picture_of, source.pictures.values, listed, image)


@contextlib.contextmanager
def _as_in_runs(device: torch.device) -> Iterator[None]:
    """Ask a GPU for the same bits every time, as runs do, and let it finish what it was given."""
    if device.type == "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    torch.cuda.synchronize(device)
    try:
        yield
        torch.cuda.synchronize(device)
    finally:
        torch.use_deterministic_algorithms(before)
