"""All stages by command line, one after the other, from rows to measured expansions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from entity_expand import Expansion

if TYPE_CHECKING:
    from conftest import Stages

# As in conftest.py.
KINDS, EACH = ("tree", "fish", "tool"), 8
HOSTILE = '<b>"Elm" & co</b>'
SEEDS = ("tree-0", "Tree 1", "tr2")


def test_all_stages_end_well(stages: Stages) -> None:
    assert {stage: outcome.returncode for stage, outcome in stages.outcomes.items() if outcome.returncode} == {}
    assert [stage for stage, outcome in stages.outcomes.items() if "Traceback" in outcome.stderr] == []
    hidden = [path.name for path in stages.folder.rglob(".*") if path.name.endswith((".part", ".old"))]
    assert hidden == []


def test_the_import_says_what_it_dropped(stages: Stages) -> None:
    count = len(KINDS) * EACH * 4
    assert f"rows imported             {count} of {count + 1}" in stages.outcomes["import"].stdout
    assert f"line {count + 1} ('Ghost')" in stages.outcomes["import"].stdout


def test_the_check_counts_what_the_rows_hold(stages: Stages) -> None:
    report = stages.json("check")
    # The dropped row's entity is there, without samples.
    assert (report["entities"], report["entities_without_samples"]) == (len(KINDS) * EACH + 1, 1)
    assert report["samples"] == len(KINDS) * EACH * 4
    assert report["samples_per_entity"] == [[0, 0, 1], [4, 7, len(KINDS) * EACH]]


def test_training_writes_what_it_says(stages: Stages) -> None:
    lines = stages.outcomes["train"].stdout.splitlines()
    steps = 3 * (len(KINDS) * EACH * 4 // 16)
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3", "run"]
    assert lines[-1] == f"run: {steps} steps in 3 epochs"
    records = [json.loads(line) for line in (stages.folder / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if "seconds" in record]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_the_bundle_needs_no_torch(stages: Stages) -> None:
    code = """
