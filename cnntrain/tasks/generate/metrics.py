"""The losses of a training as sums, and what an evaluation finds of a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from cnntrain.core import dist
from cnntrain.core.adversaries import Adversaries, Seen, made, pixels
from cnntrain.tasks.base import Metrics
from cnntrain.tasks.generate.frechet import Sums, distance

NAN = float("nan")
AT_ONCE = 128  # images that are made together


class Losses(NamedTuple):
    """Mean losses over so many images."""

    images: int
    discriminator: Tensor
    generator: Tensor


class Totals:
    """Running sums of a training, kept on the device so that no step waits for them.

    Attributes:
        count: images.
        losses: float64 [2], of the discriminator and the generator, summed.
    """

    def __init__(self, device: torch.device):
        self.count = 0
        self.losses = torch.zeros(2, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, judged: Losses, targets: Any) -> None:
        self.count += judged.images
        self.losses.add_(torch.stack([judged.discriminator, judged.generator]), alpha=judged.images)

    def reduced(self) -> list[float]:
        """The sums over all ranks, as numbers: images, then both losses."""
        count = self.losses.new_tensor([self.count])
        return dist.sum_over_ranks(torch.cat([count, self.losses])).tolist()

    def load(self, sums: list[float]) -> None:
        """Take over sums that `reduced` gave; they count once, so rank 0 takes them."""
        if dist.rank() == 0:
            self.count = int(sums[0])
            self.losses += self.losses.new_tensor(sums[1:])

    def mean_loss(self) -> float:
        """The sum of both, of this rank's images."""
        return self.losses.sum().item() / self.count if self.count else NAN

    def metrics(self) -> Metrics:
        """Over all ranks' images."""
        count, *summed = self.reduced()
        discriminator, generator = (each / count if count else NAN for each in summed)
        losses = {"loss_d": discriminator, "loss_g": generator, "loss": discriminator + generator}
        return Metrics({**losses, "count": int(count)})


class Judged(Totals):
    """Features of a part's images, which are compared with those of images that are made at the end.

    Attributes:
        losses: the first is the discriminator's on the part's images.

    Args:
        name: of the column of the distance.
        features: of images, uint8 [batch, channels, height, width].
        samples: images that are made, over all ranks.
    """

    def __init__(self, device: torch.device, name: str, features: Callable[[Tensor], Tensor], samples: int):
        super().__init__(device)
        self.name = name
        self.features = features
        self.samples = samples
        self.real = Sums(device)
        self.network: Adversaries | None = None
        self.like = torch.empty(0)

    @torch.no_grad()
    def add(self, loss: Tensor, judged: Seen, targets: Any) -> None:  # type: ignore[override]
        self.count += len(judged.images)
        self.losses[0] += loss * len(judged.images)
        self.network, self.like = judged.network, judged.images
        self.real.add(self.features(pixels(judged.images)))

    def metrics(self) -> Metrics:
        """Over all ranks' images, and as many made ones as are asked for; the networks' losses on these."""
        fake, losses = self._judge_made()
        count, real_loss, _ = self.reduced()
        real, other = self.real.over_ranks(), fake.over_ranks()
        on_made = dist.sum_over_ranks(losses).tolist()
        if not count:
            return Metrics({self.name: NAN, "loss_d": NAN, "loss_g": NAN, "loss": NAN, "count": 0})
        found = dist.from_first(lambda: distance(real, other))  # not computed alike by each of them
        discriminator, generator = real_loss / count + on_made[0] / self.samples, on_made[1] / self.samples
        losses_of = {"loss_d": discriminator, "loss_g": generator, "loss": discriminator + generator}
        return Metrics({self.name: found, **losses_of, "count": int(count)})

    @torch.no_grad()
    def _judge_made(self) -> tuple[Sums, Tensor]:
        """Of this rank's share of the made images the features, and summed losses: float64 [2], as `Totals.losses`.

        Ranks that had no images of the part, which are the last ones, know no network: the others share the work.
        """
        sums, losses = Sums(self.losses.device), torch.zeros_like(self.losses)
        able = int(dist.sum_over_ranks(self.losses.new_tensor(float(self.network is not None))))
        if self.network is None:
            return sums, losses
        share = range(self.samples)[dist.rank() :: able]
        for start in range(0, len(share), AT_ONCE):
            images = made(self.network, share[start : start + AT_ONCE], self.like)
            sums.add(self.features(pixels(images)))
            logits = self.network.discriminate(images).double()
            losses += torch.stack([softplus(logits).sum(), softplus(-logits).sum()])
        return sums, losses
