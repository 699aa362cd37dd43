"""Signals moved in time, made louder or softer, and under noise: what Um et al. 2017 (arXiv:1706.00527) call jittering
and scaling, and a shift."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.augment.base import Augment, BatchTransform, Geometry
from cnntrain.core.limits import Fraction, NotNegative


@dataclass(frozen=True)
class ShiftNoise(Augment):
    dimensions = frozenset({1})

    shift: Fraction  # at most, to either side, as a fraction of the length; the value at the end is repeated
    scale: Fraction  # change of the distance from the channel's mean, at most: 0.1 is from 0.9 to 1.1 times
    noise: NotNegative  # its deviation, in deviations of the channel

    def batch_transform(self, seen: Geometry) -> BatchTransform:
        from cnntrain.augment.batched.disturbed import Disturbed

        return Disturbed(self.shift, self.scale, self.noise, seen.mean, seen.std)
