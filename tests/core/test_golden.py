"""The original's stored expansions and metrics, matched exactly by the code that answers every expansion."""

import json
from pathlib import Path

import numpy as np
import pytest

from entity_expand import metrics
from entity_expand.search.paper import distribution_pool, expand_jointly
from entity_expand.search.pools import DistributionPool, Pool
from entity_expand.search.window import RANKING_TIERS, SearchSettings, SetSearch, divergence, tiers_at

GOLDEN = Path(__file__).parents[1] / "golden"


def settings_of(problem: dict) -> SearchSettings:
    arguments = problem["expand_args"]
    return SearchSettings(
        window=arguments["init_win_size"],
        window_growth=arguments["win_grow_rate"],
        window_step=arguments["win_grow_step"],
        rerank=arguments["ranking"],
        rank_weight=arguments["mu"],
        compatible_seeds=3,
    )


def searched(pool: Pool, eids: np.ndarray, stored: np.lib.npyio.NpzFile, problem: dict) -> list[SetSearch]:
    place = {int(eid): index for index, eid in enumerate(eids)}
    seeds = [np.array([place[int(eid)] for eid in row]) for row in stored["seeds"]]
    return expand_jointly(pool, seeds, settings_of(problem), problem["expand_args"]["target_size"])


def check(pool: Pool, eids: np.ndarray, stored: np.lib.npyio.NpzFile, problem: dict) -> None:
    """`eids` (V,) must rise: the original breaks ties by id, and a pool is in id order."""
    for number, search in enumerate(searched(pool, eids, stored, problem)):
        assert eids[search.members].tolist() == stored["set_order"][number].tolist()
        places, scores = search.ranking()
        assert eids[places].tolist() == stored["final"][number].tolist()
        if problem["expand_args"]["ranking"]:
            members = np.array(search.members)
            kl = divergence(pool, members[3:], members, tiers_at(len(members), RANKING_TIERS), own=False)
            np.testing.assert_allclose(kl, stored["rerank_kl"][number], rtol=0, atol=2e-6)
            assert sorted(scores, reverse=True) == scores.tolist()


def by_stored_features(folder: Path, problem: dict) -> None:
    with np.load(folder / problem["file"], allow_pickle=False) as stored:
        order = np.argsort(stored["eids"])
        grid = np.ix_(order, order)
        pool = DistributionPool(stored["mean_log_dist"][grid], stored["feature_dist"][grid])
        check(pool, stored["eids"][order], stored, problem)


def by_head_and_sentences(folder: Path, problem: dict) -> None:
    with np.load(folder / problem["file"], allow_pickle=False) as stored:
        order = np.argsort(stored["eids"])
        offsets, features = stored["sent_offsets"], stored["g"]
        grouped = [features[offsets[index] : offsets[index + 1]] for index in order]
        bounds = np.concatenate([[0], np.cumsum([len(group) for group in grouped])])
        pool = distribution_pool(stored["W"][order], stored["b"][order], np.concatenate(grouped), bounds)
        check(pool, stored["eids"][order], stored, problem)


def problems(folder: Path) -> list[dict]:
    return json.loads((folder / "expand_index.json").read_text())["problems"]


@pytest.mark.parametrize("number", range(2))
def test_the_committed_expansions_match_exactly(number: int) -> None:
    problem = problems(GOLDEN)[number]
    by_stored_features(GOLDEN, problem)
    by_head_and_sentences(GOLDEN, problem)


@pytest.mark.shared
@pytest.mark.parametrize("number", range(14))
def test_every_stored_expansion_matches_exactly(shared: Path, number: int) -> None:
    folder = shared / "reference"
    problem = problems(folder)[number]
    by_stored_features(folder, problem)
    by_head_and_sentences(folder, problem)


def test_every_stored_metric_matches_exactly() -> None:
    checked = 0
    for case in json.loads((GOLDEN / "metrics.json").read_text())["cases"]:
        ranked, truth = case["predicted"], case["ground_truth"]
        for result in case["results"]:
            cut, textbook = result["k"], result["textbook"]
            if result["AP"] == "ZeroDivisionError":
                with pytest.raises(ZeroDivisionError):
                    metrics.reference_average_precision(ranked, truth, cut)
                with pytest.raises(ZeroDivisionError):
                    metrics.reference_precision(ranked, truth, cut)
            else:
                assert metrics.reference_average_precision(ranked, truth, cut) == result["AP"]
                assert metrics.reference_precision(ranked, truth, cut) == result["P"]
                assert metrics.average_precision(ranked, truth, cut) == textbook["AP_over_min_gt_k"]
                assert metrics.recall(ranked, truth, cut) == textbook["recall"]
            assert metrics.precision(ranked, truth, cut) == textbook["precision"]
            checked += 1
    assert checked == 158
