"""What is asked of an expansion."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, get_args

from entity_expand.config import is_list, is_number, is_whole, make_plain, shown
from entity_expand.errors import ImageError, QueryError
from entity_expand.inputs.marks import read_marks
from entity_expand.search.plan import ExpandSettings
from entity_expand.stores.filters import Filter
from entity_expand.types import MODALITIES, SURROGATES, Modality

if TYPE_CHECKING:
    from PIL import Image

Strategy: TypeAlias = Literal["paper", "both", "mean", "best", "sum", "rank-fusion", "hybrid"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

MOST_SEEDS = 1_000
MOST_RESULTS = 10_000
_LONGEST_NAME = 1_000
_LONGEST_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class NewSeed:
    """A seed that is not in the index: it is encoded on the spot, which needs an expander with a bundle.

    Attributes:
        text: A sentence that names it, the mention marked as in "The [[okapi]] eats leaves." Without a mark the mention
            is wherever `name` stands, and without that the whole text is the name, which tells nothing by itself.
        image: A picture of it: the `Path` of a file, the bytes of a file, or a Pillow image; None for none.
        name: What it is called in the results; "" for the marked mention.

    Raises:
        QueryError: Neither a text nor a picture, a text that is too long or that UTF-8 cannot hold, or a picture of
            another type.
    """

    text: str = ""
    image: bytes | Path | Image.Image | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not isinstance(self.name, str) or len(self.name) > _LONGEST_NAME:
            raise QueryError(f"The text and the name of a new seed are texts, the name of {_LONGEST_NAME:,} at most.")
        if len(self.text) > _LONGEST_TEXT:
            raise QueryError(
                f"The text of a new seed has at most {_LONGEST_TEXT:,} characters, not {len(self.text):,}."
            )
        if SURROGATES.search(self.text) or SURROGATES.search(self.name):
            raise QueryError("The text and the name of a new seed have characters that UTF-8 cannot hold.")
        if self.image is not None and not isinstance(self.image, (bytes, Path)) and not _is_pillow(self.image):
            raise QueryError(
                "The picture of a new seed is Path('...') of a file, the bytes of a file or a Pillow image, not of the "
                f"type {type(self.image).__name__}."
            )
        if not self.text.strip() and self.image is None:
            raise QueryError("A new seed needs a text, a picture or both.")

    @property
    def sentence(self) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The text without marks, and the spans [start, end) of its mentions; "" and () without a text."""
        if not self.text.strip():
            return "", ()
        text, spans = read_marks(self.text)
        return text, spans or self._unmarked()

    def _unmarked(self) -> tuple[tuple[int, int], ...]:
        text, name, spans = _lowered(self.text), _lowered(self.name), list[tuple[int, int]]()
        start = text.find(name) if name else -1
        while start >= 0:
            spans.append((start, start + len(name)))
            start = text.find(name, start + len(name))
        return tuple(spans) or ((0, len(text)),)

    @property
    def called(self) -> str:
        """The name, or else the first mention; "" if there is neither."""
        text, spans = self.sentence
        return self.name or (text[slice(*spans[0])] if spans else "")


