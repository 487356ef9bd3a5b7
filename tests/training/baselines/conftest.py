"""Tiny randomly initialised models in folders, as `save_pretrained` leaves them."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, processors
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    BlipConfig,
    BlipForImageTextRetrieval,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
)

from training.tokenizer import train_wordpiece

TEXTS = ["the red oak and the tall pine", "an old dark wood of wet elms", "bright leaves in dry autumn days", "a photo"]
SIZES = {
    "initializer_range": 0.5,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "hidden_size": 16,
}
PICTURE = {"size": {"height": 16, "width": 16}, "crop_size": {"height": 16, "width": 16}}


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "tokenizer.json").write_bytes(_framing(train_wordpiece(TEXTS, 60)))
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=70, **SIZES)).save_pretrained(folder)
    return folder


def _framing(content):
    tokenizer = Tokenizer.from_str(content.decode())
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer.to_str().encode()


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    text = {**SIZES, "vocab_size": 70, "max_position_embeddings": 24, "bos_token_id": 2, "eos_token_id": 3}
    vision = {**SIZES, "image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    CLIPModel(config).save_pretrained(folder)
    _tokenizer(folder, PreTrainedTokenizerFast)
    CLIPImageProcessor(**PICTURE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def blip_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-blip"
    text = {**SIZES, "vocab_size": 70, "max_position_embeddings": 24, "encoder_hidden_size": 16}
    text |= {"bos_token_id": 2, "sep_token_id": 3}
    vision = {**SIZES, "image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    config = BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=12)
    BlipForImageTextRetrieval(config).save_pretrained(folder)
    _tokenizer(folder, BertTokenizerFast)
    CLIPImageProcessor(**PICTURE).save_pretrained(folder)
    return folder


def _tokenizer(folder, kind):
    whole = Tokenizer.from_str(_framing(train_wordpiece(TEXTS, 60)).decode())
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    kind(tokenizer_object=whole, **special).save_pretrained(folder)
