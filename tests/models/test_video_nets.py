"""torchvision's nets for videos under timm's protocol: torchvision's keys, and what it computes."""

import pytest
import timm
import torch
import torchvision.models.video as tv
from torch import nn

from cnntrain.models import registry
from cnntrain.models.torchvision_adapter import adapt_first

registry.register()


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_residual_nets_compute_what_torchvisions_do(name: str) -> None:
    twin, net = getattr(tv, name)(num_classes=3).eval(), timm.create_model(name, num_classes=3).eval()
    net.load_state_dict(twin.state_dict())
    videos = torch.randn(1, 3, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(net(videos), twin(videos))


def test_s3d_computes_what_torchvisions_does_and_takes_smaller_volumes() -> None:
    twin, net = tv.s3d(num_classes=3).eval(), timm.create_model("s3d", num_classes=3).eval()
    net.load_state_dict(twin.state_dict())
    video, large = torch.randn(1, 3, 8, 32, 32), torch.randn(1, 1024, 3, 8, 9)
    with torch.no_grad():
        maps = net.forward_features(video)
        assert torch.equal(maps, twin.features(video))
        assert net.forward_head(maps).shape == (1, 3)
        heads = twin.classifier(twin.avgpool(large)).mean((2, 3, 4))
        torch.testing.assert_close(net.forward_head(large), heads)
    assert net.prune_intermediate_layers([0]) == [0] and net(video).shape == (1, 64, 4, 8, 8)


def test_a_kernel_of_volumes_is_summed_over_the_colours() -> None:
    conv = nn.Conv3d(3, 2, (3, 5, 7))
    before = conv.weight.detach().clone()
    adapt_first(conv, 1)
    torch.testing.assert_close(conv.weight, before.sum(1, keepdim=True))
