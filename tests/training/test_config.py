from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import pytest

from entity_expand.config import check, from_mapping, read_toml, setting, to_mapping
from entity_expand.errors import ConfigError
from training.config import (
    AlignSettings,
    DataSettings,
    LoopSettings,
    MiningSettings,
    TaskSettings,
    TextSettings,
    TrainingConfig,
    ValidationSettings,
    VisionSettings,
)

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


@dataclass(frozen=True)
class Inner:
    rate: float = setting(0.5, low=0.0, high=1.0)
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Outer:
    size: int = setting(low=1)
    flag: bool = False
    widths: tuple[int, ...] = setting((1,), low=1)
    pair: tuple[float, float] = (0.0, 1.0)
    note: str | None = None
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        check(self)


def test_values_become_typed_and_come_back():
    made = from_mapping(Outer, {"size": 2, "widths": [3, 4], "pair": [1, 2], "inner": {"rate": 1, "kind": "b"}})
    assert made == Outer(2, widths=(3, 4), pair=(1.0, 2.0), inner=Inner(1.0, "b"))
    assert isinstance(made.inner.rate, float)
    assert from_mapping(Outer, to_mapping(made)) == made


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"size": 1, "flaq": True}, "flaq is an unknown setting. Did you mean 'flag'?"),
        ({"size": 1, "inner": {"rat": 0.1}}, "inner.rat is an unknown setting. Did you mean 'rate'?"),
        ({"size": 1, "zzz": 0}, "Known are flag, inner, note, pair, size, widths."),
        ({}, "size is missing"),
        ({"size": True}, "size is True, but a whole number was expected"),
        ({"size": 1.0}, "size is 1.0, but a whole number was expected"),
        ({"size": 0}, "size is 0, but must be at least 1"),
        ({"size": 1, "flag": 1}, "flag is 1, but true or false was expected"),
        ({"size": 1, "widths": [2, 0]}, "widths is 0, but must be at least 1"),
        ({"size": 1, "widths": 2}, "widths is 2, but a list was expected"),
        ({"size": 1, "pair": [1]}, "pair has 1 members, but 2 were expected"),
        ({"size": 1, "note": 3}, "note is 3, but a text was expected"),
        ({"size": 1, "inner": 3}, "a table [inner] was expected"),
        ({"size": 1, "inner": {"rate": 2}}, "inner.rate is 2.0, but must be at most 1.0"),
        ({"size": 1, "inner": {"rate": float("nan")}}, "a finite number was expected"),
        ({"size": 1, "inner": {"kind": "c"}}, "inner.kind is 'c', but one of 'a', 'b' was expected"),
    ],
)
def test_what_is_wrong_is_named(mapping, message):
    with pytest.raises(ConfigError) as caught:
        from_mapping(Outer, mapping)
    assert message in str(caught.value)


def test_a_class_made_by_hand_is_checked():
    with pytest.raises(ConfigError, match="rate is -1"):
        Inner(rate=-1)
    with pytest.raises(ConfigError, match="kind"):
        Inner(kind="c")


def test_files(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("size = 3\n")
    assert read_toml(path, Outer) == Outer(3)
    path.write_text("size = \n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_toml(path, Outer)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_toml(path, Outer)
    with pytest.raises(ConfigError, match="Cannot read"):
        read_toml(tmp_path / "none.toml", Outer)


@pytest.mark.parametrize("name", ["paper", "tiny-cupl", "demo", "experts", "pooled"])
def test_the_example_files_are_valid(name):
    config = TrainingConfig.read(CONFIGS / f"{name}.toml")
    assert from_mapping(TrainingConfig, to_mapping(config)) == config


def test_every_setting_that_may_be_left_out_is_none_by_default():
    """`to_mapping` leaves None out, so another default would come back in its place."""
    for table in dataclasses.fields(TrainingConfig):
        for field in dataclasses.fields(table.default_factory):
            if type(None) in get_args(get_type_hints(table.default_factory)[field.name]):
                assert field.default is None, f"{table.name}.{field.name}"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TextSettings, {"backbone": "scratch", "trained_layers": 1}),
        (TextSettings, {"backbone": "scratch", "trained_layers": -1, "width": 30, "heads": 4}),
        (TextSettings, {"vectors": "minilm"}),
        (VisionSettings, {"backbone": "scratch"}),
        (VisionSettings, {"tokens": "patches", "size": 100}),
        (VisionSettings, {"tokens": "patches", "size": 96, "pool": 2}),
        (VisionSettings, {"size": 224, "resize": 200}),
        (VisionSettings, {"random_weights": True}),
        (VisionSettings, {"backbone": "scratch", "trained": True, "random_weights": True}),
        (VisionSettings, {"backbone": "scratch", "trained": True, "weights": "file"}),
        (VisionSettings, {"backbone": "resnet50", "weights": "file", "random_weights": True}),
        (DataSettings, {"hide_picture": 0.7, "hide_text": 0.4}),
        (DataSettings, {"held_out": "train"}),
        (DataSettings, {"held_out": "*"}),
        (DataSettings, {"hide_words": 1.1}),
        (DataSettings, {"distort": -0.1}),
        (TrainingConfig, {"data": DataSettings(distort=0.1)}),
        (ValidationSettings, {"space": "projections", "modality": "both"}),
        (TrainingConfig, {"validation": ValidationSettings(space="projections", modality="text")}),
        (TaskSettings, {"image_text_distillation": 0.4}),
        (AlignSettings, {"within_regularisation": ()}),
        (TrainingConfig, {"tasks": TaskSettings(cluster=1.0), "loop": LoopSettings(epochs=1)}),
        (TrainingConfig, {"tasks": TaskSettings(instance=1.0), "loop": LoopSettings(batch_size=1)}),
        (TrainingConfig, {"tasks": TaskSettings(image_text=1.0), "loop": LoopSettings(accumulate=2)}),
    ],
)
def test_settings_that_contradict_each_other(kind, values):
    with pytest.raises(ConfigError):
        kind(**values)


def test_contrasts_need_an_epoch_with_lists():
    contrast = TaskSettings(instance=0.5)
    for tasks, epochs, start in ((contrast, 2, 1), (contrast, 1, 0), (TaskSettings(entity=0.0, instance=0.5), 1, 1)):
        TrainingConfig(tasks=tasks, loop=LoopSettings(epochs=epochs), mining=MiningSettings(start=start))
    with pytest.raises(ConfigError, match=r"mining\.start is 3.*\['instance'\] would not be trained.*epochs = 3"):
        TrainingConfig(tasks=contrast, loop=LoopSettings(epochs=3), mining=MiningSettings(start=3))


def test_hiding_defaults_follow_the_form():
    assert DataSettings().hiding("corrected") == (0.4, 0.1)
    assert DataSettings().hiding("paper") == (0.0, 0.0)
    assert DataSettings(hide_picture=1.0).hiding("corrected") == (1.0, 0.0)
    assert DataSettings(hide_text=0.8).hiding("corrected") == (1.0 - 0.8, 0.8)
    assert DataSettings(hide_text=0.8).hiding("paper") == (0.0, 0.8)
    assert DataSettings(hide_text=0.3).hiding("corrected") == (0.4, 0.3)
