"""The nets that test_fidelity.py only counts also train: two steps each, the deepest included."""

import runpy
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from cnntrain.models import registry

registry.register()
ROWS = runpy.run_path(str(Path(__file__).parent / "tables" / "modern.py"))["ROWS"]
DEEP = [(row["name"], row["side"], row.get("small", {})) for row in ROWS if row.get("deep") and "kwargs" not in row]
DEEP.append(("resnet1202", 8, {}))
SECONDS = {"preactresnet1001", "prelunet_c", "resnet1202"}
CASES = [pytest.param(*case, id=case[0], marks=[pytest.mark.slow] * (case[0] in SECONDS)) for case in DEEP]


@pytest.mark.parametrize(("name", "side", "small"), CASES)
def test_two_steps_lower_the_loss(name, side, small):
    """Untrained and on maps of a few pixels, the gradients of the deep ones are of 10^4: the rate is set by them, so
    that each step should lower the loss by 0.01."""
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=4, drop_rate=0.0, **small).train()
    images, labels = torch.randn(8, 3, side, side), torch.arange(8) % 4
    losses = []
    for step in range(3):
        loss = nn.functional.cross_entropy(net(images), labels)
        losses.append(loss.item())
        if step == 2:
            break
        net.zero_grad()
        loss.backward()
        squares = sum(parameter.grad.square().sum().item() for parameter in net.parameters())
        torch.optim.SGD(net.parameters(), lr=0.01 / squares).step()
    assert losses[2] < losses[1] < losses[0] < 10, losses
