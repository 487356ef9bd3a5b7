"""Whole experiments on the trees: trained, asked, measured once, and shown."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import training.experiments.runner as module
from entity_expand.corpus import Corpus, read_queries, read_truth
from entity_expand.errors import ConfigError, CorpusError, TrainingError
from entity_expand.evaluate import quality
from training.checkpoint import load_checkpoint
from training.config import ValidationSettings
from training.data import training_set
from training.experiments.command import Request, perform, planned
from training.experiments.describe import Experiment, Variant, Way, trained_config, ways_of
from training.experiments.encoding import Trained
from training.experiments.measuring import Questions, Tables, ask_run
from training.experiments.parts import write_part
from training.experiments.registry import BASELINES, CLIP_STYLE, DOMAINS, OBJECTIVES, RECIPES
from training.experiments.runner import measured, plan, trained
from training.features import EntityFeatures, weighed

EXPERIMENT = Experiment(
    "small", "A small one", "Does it run?",
    (
        Variant("base"),
        Variant("lower", (("loop.learning_rate", 1e-3),), "loop.learning_rate", 1e-3),
        Variant("higher", (("loop.learning_rate", 1e-2),), "loop.learning_rate", 1e-2),
    ),
    (
        *ways_of("both at once", "both"), *ways_of("apart", "apart", picture_weights=(0.1, 0.5)),
        *ways_of("picture, centre", "picture", pictures="centre"),
        Way("picture, noise", "picture", "features", pictures="noise 50"),
        Way("both at once, all missing", "both", missing=1.0, series="both at once", share=1.0),
        Way("both at once, half wrong", "both", wrong=0.5, series="both at once", share=0.5),
    ),
    ("random", "TF-IDF"), ("table", "margins", "classes", "parameters", "seeds", "ranks", "shares", "senses"),
)  # fmt: skip


def test_an_experiment_from_training_to_document(asked, config, tmp_path, monkeypatch):
    request = Request(EXPERIMENT, config, 2, tmp_path / "work", command="python -m training.experiments small trees")
    assert "trainings: 6 (3 variants, 2 seeds), 0 done; 22 ways to ask each" in planned(request, asked)
    out = tmp_path / "docs" / "small.md"
    perform(request, asked, out, lambda _: None)
    text = out.read_text()
    for part in (
        "# A small one",
        "## Quality",
        "## Over classes",
        "## By class",
        "## Shared names",
        "## More seeds",
        "## Drift along the list",
        "## Learning curves",
        "## Variants",
        "- Base configuration: the defaults, but for text.backbone = 'scratch', ",
        "small trees",
        " ± ",
        "- Trained, asked and drawn on ",
    ):
        assert part in text
    assert "tree" not in text.replace("trees", "").lower()  # no sentence and no name of the corpus
    assert str(tmp_path) not in text
    with Image.open(out.with_suffix(".png")) as figure:
        assert figure.size[0] > 500
    assert "2 seeds), 6 done" in "\n".join(planned(request, asked))

    def never(*_, **__):
        raise AssertionError("trained or asked again")

    monkeypatch.setattr(module, "train", never)
    monkeypatch.setattr(module, "ask_run", never)
    perform(request, asked, tmp_path / "again.md", lambda _: None)
    again = (tmp_path / "again.md").read_text().replace("again.png", "small.png")
    assert again == text

    curves = [re.fullmatch(r"\| (base|lower|higher) \| \d+\.\d\* \| \d+\.\d\* \|", line) for line in text.splitlines()]
    assert [each[1] for each in curves if each] == ["base", "lower", "higher"]  # of one epoch by two seeds
    shutil.rmtree(tmp_path / "work" / "runs")
    perform(request, asked, tmp_path / "gone.md", lambda _: None)
    gone = (tmp_path / "gone.md").read_text()
    assert "| higher | not kept | not kept |" in gone and "- Trained on an unknown machine; commit unknown." in gone


def test_baselines_alone(asked, config, tmp_path):
    perform(
        Request(replace(BASELINES, families=("random", "TF-IDF")), config, 1, tmp_path), asked, tmp_path / "b.md", print
    )
    text = (tmp_path / "b.md").read_text()
    assert "| TF-IDF | TF-IDF" in text and "ifference" not in text and "## Variants" not in text
    assert "## Learning curves" not in text
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + 2


def test_other_objectives(asked, config, tmp_path):
    out = tmp_path / "objectives.md"
    perform(Request(replace(OBJECTIVES, families=("TF-IDF",)), config, 1, tmp_path), asked, out, lambda _: None)
    rows = [line.split("|")[1].strip() for line in out.read_text().splitlines() if line.startswith("| ")]
    for name in ("base", "CLIP-style", "ALBEF-style", "text only", "picture only"):
        assert {f"{name}: {family}" for family in ("both at once", "apart", "text", "picture")} <= set(rows)


def test_a_model_is_validated_by_the_projections_that_it_is_asked_by(asked, config, tmp_path):
    """Or its best epoch would be chosen by a part of the network that its objective does not train."""
    (job,) = plan(replace(OBJECTIVES, variants=(CLIP_STYLE,)), config, asked, 1)
    run = trained(job, asked, tmp_path, lambda _: None)
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (validated,) = [each["validation"]["map@10"] for each in epochs if "validation" in each]
    weight, questions = job.config.validation.picture_weight, Questions.of(asked, job.config.validation)
    ways = [Way("apart", "apart", space, 0.0, weight) for space in ("projections", "features")]
    found = {}
    for answer in ask_run(run, job.config, asked, ways, questions, tmp_path / "cache"):
        own = {query: list(ids) for query, ids in answer.lists.items() if query.class_name in questions.validation}
        if answer.seeds == 3:
            found[answer.way.space] = quality(own, read_truth(asked.root / "gt")).map[10]
    assert validated == pytest.approx(found["projections"], abs=1e-9) != found["features"]


def test_what_is_asked_of_a_run_without_checkpoints_is_said(asked, config, tmp_path):
    experiment = replace(EXPERIMENT, variants=EXPERIMENT.variants[:1])
    (job,) = jobs = plan(experiment, config, asked, 1)
    questions = Questions.of(asked, config.validation)
    measured(experiment, jobs, asked, questions, tmp_path, lambda _: None)
    run = tmp_path / "runs" / job.key
    for each in run.iterdir():
        if each.name not in ("finished.json", "metrics.jsonl"):
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    measured(experiment, jobs, asked, questions, tmp_path, lambda _: None)  # nothing further is asked
    (tmp_path / "results.jsonl").unlink()
    with pytest.raises(TrainingError, match=f"The checkpoints of {run} are gone.*delete that folder"):
        measured(experiment, jobs, asked, questions, tmp_path, lambda _: None)


def test_a_variant_that_changes_nothing_is_refused(asked, config):
    kept = tuple(each for each in RECIPES.variants if each.name in ("base", "less smoothing", "twelve epochs"))
    config = replace(config, loop=replace(config.loop, smoothing=0.075))
    with pytest.raises(ConfigError, match=r"'recipes' that change nothing .* add --without 'less smoothing'\.$"):
        plan(replace(RECIPES, variants=kept), config, asked, 1)


def test_an_interrupted_run_goes_on(asked, config, tmp_path):
    (job,) = plan(replace(EXPERIMENT, variants=EXPERIMENT.variants[:1]), config, asked, 1)
    run = trained(job, asked, tmp_path, lambda _: None)
    (run / "finished.json").unlink()
    said: list[str] = []
    assert trained(job, asked, tmp_path, said.append) == run
    assert said == ["training 'base', seed 0"]  # no epoch was left


@pytest.fixture
def model(asked, config, tmp_path):
    """A model of the trees, and its samples."""
    settings = trained_config(config, Variant("base"), 0)
    (job,) = plan(replace(EXPERIMENT, variants=(Variant("base"),)), config, asked, 1)
    assert job.config == settings
    run = trained(job, asked, tmp_path, lambda _: None)
    data = training_set(asked, settings.data)
    return Trained.load(run, asked, data.samples, data.labels[: data.trained], tmp_path / "cache")


def test_features_are_those_of_the_model(model, asked):
    """The model's own way from ids and pixels to the feature gives the same, sample by sample."""
    import torch

    from entity_expand.inputs.image import load_rgb, to_pixels
    from entity_expand.inputs.text import MaskedTokenizer

    checkpoint = model.checkpoint
    tokenizer = MaskedTokenizer.from_file(checkpoint.tokenizer_path, checkpoint.text_config)
    rows = np.flatnonzero(model.owner == 4)
    found = []
    for number in model.numbers[rows].tolist():
        sample = asked.sample(number)
        batch = tokenizer.batch([tokenizer.encode(sample.text, sample.mentions)])
        path = asked.image_path(sample)
        shown = path is not None and "broken" not in path.name
        image = checkpoint.image_config
        pixels = to_pixels(load_rgb(path, image), image) if shown else np.zeros((3, image.size, image.size), np.float32)
        with torch.no_grad():
            feature = model.model.feature(
                *(
                    torch.from_numpy(each)
                    for each in (batch.ids, batch.attention_mask, batch.mask_position, pixels[None])
                ),
                torch.tensor([float(shown)]),
            )
        found.append(feature[0].numpy())
    assert np.allclose(model.features(Way("", "both")).means[4], np.mean(found, axis=0), atol=1e-5)


