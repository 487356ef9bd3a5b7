"""`entity-expand demo` and `expand`, as a newcomer calls them."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from entity_expand.bundle import Bundle
from entity_expand.cli import group
from entity_expand.corpus import read_truth
from entity_expand.demo import bundle_path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo has been run once."""
    folder = tmp_path_factory.mktemp("demo")
    done = CliRunner().invoke(group, ["demo", "--to", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Ghana, Mali, Senegal and 10 more" in done.output
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


def test_a_misspelt_country_gets_a_suggestion(folder: Path) -> None:
    done = CliRunner().invoke(group, ["expand", str(folder / "index"), "Norwya"])
    assert "Did you mean 'Norway'" in str(done.exception)


def test_the_bundle_is_small() -> None:
    bundle = Bundle.open(bundle_path())
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) < 5_000_000
    assert len(bundle.entities) == 163
