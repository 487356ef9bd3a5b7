"""The Python of docs/elasticsearch.md runs, against a real server and the demo corpus."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.demo import bundle_path, write_demo_corpus
from entity_expand.encoder import OnnxEncoder
from indexer import ElasticSettings, IndexSettings, index_corpus

DOCUMENT = Path(__file__).parents[2] / "docs" / "elasticsearch.md"


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the official client, in the reader's own code
def test_the_examples_run(blocks: list[str], elasticsearch_url: str, index_name: str, tmp_path: Path) -> None:
    write_demo_corpus(tmp_path / "corpus")
    bundle = Bundle.open(bundle_path())
    with Corpus.open(tmp_path / "corpus") as corpus:
        spellings = {each.name: (each.name, *each.aliases) for each in corpus.entities}
        index_corpus(
            bundle,
            OnnxEncoder(bundle, threads=1),
            corpus,
            f"{elasticsearch_url}/{index_name}",
            IndexSettings(split="test"),
            elastic=ElasticSettings(work=tmp_path / "work"),
        )
    printed, names = [], {}
    for block in blocks:
        code = block.replace("http://localhost:9200", elasticsearch_url).replace("countries", index_name)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(code, DOCUMENT.name, "exec"), names)
        printed.append(output.getvalue())
    names["expander"].close()
    names["client"].close()
    assert "True" in printed[0]
    assert [len(each.results) for each in names["several"]] == [5, 5]
    for name in names["named"].names:
        assert any(spelling.lower().startswith("s") for spelling in spellings[name])
    assert names["own"].names and set(names["own"].names) != set(names["expansion"].names)
    assert printed[1].count("'") == 2 * 5
    lines = printed[2].splitlines()
    assert len(lines) == 5 and not any(line.startswith("N") for line in lines)
    assert not {"Ghana", "Mali", "Senegal"} & {line.rsplit(" ", 1)[0] for line in lines}
