"""Vision backbones and the tokens that their maps become."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional

from entity_expand.errors import ConfigError
from training.backbones import image_config, load_vision, read_weights
from training.config import VisionSettings
from training.vision import SmallNetwork, VisionTokens


def test_patches_each_go_alone_row_by_row():
    network = SmallNetwork((4, 6)).eval()
    tokens = VisionTokens(network, size=24, tokens="patches", patch=8)
    pixels = torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        found = tokens(pixels)
        for row in range(3):
            for column in range(3):
                patch = pixels[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                expected = network(patch).mean((2, 3))
                assert torch.allclose(found[:, 3 * row + column], expected, atol=1e-6)
    assert (tokens.count, tokens.width) == (9, 6)


@pytest.mark.parametrize("pool", [None, 1, 2, 3])
def test_pooling_is_adaptive_average_pooling(pool):
    network = SmallNetwork((4,)).eval()
    tokens = VisionTokens(network, size=14, tokens="map", pool=pool)
    pixels = torch.randn(2, 3, 14, 14)
    with torch.no_grad():
        whole = network(pixels)
        expected = whole if pool is None else functional.adaptive_avg_pool2d(whole, pool)
        assert torch.allclose(tokens(pixels), expected.flatten(2).transpose(1, 2), atol=1e-6)


def test_vision_errors(tmp_path):
    with pytest.raises(ConfigError, match="only 2 x 2"):
        VisionTokens(SmallNetwork((4, 4, 4)), size=16, tokens="map", pool=3)
    with pytest.raises(ConfigError, match="random_weights"):
        load_vision(VisionSettings(backbone="resnet50", size=32))
    with pytest.raises(ConfigError, match="timm:NAME"):
        load_vision(VisionSettings(backbone="vgg"))
    with pytest.raises(ConfigError, match="no model"):
        load_vision(VisionSettings(backbone="timm:nonesuch"))
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="it lacks"):
        load_vision(VisionSettings(backbone="resnet50", size=32, weights=str(tmp_path / "w.pth")))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("swin_tiny_patch4_window7_224", 224, r"gives \(1, 7, 7, 768\), but a map \(1, 768, h, w\)"),
        ("deit_tiny_patch16_224", 224, r"gives \(1, 197, 192\)"),
        ("deit_tiny_patch16_224", 64, "takes no pictures of 64 x 64 pixels"),
        ("crossvit_tiny_240", 240, "cannot be had without pooling"),
    ],
)
def test_networks_that_give_no_map_are_refused(name, size, message):
    with pytest.raises(ConfigError, match=message):
        load_vision(VisionSettings(backbone=f"timm:{name}", random_weights=True, size=size))


@pytest.mark.parametrize(("name", "width"), [("resnet10t", 512), ("mobilenetv3_small_050", 1024)])
def test_networks_that_give_a_map_are_taken_and_nothing_is_drawn_for_it(name, width):
    network = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
    before = torch.get_rng_state()
    tokens = VisionTokens(network, size=64, tokens="map")
    assert torch.equal(torch.get_rng_state(), before)
    assert (tokens.count, tokens.width) == (4, width)
    assert network.training


def test_weights_with_code_in_them_are_refused(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"a": nn.Linear(1, 1)}, path)
    with pytest.raises(ConfigError, match="Cannot read weights"):
        read_weights(path)
    torch.save([torch.zeros(1)], path)
    with pytest.raises(ConfigError, match="state dict"):
        read_weights(path)


def test_resnet50_is_torchvisions_without_its_classifier(tmp_path):
    torch.manual_seed(0)
    whole = torchvision.models.resnet50(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    settings = VisionSettings(
        backbone="resnet50", weights=str(tmp_path / "w.pth"), size=64, tokens="patches", patch=32, normalise="none"
    )
    tokens = load_vision(settings).double().eval()  # float32 rounds by the number of patches that are sent together
    pixels = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    whole.fc = nn.Identity()
    with torch.no_grad():
        assert torch.allclose(tokens(pixels)[:, 1], whole.double()(pixels[:, :, :32, 32:]), rtol=1e-9, atol=1e-9)
    assert (tokens.count, tokens.width) == (4, 2048)
    assert image_config(settings).mean == (0.0, 0.0, 0.0)


def test_lite0_scale():
    found = image_config(VisionSettings(resize=256))
    assert (found.size, found.resize) == (224, 256)
    assert np.allclose([(255 / 255 - found.mean[0]) / found.std[0]], (255 - 127) / 128)
