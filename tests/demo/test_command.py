"""`entity-expand demo` and `expand`, as a newcomer calls them."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from entity_expand import BundleError, MemoryStore
from entity_expand.bundle import Bundle
from entity_expand.calibration.draws import KINDS, fit_index
from entity_expand.calibration.fitted import read_fitted
from entity_expand.cli import group
from entity_expand.corpus import read_truth
from entity_expand.demo import LATE_FUSION, bundle_path
from entity_expand.stores.memory import current_version, read_meta

FINGERPRINT = Bundle.open(bundle_path()).fingerprint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo has been run once."""
    folder = tmp_path_factory.mktemp("demo")
    done = CliRunner().invoke(group, ["demo", "--to", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Ghana, Mali, Senegal and 10 more, about 7 of them likely members" in done.output
    assert "fitted on classes of these very countries" in done.output
    return folder


def test_the_page_is_whole_in_itself(folder: Path) -> None:
    page = (folder / "expansion.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3 + 10
    assert not re.search(r"https?:|<script|url\(", page)


def test_most_of_the_results_share_the_colours_and_the_continent(folder: Path) -> None:
    arguments = ["expand", str(folder / "index"), "Ghana", "Mali", "Senegal", "--both-directions", "1", "--json"]
    done = CliRunner().invoke(group, arguments, catch_exceptions=False)
    found = [result["id"] for result in json.loads(done.output)["results"]][:10]
    members = read_truth(folder / "corpus" / "gt")["african_red_yellow_green"] - {"GH", "ML", "SN"}
    assert len(members & set(found)) >= 6


def test_the_demo_again_is_up_to_date(folder: Path) -> None:
    before = (folder / "index" / "CURRENT").read_text()
    done = CliRunner().invoke(
        group, ["demo", "Kenya", "Ghana", "--size", "5", "--to", str(folder)], catch_exceptions=False
    )
    assert "Kenya, Ghana and 5 more" in done.output
    assert (folder / "index" / "CURRENT").read_text() == before


def test_the_fit_that_comes_with_the_bundle_is_that_of_the_demo(folder: Path) -> None:
    """The fit that comes with the bundle is the one that `make demo-train` makes of the demo's index."""
    meta, shipped = read_meta(current_version(folder / "index")), read_fitted(bundle_path(), FINGERPRINT, BundleError)
    assert shipped is not None and (meta.bundle, meta.late_fusion) == (FINGERPRINT, LATE_FUSION)
    store = MemoryStore.open(folder / "index")
    assert store.facts.fitted == shipped
    kind = next(each for each in KINDS if each.name == "features")
    again, _ = fit_index(store, read_truth(folder / "corpus" / "gt"), kinds=[kind])
    store.close()
    (made,) = again.confidence
    kept = shipped.confidence_in("features", 0.0, meta.modality, meta.late_fusion)
    assert kept is not None and (kept.classes, kept.lists) == (made.classes, made.lists) == (29, 29 * 4 * 5)
    assert kept.coefficients == pytest.approx(made.coefficients, rel=1e-3)


def test_a_misspelt_country_gets_a_suggestion(folder: Path) -> None:
    done = CliRunner().invoke(group, ["expand", str(folder / "index"), "Norwya"])
    assert "Did you mean 'Norway'" in str(done.exception)


def test_the_bundle_is_small() -> None:
    bundle = Bundle.open(bundle_path())
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) < 5_000_000
    assert len(bundle.entities) == 163