def test_apart_is_the_average_of_both(model):
    tables = Tables(model, 0)
    text, picture, apart = (
        tables.features(Way("", shown, picture_weight=0.3)).means for shown in ("text", "picture", "apart")
    )
    assert np.allclose(apart, 0.7 * text + 0.3 * picture, atol=1e-6)
    one = EntityFeatures(np.array([0, 2]), np.ones((2, 1), np.float32))
    other = EntityFeatures(np.array([2, 3]), np.full((2, 1), 5.0, np.float32))
    assert weighed(one, other, 0.25).means[:, 0].tolist() == pytest.approx([1.0, 0.75 * 1 + 0.25 * 5, 5.0])


def test_apart_without_any_picture_is_the_text(model):
    tables = Tables(model, 0)
    apart, text = (tables.features(way).means for way in (Way("", "apart", missing=1.0), Way("", "text")))
    assert np.array_equal(apart, text)


def test_missing_and_wrong_pictures_reach_the_model(model):
    own, text, missing, wrong = (
        model.features(way).means
        for way in (
            Way("", "both"), Way("", "text"), Way("", "both", missing=1.0), Way("", "both", wrong=1.0),
        )
    )  # fmt: skip
    assert not np.allclose(own, wrong) and not np.allclose(own, missing)
    # The rows without a text are seen as nothing at all where their pictures are missing.
    assert text.shape == missing.shape