import sys
blocked = ("torch", "torchvision", "timm", "transformers", "onnx", "onnxscript", "safetensors")
sys.modules.update(dict.fromkeys(blocked))
import numpy as np
from entity_expand.bundle import Bundle
from entity_expand.encoder import EncoderInput, OnnxEncoder
bundle = Bundle.open("bundle")
inputs = [EncoderInput("The bark of it.", ((12, 14),), None), EncoderInput("", (), "own/pictures/fish.png")]
features = OnnxEncoder(bundle, threads=1).encode(inputs)
print(len(bundle.entities), features.shape == (2, bundle.dimension), np.isfinite(features).all())
"""
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=stages.folder, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (found.stdout, found.stderr) == (f"{len(KINDS) * EACH} True True\n", "")


def test_an_index_is_made_once(stages: Stages) -> None:
    count = len(KINDS) * EACH
    assert stages.outcomes["index"].stdout == (
        f"Indexed {count} entities from {4 * count} samples into index; {count} have head rows of their own, "
        "0 predicted ones.\n"
    )
    assert stages.outcomes["index"].stderr == "1 entities without samples were left out.\n"
    assert stages.outcomes["index again"].stdout.startswith("index is up to date: ")


def test_an_expansion_as_json(stages: Stages) -> None:
    found = stages.json("expand json")
    again = Expansion.from_dict(found)
    assert again.to_dict() == found and again.ids == [result["id"] for result in found["results"]]
    assert [seed["id"] for seed in found["seeds"]] == ["tree-0", "tree-1", "tree-2"]
    assert found["exact"] is True
    results = found["results"]
    assert [result["rank"] for result in results] == list(range(1, len(KINDS) * EACH - 3 + 1))
    assert [set(item) for item in results[0]["evidence"]] == 3 * [{"text", "mentions", "image"}]
    ids = [result["id"] for result in results]
    everyone = {f"{kind}-{number}" for kind in KINDS for number in range(EACH)}
    assert sorted(ids) == sorted(everyone - {"tree-0", "tree-1", "tree-2"})


def test_an_expansion_as_a_table(stages: Stages) -> None:
    lines = stages.outcomes["expand"].stdout.splitlines()
    assert lines[0] == f"{HOSTILE}, Tree 1, Tree 2 and 20 more:"
    names = [result["name"] for result in stages.expanded("index", *SEEDS)["results"]]
    shown = [re.sub(r" +", " ", line.strip()).split(" ", 1) for line in lines[1:]]
    assert [place for place, _ in shown] == [str(place) for place in range(1, 21)]
    assert [line.startswith(f"{name} ") for (_, line), name in zip(shown, names, strict=False)] == [True] * 20


def test_what_is_excluded_does_not_come_back(stages: Stages) -> None:
    before = [result["id"] for result in stages.json("expand json")["results"]]
    arguments = (*SEEDS, "--size", "30", "--exclude", before[0], "--exclude", before[3])
    after = [result["id"] for result in stages.expanded("index", *arguments)["results"]]
    assert sorted(after) == sorted(set(before) - {before[0], before[3]})


def test_the_page_needs_nothing_beside_itself(stages: Stages) -> None:
    page = (stages.folder / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"https?:|//[a-z]|<script|<link|<iframe|@import|url\(|\bon[a-z]+=", page, re.IGNORECASE) == []
    sources = re.findall(r"src=\"([^\"]{0,23})", page)
    assert len(sources) == 3 + 20  # seeds and results
    assert set(sources) == {"data:image/jpeg;base64,"}
    assert HOSTILE not in page
    assert page.count("&lt;b&gt;&quot;Elm&quot; &amp; co&lt;/b&gt;") == 4  # title, heading, the seed and its sentence
    assert stages.outcomes["expand"].stderr == "The page is in page.html.\n"


def test_a_hostile_name_is_escaped_in_results_too(stages: Stages) -> None:
    outcome = stages.run("expand", "index", "tr1", "--size", "23", "--html", "other.html")
    page = (stages.folder / "other.html").read_text(encoding="utf-8")
    assert outcome.returncode == 0
    assert HOSTILE not in page
    escaped = "&lt;b&gt;&quot;Elm&quot; &amp; co&lt;/b&gt;"
    assert f"<h2>{escaped}</h2>" in page
    assert f" of <b>{escaped}</b> is " in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("expand", "index", "tree-1", "Tre 3"),
            r"No entity has the id, name or alias 'Tre 3'\. Did you mean 'Tree 3'",
        ),
        (("expand", "index", "tree-1", "tr1"), "name the same entity more than once"),
        (("expand", "index", "tree-1", "--exclude", "tr1"), "negatives, or excluded"),
        (("expand", "nothing", "tree-1"), "nothing holds no index"),
        (("index", "nothing", "corpus", "--to", "new"), "There is no bundle at nothing"),
        (("index", "bundle", "nothing", "--to", "new"), "there is no such folder"),
        (
            ("index", "bundle", "corpus", "--to", "new", "--split", "dev"),
            "No sample is in the split 'dev'; there are: train",
        ),
        (("evaluate", "index", "--queries", "nothing", "--truth", "all/gt"), "Cannot read the folder nothing"),
        (("corpus", "import", "own/rows.jsonl", "corpus"), "corpus is there"),
        (("export", "nothing", "new", "--corpus", "corpus"), "nothing holds no checkpoint"),
        (("export", "run", "new", "--corpus", "others-corpus"), "others-corpus is not the corpus that was trained on"),
        (("export", "run", "settings.toml", "--corpus", "corpus"), "settings.toml is a file"),
    ],
)
def test_what_cannot_be_done_is_one_line(stages: Stages, arguments: tuple[str, ...], message: str) -> None:
    outcome = stages.run(*arguments)
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("entity-expand: ")
    assert outcome.stderr.count("\n") == 1
    assert re.search(message, outcome.stderr)
    assert not (stages.folder / "new" / "CURRENT").exists()
    assert (stages.folder / "settings.toml").is_file()


def test_other_entities_by_the_same_bundle(stages: Stages) -> None:
    count = len(KINDS) * EACH
    assert "; 0 have head rows of their own, 24 predicted ones." in stages.outcomes["index others"].stdout
    seeds = ("Newfish-1", "NewFish 2", "Newfi3")
    by_heads = stages.expanded("others-index", *seeds, "--size", "50")
    by_features = stages.expanded("others-index", *seeds, "--size", "50", "--space", "features")
    for found in (by_heads, by_features):
        ids = {result["id"] for result in found["results"]}
        assert len(found["results"]) == len(ids) == count - 3
        assert ids.isdisjoint({"Newfish-1", "Newfish-2", "Newfish-3"})
        assert all(identifier.startswith("New") for identifier in ids)
    assert by_heads["results"][0]["score"] != by_features["results"][0]["score"]
    similarities = [result["similarity"] for result in by_features["results"]]
    assert similarities == sorted(similarities, reverse=True)


def test_both_protocols_are_measured(stages: Stages) -> None:
    joint, single = stages.json("evaluate")
    for found, protocol in ((joint, "joint"), (single, "single")):
        assert (found["protocol"], found["seeds"], found["classes"], found["queries"]) == (protocol, 3, 3, 6)
        assert set(found["by_class"]) == set(KINDS)
        assert set(found["overall"]) == {"map", "precision", "reference_map", "reference_precision"}
        for values in (*found["overall"].values(), found["by_class"]):
            assert all(0 <= value <= 1 for value in values.values())
        assert found["unreachable"] == 0
    assert joint["size"] == 24 // 3 - 3
    table = stages.outcomes["evaluate table"].stdout
    assert table.startswith("joint protocol, 3 seeds, 6 queries of 3 classes, lists of 5\n")
    assert "\nsingle protocol, 3 seeds, 6 queries of 3 classes, lists of 100\n" in table


def test_the_measures_are_those_of_the_lists(stages: Stages) -> None:
    """For the fish: MAP@10 and P@10 from the lists that `expand` prints."""
    precisions, averages = [], []
    for seeds in (("fish-0", "fish-1", "fish-2"), ("fish-5", "fish-6", "fish-7")):
        results = stages.expanded("index", *seeds, "--size", "100")["results"]
        members = {f"fish-{number}" for number in range(EACH)} - set(seeds)
        places = [result["rank"] for result in results[:10] if result["id"] in members]
        precisions.append(len(places) / 10)
        # Five members are to be found, fewer than ten places.
        averages.append(sum(hits / place for hits, place in enumerate(places, 1)) / 5)
    (one,), (_, single) = stages.json("evaluate one"), stages.json("evaluate")
    assert one["overall"]["map"]["10"] == pytest.approx((averages[0] + averages[1]) / 2, abs=1e-12)
    assert one["overall"]["precision"]["10"] == pytest.approx((precisions[0] + precisions[1]) / 2, abs=1e-12)
    assert one["by_class"]["fish"] == single["by_class"]["fish"] == one["overall"]["map"]["10"]
    assert sum(averages) > 0