def _is_pillow(value: object) -> bool:
    """Return whether a value is a Pillow image; there is none as long as nobody has loaded Pillow."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def opened_picture(seed: NewSeed, image: bytes | Path | Image.Image) -> Image.Image:
    """Return the picture of a new seed, read as those of a corpus are.

    Raises:
        QueryError: It cannot be used.
    """
    # Pillow takes longer to load than most expansions.
    from entity_expand.inputs.image import open_picture

    try:
        return open_picture(image)
    except ImageError as problem:
        raise QueryError(f"The picture of the new seed {seed.called!r} cannot be used: {problem}") from problem


def new_among(seeds: Sequence[str | NewSeed]) -> tuple[NewSeed, ...]:
    """Return those that are not in the index, in their order."""
    return tuple(seed for seed in seeds if isinstance(seed, NewSeed))


def _lowered(text: str) -> str:
    """Return a text in lower case, each character in its place."""
    return text.replace("İ", "I").lower().replace("ς", "σ")


class ExpandOptions(TypedDict, total=False):
    """What `ExpandQuery` takes beside seeds and size, by name; see there."""

    exclude: Sequence[str]
    filter: Filter | None
    settings: ExpandSettings | None
    negative: Sequence[str | NewSeed]
    weights: Sequence[float] | None
    strategy: Strategy | None
    modality: Modality | None
    rerank: bool | None


@dataclass(frozen=True, slots=True)
class ExpandQuery:
    """What is asked of an expansion; the arguments of `Expander.expand`.

    Attributes:
        seeds: Ids, names or aliases, or seeds that are not in the index; at least one.
        size: How many results; fewer come back if the index has no more.
        exclude: Ids, names or aliases that must not come back.
        filter: Which entities may come back; None for all. Seeds need not pass it.
        settings: How to expand; None for the paper's.
        negative: Examples of what is not wanted, given as seeds are. They never come back, and what is like them sinks.
        weights: (S,) how much each seed counts, positive; only their ratios matter. None: all alike.
        strategy: How the seeds make a list; None: what the settings say, by default the paper's.
        modality: What is compared: the texts, the pictures, or both; None: what the index was made with.
        rerank: Whether the list is ranked again at the end; None: as the strategy or the settings say.

    Raises:
        QueryError: No seed, too many, a size out of range, weights that do not fit, an unknown strategy or modality, or
            something of another type.
    """

    seeds: Sequence[str | NewSeed]
    size: int = 100
    exclude: Sequence[str] = ()
    filter: Filter | None = None
    settings: ExpandSettings | None = None
    negative: Sequence[str | NewSeed] = ()
    weights: Sequence[float] | None = None
    strategy: Strategy | None = None
    modality: Modality | None = None
    rerank: bool | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        seeds, size = self.seeds, self.size
        if not is_list(seeds) or not 1 <= len(seeds) <= MOST_SEEDS or not is_whole(size, 1) or size > MOST_RESULTS:
            raise QueryError(
                f"An expansion takes a list of 1 to {MOST_SEEDS:,} seeds and a size of 1 to {MOST_RESULTS:,}; "
                f"got {f'{len(seeds):,} seeds' if is_list(seeds) else shown(seeds, 40)} and {shown(size, 40)}."
            )
        if not is_list(self.negative) or len(self.negative) > MOST_SEEDS:
            raise QueryError(f"The negatives are a list of at most {MOST_SEEDS:,} seeds.")
        if not is_list(self.exclude):
            raise QueryError(f"What is excluded is a list of ids or names, not {shown(self.exclude, 40)}.")
        for name in (*seeds, *self.negative, *self.exclude):
            if not isinstance(name, NewSeed) and (not isinstance(name, str) or len(name) > _LONGEST_NAME):
                raise QueryError(f"A seed is a text of at most {_LONGEST_NAME:,} characters, not {shown(name, 40)}.")
        if any(isinstance(name, NewSeed) for name in self.exclude):
            raise QueryError("Only entities of the index can be excluded.")
        self._check_choices()

    def _check_choices(self) -> None:
        weights, count = self.weights, len(self.seeds)
        if weights is not None:
            good = is_list(weights) and len(weights) == count
            if not good or not all(is_number(weight) and weight > 0 for weight in weights):
                got = shown(list(weights) if is_list(weights) else weights)
                raise QueryError(f"weights must be {count} positive numbers, one per seed; got {got}.")
        for name, kind in (("filter", Filter), ("settings", ExpandSettings)):
            given = getattr(self, name)
            if given is not None and not isinstance(given, kind):
                raise QueryError(f"{name} must be of the type {kind.__name__}; got {shown(given, 40)}.")
        for name, choices in (("strategy", STRATEGIES), ("modality", MODALITIES)):
            given = getattr(self, name)
            if given is not None and not (isinstance(given, str) and given in choices):
                raise QueryError(f"{name} must be one of {', '.join(choices)}; got {shown(given, 40)}.")
        if self.rerank is not None and not isinstance(self.rerank, bool):
            raise QueryError(f"rerank must be True, False or None; got {shown(self.rerank, 40)}.")
