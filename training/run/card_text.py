"""A model card as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from training.run.facts import ModelCard, settings_digest
from training.run.measured import Measured
from training.run.progress import duration

USE = (
    "Expanding sets of entities of a corpus like the one it was trained on, for people or programs that look over the "
    "list. Entities that were not trained get rows predicted from their sentences and pictures."
)


def card_text(card: ModelCard) -> str:
    """Return the card as Markdown."""
    sections = (_head(card), _quality(card), _training(card), _corpus(card), _settings(card), _use(card))
    return "\n\n".join(sections) + "\n"


def limits(card: ModelCard) -> list[str]:
    """Return what to keep in mind, each a sentence or two."""
    found = [
        "It knows what its corpus says: errors, gaps and slants of the sentences and pictures are in its lists.",
        "A place in a list says how alike entities are used and look; it is no statement of fact and no probability.",
    ]
    if any("ImageNet" in each.seen for each in card.backbones):
        found.append("The picture backbone may have learned the names of these very entities from ImageNet's labels.")
    if any("English" in each.seen for each in card.backbones):
        found.append("The text backbone knows English; other languages were not measured.")
    if card.best is not None and card.best.validation:
        found.append(
            "The validation queries chose the best checkpoint, so its values there are a little too good; report "
            "others, of classes that were not looked at."
        )
    return [*found, "Values of one training; another seed gives others. Compare means over at least three."]


def _head(card: ModelCard) -> str:
    return (
        f"# {_cell(card.name)}\n\n{card.model} Written by entity-expand {card.entity_expand_version}; `card.json` "
        "holds the same for programs."
    )


def _quality(card: ModelCard) -> str:
    title = "## Measured quality\n\n"
    if card.best is None and card.last is None:
        return f"{title}Nothing was measured: neither on validation queries nor on a held-out split."
    columns = [("best", card.best), ("last", card.last)]
    rows = [[measure, *(_value(_values(each).get(measure)) for _, each in columns)] for measure in _measures(card)]
    heads = [f"{name}{_when(measured)}" for name, measured in columns]
    text = title + _table(["", *heads], rows)
    validated = next((each for _, each in columns if each is not None and each.validation), None)
    if validated is not None:
        count = "an unknown number of" if validated.queries is None else f"{validated.queries:,}"
        seeds = "" if validated.seeds is None else f" of {validated.seeds} seeds each"
        text += f"\n\nValidation: {count} queries{seeds}; protocol: {card.protocol}. {card.definition}"
    if any(each is not None and each.held_out for _, each in columns):
        text += (
            "\n\nHeld out: mean loss, and share of samples whose entity comes first among all of the head, by what the "
            "model was shown; on samples that were not trained on, of entities that were."
        )
    return text


def _training(card: ModelCard) -> str:
    length = card.length
    rows = [
        ["length", f"{length.steps:,} steps, {length.epochs:,} epochs, about {length.pairs:,} pairs"],
        ["time", duration(length.seconds)],
        ["device", length.device],
        ["precision", length.precision],
        ["seed", str(length.seed)],
        ["best checkpoint", card.best_checkpoint or "none was chosen"],
        ["last checkpoint", card.last_checkpoint or "none"],
        *(
            [f"{each.part} backbone", f"{each.name}; trained here: {each.trained}; has seen {each.seen}"]
            for each in card.backbones
        ),
    ]
    return "## Training\n\n" + _table(["", ""], rows)


def _corpus(card: ModelCard) -> str:
    corpus = card.corpus
    rows = [
        ["name", corpus.name],
        ["content hash", corpus.content_hash],
        ["split", corpus.split],
        ["entities", f"{corpus.entities:,}, of which {corpus.trained_entities:,} have a row in the head"],
        ["samples", f"{corpus.samples:,} trained on, {corpus.held_out:,} held out"],
        *([] if corpus.pictures is None else [["pictures", f"{corpus.pictures:,}"]]),
    ]
    return "## Data\n\n" + _table(["", ""], rows)


def _settings(card: ModelCard) -> str:
    rows = [[f"`{name}`", "not set" if value is None else str(value)] for name, value in card.changed.items()]
    digest = f"All are in `config.json`; the SHA-256 of their canonical JSON is {settings_digest(card.settings)}."
    if not rows:
        return f"## Settings\n\nAll settings have their defaults. {digest}"
    return f"## Settings\n\n{digest} Those that differ from the defaults:\n\n{_table(['setting', 'value'], rows)}"


def _use(card: ModelCard) -> str:
    return f"## Use and limits\n\n{USE}\n\n" + "\n".join(f"- {each}" for each in limits(card))


def _measures(card: ModelCard) -> list[str]:
    """Return the names of all measured values, those of the validation first."""
    return list(dict.fromkeys(name for each in (card.best, card.last) for name in _values(each)))


def _values(measured: Measured | None) -> dict[str, float]:
    if measured is None:
        return {}
    found = {f"validation, {name.replace('map@', 'MAP@')}": value for name, value in measured.validation.items()}
    inner = measured.held_out.items()
    return found | {f"held out, {shown}: {name}": value for shown, values in inner for name, value in values.items()}


def _when(measured: Measured | None) -> str:
    if measured is None:
        return ""
    epoch = "" if measured.epoch is None else f", epoch {measured.epoch:,}"
    return f" (step {measured.step:,}{epoch})"


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Return a text that stays inside its cell or line."""
    return " ".join(text.split()).replace("|", "\\|")
