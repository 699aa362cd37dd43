"""Guided backpropagation (Springenberg et al. 2014, arXiv:1412.6806)."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.study.explain.rectified import Rectified


@dataclass(frozen=True)
class GuidedBackprop(Rectified):
    """Back through a ReLU goes what is positive, where the ReLU let something pass."""

    way = "guided"