def test_the_best_epoch_is_taken_where_one_is_named(model):
    run = model.checkpoint.path.parent
    name = model.checkpoint.path.name
    (run / "best.json").write_text(json.dumps({"checkpoint": name}))
    assert load_checkpoint(run, "preferred").path == run / name


def test_a_run_of_a_gpu_is_not_asked_without_one(model, monkeypatch):
    """By the trainer's rule for `loop.device`."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = model.checkpoint.path / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "loop": {**settings["loop"], "device": "cuda"}}))
    with pytest.raises(TrainingError, match="torch sees no GPU"):
        Trained.load(path.parent, model.corpus, model.numbers, model.owner, model.cache)


def test_questions_need_classes_on_both_sides(asked, tmp_path):
    found = Questions.of(asked, ValidationSettings(queries="query"))
    assert found.validation == {"d", "c"} and found.reported == {"a", "b"}
    with pytest.raises(CorpusError, match="4 classes validate and 0 are reported"):
        Questions.of(asked, ValidationSettings(queries="query", share=1.0))


def test_classes_that_there_are_not_are_refused_as_by_the_trainer(asked):
    with pytest.raises(ConfigError, match="names 'z', but 'gt' has the classes a, b, c, d"):
        Questions.of(asked, ValidationSettings(queries="query", classes=("b", "z")))


def test_a_part_of_a_corpus(asked, tmp_path):
    folder = write_part(asked, tmp_path / "part", frozenset("0123"))
    assert write_part(asked, folder, frozenset("0")) == folder  # as it was
    with Corpus.open(folder, strict=False) as part:
        assert [entity.id for entity in part.entities] == list("0123")
        assert len(part) == sum(len(asked.samples_of(position)) for position in range(4))
        for number in range(len(part)):
            mine, whole = part.sample(number), asked.sample(number)
            assert (mine.text, mine.mentions, mine.image) == (whole.text, whole.mentions, whole.image)
        assert {query.class_name for query in read_queries(folder / "query")} == {"a"}


def test_across_domains(asked, config, tmp_path):
    request = Request(replace(DOMAINS, families=("TF-IDF",)), config, 2, tmp_path / "work")
    assert "- half: high, 2 classes, 4 entities" in planned(request, asked)
    out = tmp_path / "domains.md"
    perform(request, asked, out, lambda _: None)
    lines = [line for line in out.read_text().splitlines() if line.startswith("| about")]
    # One half alone has classes that are reported: of its candidates both models and the baseline tell.
    assert sum("trained on the other half: both at once, features" in line for line in lines) == 2
    assert sum("TF-IDF" in line for line in lines) == 2
    curves = [line for line in out.read_text().splitlines() if line.startswith("| trained on") and "*" in line]
    assert [line.split(" | ")[0] for line in curves] == ["| trained on all", "| trained on high", "| trained on low"]
