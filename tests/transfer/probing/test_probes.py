"""Banks and features by hand; as they are trained they are in test_probe_depths.py."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from cnntrain.models import registry
from cnntrain.transfer.probing.probes import Bank, DepthFeatures, Probes, stage_maps


class Staged(nn.Module):
    """Two stages, of 2 and 8 channels, the second half as large."""

    def __init__(self, names: int = 2) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 8, 1, stride=2)
        self.feature_info = [{"module": f"layer{number}"} for number in range(names)]
        self.modes: list[bool] = []
        self.kept: Any = None

    def forward_intermediates(self, images: Tensor, intermediates_only: bool = False) -> list[Tensor]:
        assert intermediates_only
        self.modes.append(self.training)
        first = self.first(images)
        if first.shape[0] == 13:
            raise RuntimeError("thirteen")
        return [first, self.second(first)]

    def prune_intermediate_layers(self, indices: list[int], prune_head: bool = False) -> None:
        self.kept = indices, prune_head


@pytest.mark.parametrize("training", [True, False])
def test_maps_are_those_of_evaluation_and_the_mode_stays(training: bool) -> None:
    net = Staged().train(training)
    assert list(stage_maps(net, torch.zeros(1, 3, 4, 4))) == ["layer0", "layer1"]
    with pytest.raises(RuntimeError, match="thirteen"):
        stage_maps(net, torch.zeros(13, 3, 4, 4))
    assert net.modes == [False, False] and net.training == training
    assert list(stage_maps(Staged(names=3), torch.zeros(1, 3, 4, 4))) == ["stage0", "stage1"]


@pytest.mark.parametrize(
    ("features", "sizes"),
    [(32, [32, 32]), (31, [18, 8]), (8, [8, 8]), (1, [2, 8]), (10**6, [2 * 6 * 4, 8 * 3 * 2])],
)
def test_features_are_about_as_many_at_each_depth_and_at_most_the_map(
    features: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, images = Staged(), torch.randn(5, 3, 6, 4)
    found = DepthFeatures(net, images[:1], features, "avg")
    assert found.sizes == sizes and found.names == ["layer0", "layer1"]
    assert [each.shape for each in found(images)] == [(5, size) for size in sizes]
    assert net.kept == ([0, 1], True)
    monkeypatch.delattr(Staged, "prune_intermediate_layers")
    assert DepthFeatures(Staged(), images[:1], features, "max").sizes == sizes  # of a network that cannot be pruned


def test_a_bank_is_its_classifiers_side_by_side() -> None:
    torch.manual_seed(0)
    bank, features = Bank(3, 4, 2, normalize=False), torch.randn(5, 4)
    assert bank.may_diverge and all(not parameter.any() for parameter in bank.parameters())
    for each in bank.parameters():
        nn.init.normal_(each)
    found = bank(features)
    assert found.shape == (3, 5, 2)
    for number in range(3):
        torch.testing.assert_close(found[number], features @ bank.weights[number].T + bank.biases[number])
    assert isinstance(bank.norm, nn.Identity)


def test_a_standardised_feature_has_the_mean_over_all_batches() -> None:
    bank, features = Bank(1, 4, 2, normalize=True), torch.randn(9, 4) * 1e-3
    for rows in features.split(3):
        bank(rows)
    assert list(bank.norm.parameters()) == []
    torch.testing.assert_close(bank.norm.running_mean, features.mean(0))
    nn.init.ones_(bank.weights[0])
    bank.eval()
    expected = ((features - bank.norm.running_mean) / (bank.norm.running_var + 1e-8).sqrt()).sum(1)
    torch.testing.assert_close(bank(features)[0, :, 1], expected)


@pytest.mark.parametrize("beside", [True, False])
def test_probes_are_all_settings_of_each_depth_in_turn_and_the_random_networks_last(beside: bool) -> None:
    nets = [DepthFeatures(Staged(), torch.zeros(1, 3, 6, 4), 8, "avg") for _ in range(2)]
    grid = [(0.1, 0.0), (1.0, 3.0)]
    probes = Probes(nets[0], nets[1] if beside else None, 3, grid, normalize=False)
    depths = [("layer0", 8, False), ("layer1", 8, False), ("layer0", 8, True), ("layer1", 8, True)]
    count = 4 if beside else 2
    assert [(each.depth, each.features, each.random) for each in probes.probed] == depths[:count]
    images = torch.randn(5, 3, 6, 4)
    for number, head in enumerate(probes.heads):
        for setting in range(2):
            nn.init.constant_(head.biases[setting], 10 * number + setting)
    found = probes(images)
    assert found.shape == (2 * count, 5, 3)
    assert found[:, 0, 0].tolist() == [10 * number + setting for number in range(count) for setting in range(2)]
    features = probes.features(images)
    expected = nets[0](images) + (nets[1](images) if beside else [])
    assert all(torch.equal(one, other) for one, other in zip(features, expected, strict=True))
    assert probes.get_classifier() is probes.heads and probes.small_stem is False
    names = {name for name, _ in probes.named_parameters() if name.startswith("heads.")}
    assert probes.settings().keys() == names
    assert all(factors == grid[int(name[-1])] for name, factors in probes.settings().items())
    assert probes.group_matcher(coarse=True).keys() == {"backbone", "random", "heads"}


def test_a_stem_for_small_images_is_known_of_the_network() -> None:
    registry.register()
    net = timm.create_model("lenet5", num_classes=3)
    features = DepthFeatures(net, torch.zeros(1, 1, 32, 32), 50, "max")
    features.net.small_stem = True
    assert Probes(features, None, 3, [(1.0, 1.0)], normalize=True).small_stem is True
