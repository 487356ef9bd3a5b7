"""Everything that a run is made of, put together from its settings, its corpus and where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from entity_expand.config import to_mapping
from entity_expand.corpus import Corpus
from entity_expand.errors import CheckpointError, TrainingError
from entity_expand.inputs.text import MaskedTokenizer
from training.backbones import image_config, load_text, load_vision
from training.batches import Source
from training.cache import picture_cache, text_cache
from training.checkpoint import Checkpoint, text_config
from training.config import TrainingConfig
from training.data import TrainingSet, training_set
from training.distributed import World
from training.held import hold
from training.model import MultiExpan
from training.momentum import Teacher
from training.network import Network, picture_scale
from training.optim import optimizer_of, restore_optimizer
from training.pairs import EntityLists
from training.progress import Progress
from training.text import TextEncoder
from training.tokenizer import write_tokenizer
from training.vectors import start_words
from training.vision import VisionTokens


@dataclass(frozen=True)
class Parts:
    """The parts of a run.

    Attributes:
        network: The model.
        source: Where batches come from.
        optimizer: Over what is trained.
        teacher: The momentum copy; None without distillation.
        progress: Where the run stands.
        lists: Where the pairs of an epoch under way come from; None if there are none yet.
    """

    network: Network
    source: Source
    optimizer: torch.optim.Optimizer
    teacher: Teacher | None
    progress: Progress
    lists: EntityLists | None


def put_together(
    config: TrainingConfig, corpus: Corpus, run: Path, cache: Path, checkpoint: Checkpoint | None, world: World
) -> Parts:
    """Put a run together.

    Args:
        config: All settings.
        corpus: The corpus.
        run: Folder of the run.
        cache: Folder of the caches.
        checkpoint: Where to go on from, or None to start.
        world: This process.

    Raises:
        CheckpointError: The checkpoint is one of other settings or of another corpus.
        TrainingError: The corpus has nothing to train on, there is no GPU where one is asked for, or several processes
            cannot train these settings.
    """
    device = device_of(config.loop.device, world)
    data = training_set(corpus, config.data)
    if checkpoint is not None:
        check_same(checkpoint, config, corpus.content_hash, data)
    elif world.first:
        write_tokenizer(run / "tokenizer.json", config.text, corpus, data.samples[: data.trained])
    world.wait()
    tokenizer = MaskedTokenizer.from_file(run / "tokenizer.json", text_config(config))
    model = _model(config, run, tokenizer.vocabulary, len(data.entities), checkpoint)
    model = together(model.to(device), world, device, config.loop.accumulate)
    text, vision = cast(TextEncoder, model.text), cast(VisionTokens, model.vision)
    image, precision = image_config(config.vision), config.loop.cache_precision
    texts = text_cache(cache, corpus, data.samples, run / "tokenizer.json", tokenizer, text, precision)
    pictures = picture_cache(cache, corpus, data.samples, image, vision, precision)
    held = hold(device, config.loop.cache_on_device, texts.states, pictures.values)
    scale = picture_scale(image, device)
    optimizer = optimizer_of(model, config.loop)
    teacher = _teacher(model, scale, config)
    if checkpoint is not None:
        restore_optimizer(model, optimizer, checkpoint.optimizer_tensors())
        if teacher is not None:
            teacher.restore(checkpoint.teacher_tensors())
    return Parts(
        Network(model, scale, config.loop),
        Source(config, data, texts, pictures, held, world),
        optimizer,
        teacher,
        Progress() if checkpoint is None else checkpoint.progress,
        None if checkpoint is None else checkpoint.lists(),
    )


def _teacher(model: MultiExpan, scale: tuple[Tensor, Tensor], config: TrainingConfig) -> Teacher | None:
    tasks = config.tasks
    if not tasks.distillation and not tasks.image_text_distillation:
        return None
    return Teacher(model, scale, config.loop, tasks.momentum, bool(tasks.image_text_distillation))


def _model(
    config: TrainingConfig, run: Path, vocabulary: int, entities: int, checkpoint: Checkpoint | None
) -> MultiExpan:
    torch.manual_seed(config.loop.seed)
    if checkpoint is not None:
        return checkpoint.build_model()
    text, vision = load_text(config.text, vocabulary), load_vision(config.vision)
    if config.text.vectors is not None:
        start_words(text, config.text.vectors, run / "tokenizer.json")
    return MultiExpan(config.model, text, vision, entities, config.tasks)


def together(model: MultiExpan, world: World, device: torch.device, accumulate: int) -> MultiExpan:
    """Let batch norms of a trained vision backbone count the samples of all processes.

    The norms of the heads do so anyway, for heads are run on the rows of all.

    Args:
        model: The model, whose vision backbone is changed.
        world: This process.
        device: Where it trains.
        accumulate: In how many parts a process cuts its samples at most.

    Raises:
        TrainingError: Several processes cannot train a backbone with batch norms there, or not in parts.
    """
    vision = cast(VisionTokens, model.vision)
    norms = [each for each in vision.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    if world.size == 1 or vision.frozen or not norms:
        return model
    if device.type == "cpu":
        raise TrainingError(
            "A vision backbone with batch norms cannot be trained by several processes on the CPU; train it by one, or "
            "set vision.trained = false."
        )
    if accumulate > 1:
        # A process with fewer samples than another may run fewer parts, and the norms of the other would wait for it.
        raise TrainingError(
            f"loop.accumulate is {accumulate}, but several processes that train a vision backbone with batch norms "
            "must run their samples in one part; set accumulate = 1, or vision.trained = false."
        )
    model.vision = nn.SyncBatchNorm.convert_sync_batchnorm(vision)  # type: ignore[no-untyped-call]
    return model


def device_of(choice: str, world: World | None = None) -> torch.device:
    """Return the device of a setting, for a process of several that of its own.

    Raises:
        TrainingError: A GPU is asked for and there is none.
    """
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    if choice == "cuda" and not torch.cuda.is_available():
        raise TrainingError("loop.device is 'cuda', but torch sees no GPU; use 'auto' or 'cpu'.")
    if choice == "cuda" and world is not None and world.size > 1:
        return torch.device("cuda", world.local)
    return torch.device(choice)


def check_same(checkpoint: Checkpoint, config: TrainingConfig, corpus_hash: str, data: TrainingSet) -> None:
    """Require that a checkpoint is one of these settings, but for the number of epochs, and of this corpus.

    Raises:
        CheckpointError: It is not.
    """
    before, now = _flat(to_mapping(checkpoint.config)), _flat(to_mapping(config))
    for key in sorted(before.keys() | now.keys()):
        if key != "loop.epochs" and before.get(key) != now.get(key):
            raise CheckpointError(
                f"{checkpoint.path} was trained with {key} = {before.get(key)!r}, not {now.get(key)!r}; "
                "choose another run folder, or put the setting back."
            )
    same = [entity.id for entity in checkpoint.entities] == [entity.id for entity in data.entities]
    if checkpoint.corpus_hash != corpus_hash or not same:
        raise CheckpointError(f"{checkpoint.path} was trained on another corpus; choose another run folder.")


def _flat(mapping: dict[str, object], where: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in mapping.items():
        found |= _flat(value, f"{where}{key}.") if isinstance(value, dict) else {f"{where}{key}": value}
    return found
