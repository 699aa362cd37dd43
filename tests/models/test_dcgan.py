"""DCGAN: its published sizes, its start, and that one backward pass gives each network the gradient of its own loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cnntrain.core.adversaries import latents, made, pixels
from cnntrain.core.errors import ConfigError
from cnntrain.models import registry
from cnntrain.models.create import create
from cnntrain.tasks.generate.objective import Generation, shrunk
from cnntrain.transfer.groups import coarse_groups

registry.register()


def count(net: nn.Module) -> int:
    return sum(each.numel() for each in net.parameters())


def small(seed: int = 0, **args: Any) -> Any:
    torch.manual_seed(seed)
    return timm.create_model("dcgan", in_chans=1, img_size=16, latent=5, width=4, **args).double()


def some(images: int = 6) -> Tensor:
    return torch.rand(images, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_sizes_are_those_of_the_paper_at_64_pixels() -> None:
    with torch.device("meta"):
        net: Any = timm.create_model("dcgan")
    assert (count(net.generator), count(net.discriminator)) == (3_576_704, 2_765_568)
    assert not any(name.endswith("conv.bias") for name, _ in net.named_parameters())
    assert [group.parameters[0].split(".")[0] for group in coarse_groups(net)] == ["generator", "discriminator"]


@pytest.mark.parametrize(("side", "coarsest"), [(8, 4), (28, 7), (32, 4), (40, 5), (96, 6), (128, 4)])
def test_other_sides_have_other_stages(side: int, coarsest: int) -> None:
    net: Any = timm.create_model("dcgan", in_chans=1, img_size=side, latent=7, width=2).eval()
    assert net.generator[0].conv.kernel_size == net.discriminator[-1].conv.kernel_size == (coarsest, coarsest)
    images = made(net, range(3), torch.empty(0))
    assert images.shape == (3, 1, side, side) and images.abs().max() <= 1
    assert net(images).real.shape == (3,)


@pytest.mark.parametrize(
    ("size", "args", "message"),
    [
        (30, {}, "images of 30 pixels a side cannot be made by doubling maps of 4 to 7"),
        (4, {}, "images of 4 pixels a side"),
        (32, {"latent": 0}, "latent must be an integer from 1 on, not 0"),
        (32, {"width": 2.5}, "width must be an integer"),
        (32, {"depth": 3}, "unexpected keyword argument 'depth'"),
    ],
)
def test_what_it_cannot_be_is_said(size: int, args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("dcgan", 10, 3, size, args, pretrained=False)


def test_weights_begin_as_in_the_paper() -> None:
    torch.manual_seed(0)
    net: Any = timm.create_model("dcgan")
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
        elif isinstance(module, nn.BatchNorm2d):
            assert float(module.weight.detach().mean()) == pytest.approx(1, abs=0.01)
            assert 0.01 < float(module.weight.detach().std()) < 0.03 and not module.bias.any()


def test_one_backward_pass_gives_each_network_the_gradient_of_its_own_loss() -> None:
    """As by the usual two passes, each over its own network's parameters."""
    net, reference, images = small().train(), small().train(), some()
    torch.manual_seed(2)
    outputs = net(images)
    loss, _ = Generation("x", 0.1, 2, shrunk).loss(outputs, None)
    loss.backward()

    torch.manual_seed(2)
    fake = reference.generate(torch.randn(len(images), 5, dtype=torch.float64))
    real_logits = reference.discriminate(images)
    fake_logits = reference.discriminate(fake)
    statistics = copy.deepcopy(dict(reference.discriminator.named_buffers()))
    of_d = binary_cross_entropy_with_logits(real_logits, torch.full_like(real_logits, 0.9))
    of_d = of_d + binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    of_g = binary_cross_entropy_with_logits(reference.discriminate(fake), torch.ones_like(fake_logits))
    expected = {
        name: torch.autograd.grad(one, [*part.parameters()], retain_graph=True)
        for name, one, part in (("d", of_d, reference.discriminator), ("g", of_g, reference.generator))
    }
    assert float(loss.detach()) == pytest.approx(float((of_d + of_g).detach()), rel=1e-12)
    for name, part in (("d", net.discriminator), ("g", net.generator)):
        for parameter, wanted in zip(part.parameters(), expected[name], strict=True):
            torch.testing.assert_close(parameter.grad, wanted, rtol=1e-10, atol=1e-14)
    for name, buffer in net.discriminator.named_buffers():  # of the real images, then of the made ones, once each
        torch.testing.assert_close(buffer, statistics[name], rtol=1e-12, atol=1e-14)


def test_fixed_latents_are_the_same_whoever_asks() -> None:
    whole = latents(range(10), 100)
    assert torch.equal(latents(range(7, 10), 100), whole[7:])
    assert torch.equal(latents(range(0, 10, 3), 100), whole[::3])
    assert abs(float(whole.mean())) < 0.1 and float(whole.std()) == pytest.approx(1, abs=0.05)


def test_every_grey_level_is_its_own_again() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(pixels(levels / 255 * 2 - 1), levels)
