"""Deconvolution (Zeiler and Fergus 2013, arXiv:1311.2901)."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.study.explain.rectified import Rectified


@dataclass(frozen=True)
class Deconvnet(Rectified):
    """Back through a ReLU goes what is positive, wherever the ReLU itself let something pass; through max pooling, to
    the place of the maximum, as the paper's switches do."""

    way = "deconvolution"
