"""What was fitted on sets whose members are known, and its JSON form, which is kept with an index and with a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from entity_expand.channels.fusion import ChannelWeights
from entity_expand.config import check, from_mapping, to_mapping
from entity_expand.errors import ConfigError, EntityExpandError
from entity_expand.files import read_json, write_json
from entity_expand.types import Modality

FILE = "fitted.json"
FORMAT, VERSION = "entity-expand fit", 1
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Confidence:
    """How probable members are, for lists whose similarities are computed in one way.

    Attributes:
        space: "heads" or "features".
        both_directions: λ.
        modality: What the index' encoder was shown.
        late_fusion: Weight of the pictures in the index if texts and pictures were encoded apart, else None.
        coefficients: Of the columns of `curve.features`.
        classes: How many classes it was fitted on.
        lists: How many lists.
    """

    space: Literal["heads", "features"]
    both_directions: float
    modality: Modality
    coefficients: tuple[float, float, float, float, float, float]
    classes: int
    lists: int
    late_fusion: float | None = None
    strategy: Literal["hybrid"] | None = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Fusion:
    """How much each channel counts in the strategy "hybrid".

    Attributes:
        modality: What the index' encoder was shown.
        weights: Of the channels.
        classes: How many classes they were fitted on.
        lists: How many lists.
        late_fusion: Weight of the pictures in the index if texts and pictures were encoded apart, else None.
    """

    modality: Modality
    weights: ChannelWeights
    classes: int
    lists: int
    late_fusion: float | None = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Fitted:
    """All that was fitted for an index.

    Attributes:
        bundle: Fingerprint of the bundle that the index was made with.
        confidence: One for each way of computing similarities that was fitted.
        channels: One for each kind of index that weights of channels were fitted for.
    """

    bundle: str
    confidence: tuple[Confidence, ...] = field(default=())
    channels: tuple[Fusion, ...] = field(default=())

    def confidence_in(
        self, space: str, both_directions: float, modality: str, late_fusion: float | None, strategy: str | None = None
    ) -> Confidence | None:
        """Return what was fitted for lists of this kind; None if nothing was."""
        wanted = (space, both_directions, modality, late_fusion, strategy)
        for each in self.confidence:
            if (each.space, each.both_directions, each.modality, each.late_fusion, each.strategy) == wanted:
                return each
        return None

    def channels_in(self, modality: str, late_fusion: float | None) -> Fusion | None:
        """Return what was fitted for an index of this kind; None if nothing was."""
        return next(
            (each for each in self.channels if (each.modality, each.late_fusion) == (modality, late_fusion)), None
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        confidence, channels = ([to_mapping(each) for each in kind] for kind in (self.confidence, self.channels))
        own = {"bundle": self.bundle, "confidence": confidence, "channels": channels}
        return {"format": FORMAT, "version": VERSION, **own}


def fitted_from(content: Any, where: str, error: type[EntityExpandError]) -> Fitted:
    """Read what `Fitted.to_dict` returned, from anyone.

    Args:
        content: What JSON held.
        where: For messages.
        error: Raised if it is not of that form.
    """
    keys, lists = {"format", "version", "bundle", "confidence"}, ("confidence", "channels")
    if not isinstance(content, Mapping) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise error(f"{where} holds no {FORMAT!r} of version {VERSION}. Fit it again with `entity-expand fit`.")
    whole = {"channels": [], **content}
    listed = all(isinstance(whole.get(name), list) for name in lists)
    if set(whole) != {*keys, "channels"} or not isinstance(whole["bundle"], str) or not listed:
        raise error(f"{where} should hold {', '.join(sorted(keys))}. Fit it again with `entity-expand fit`.")
    try:
        confidence = tuple(from_mapping(Confidence, _named(each)) for each in whole["confidence"])
        channels = tuple(from_mapping(Fusion, _named(each)) for each in whole["channels"])
    except ConfigError as problem:
        raise error(f"{where}: {problem} Fit it again with `entity-expand fit`.") from problem
    return Fitted(whole["bundle"], confidence, channels)


def _named(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {"": found}


def read_fitted(folder: Path, bundle: str, error: type[EntityExpandError]) -> Fitted | None:
    """Read what was fitted from a folder, None if nothing was.

    Args:
        folder: Of a bundle, or of a version of an index.
        bundle: Fingerprint of the bundle that it must have been fitted with.
        error: Raised if it is not of the form, or was fitted with another bundle.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    found = fitted_from(read_json(path, MOST_BYTES, error), str(path), error)
    if found.bundle != bundle:
        raise error(f"{path} was fitted with the bundle {found.bundle}, not with {bundle}; remove it, or fit again.")
    return found


def write_fitted(folder: Path, fitted: Fitted) -> None:
    """Write what was fitted into a folder of a bundle or of a version of an index."""
    write_json(folder / FILE, fitted.to_dict())
