from __future__ import annotations

from types import SimpleNamespace

import pytest

from entity_expand.errors import ConfigError
from training.config import TrainingConfig
from training.experiments.base import config_described, config_named
from training.experiments.command import experiment_named
from training.experiments.describe import Variant, changed, trained_config, ways_of, with_standardised
from training.experiments.registry import EXPERIMENTS
from training.experiments.runner import changes_nothing, plan


def test_settings_are_changed_by_dotted_names():
    found = changed(TrainingConfig(), (("tasks.instance", 0.5), ("data.hide_picture", None), ("loop.seed", 7)))
    assert (found.tasks.instance, found.data.hide_picture, found.loop.seed) == (0.5, None, 7)
    with pytest.raises(ConfigError, match="instanse"):
        changed(TrainingConfig(), (("tasks.instanse", 0.5),))
    with pytest.raises(ConfigError, match=r"TABLE\.NAME"):
        changed(TrainingConfig(), (("instance", 0.5),))


def test_a_training_validates_and_has_its_seed():
    variant = Variant("x", (("tasks.beta", 2.0), ("tasks.beta", 3.0)))
    found = trained_config(TrainingConfig(), variant, 4)
    assert (found.validation.queries, found.tasks.beta, found.loop.seed) == ("query", 3.0, 4)
    assert variant.described == "tasks.beta = 3.0"


# The alignment is an experiment on models that have one.
CONFIGS = {name: "pooled" if name == "alignment" else "tiny-cupl" for name in EXPERIMENTS}


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_every_experiment_fits_the_settings(name, asked):
    config = config_named(CONFIGS[name])
    experiment = experiment_named(name, changes_nothing(EXPERIMENTS[name], config))
    jobs = plan(experiment, config, asked, 3)
    assert len(jobs) == 3 * len(experiment.variants)
    assert len({each.name for each in experiment.variants}) == len(experiment.variants)
    assert len(set(experiment.ways)) == len(experiment.ways)
    assert {job.seed for job in jobs} == ({0, 1, 2} if jobs else set())


def test_equal_trainings_have_one_key(asked):
    base = config_named("tiny-cupl")
    names = ("modality", "seeds", "classes", "objectives")
    keys = {name: {job.key for job in plan(EXPERIMENTS[name], base, asked, 3)} for name in names}
    assert keys["modality"] == keys["seeds"] == keys["classes"] < keys["objectives"]
    other = SimpleNamespace(root=asked.root, content_hash="other")
    assert keys["modality"].isdisjoint({job.key for job in plan(EXPERIMENTS["modality"], base, other, 3)})


def test_all_four_tasks_say_that_their_weights_are_not_those_of_the_paper():
    tasks, paper = ("entity", "instance", "cluster", "distillation"), config_named("paper").tasks
    for name in ("ablation", "sensitivity"):
        four = changed(TrainingConfig(), experiment_named(name).variants[0].changes).tasks
        weights, papers = (" / ".join(f"{getattr(each, task):g}" for task in tasks) for each in (four, paper))
        said = f"weight {weights}, not with the paper's weights, {papers}."
        assert weights != papers and said in experiment_named(name).question


def test_contrasts_never_learn_from_the_queries_that_are_reported():
    paper, base = config_named("paper"), Variant("base")
    with pytest.raises(ConfigError, match=r"'base' would be trained .* Set mining\.seeds = 'entities'\."):
        trained_config(paper, base, 0)
    assert trained_config(changed(paper, {"mining.seeds": "entities"}), base, 0).tasks.contrasts
    masked = Variant("masked entities alone", (("tasks.instance", 0.0), ("tasks.cluster", 0.0)))
    assert trained_config(paper, masked, 0).mining.seeds == "queries"  # without contrasts nothing is mined


def test_contrasts_never_learn_from_the_classes_that_are_reported():
    oracle, base = changed(config_named("paper"), {"mining.seeds": "entities", "mining.oracle": True}), Variant("base")
    with pytest.raises(ConfigError, match=r"'base' would be trained with mining\.oracle: .* mining\.oracle = false\."):
        trained_config(oracle, base, 0)


def test_settings_in_the_place_of_the_configurations():
    found = config_named(
        "experts", ["loop.learning_rate=2e-4", 'loop.cache_precision = "int8"', "loop.betas=[0.8, 0.9]"]
    )
    same = {"loop.learning_rate": 2e-4, "loop.cache_precision": "int8", "loop.betas": (0.8, 0.9)}
    assert found == changed(config_named("experts"), same) != config_named("experts")
    for wrong in ("loop.epochs", "loop.epochs=", "loop.epochs=four", "loop.epochs=4\nx=5"):
        with pytest.raises(ConfigError, match=r"should be TABLE\.NAME=VALUE"):
            config_named("experts", [wrong])
    with pytest.raises(ConfigError, match="epoch"):
        config_named("experts", ["loop.epoch=4"])


def test_unknown_names():
    with pytest.raises(ConfigError, match="modality"):
        experiment_named("modalities")
    with pytest.raises(ConfigError, match="tiny-cupl"):
        config_named("huge")
    with pytest.raises(ConfigError, match="CLIP-style"):
        experiment_named("objectives", without=["BLIP-style"])


def test_variants_can_be_left_out():
    assert [each.name for each in experiment_named("polysemy", ["ALBEF-style"]).variants] == ["base", "CLIP-style"]


def test_ways_have_every_score_that_they_can():
    assert [way.name for way in ways_of("b", "both")] == ["λ = 0", "λ = 1", "features", "hidden"]
    assert len(ways_of("a", "apart", picture_weights=(0.1, 0.5))) == 2 * 5
    further = with_standardised(ways_of("a", "text"))[5:]
    assert [way.name for way in further] == [
        f"{space}, standardised, λ = 1" for space in ("features", "hidden", "projections")
    ]


def test_the_base_configuration_is_a_file_of_the_package_or_what_differs_from_the_defaults():
    assert config_described(config_named("experts")) == "`training/configs/experts.toml`"
    assert config_described(TrainingConfig()) == "the defaults"
    changes = (("text.trained_layers", 2), ("text.backbone", "/somewhere/on/this/machine/bert"), ("text.vectors", None))
    assert config_described(changed(TrainingConfig(), changes)) == (
        "the defaults, but for text.backbone = 'bert', text.trained_layers = 2"
    )
    # None is a value too: of `experts` this setting is 256, of the defaults none.
    experts = changed(config_named("experts"), (("vision.resize", None),))
    assert "resize" not in config_described(experts) and "vision.pool = 2" in config_described(experts)
