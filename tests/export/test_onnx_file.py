"""What ONNX has no operation for is computed by others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnntrain.export import bundle, onnx_file, program
from cnntrain.models.prelunet import SpatialPyramid


@pytest.mark.parametrize("bins", [(1, 1), (2, 3), (4, 5), (7, 7)])
def test_adaptive_max_pooling_by_cuts_is_torchs(bins: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    for found, wanted in zip(
        onnx_file.maxima_of_bins(maps, bins),
        nn.functional.adaptive_max_pool2d(maps, bins, return_indices=True),
        strict=True,
    ):
        assert torch.equal(found, wanted)


def test_a_spatial_pyramid_is_written(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pyramid = SpatialPyramid((4, 3, 1))

        def forward(self, maps: Tensor) -> Tensor:
            pooled: Tensor = self.pyramid(maps)
            return pooled

    net = Net().eval()
    path = tmp_path / "net.onnx"
    onnx_file.write(path, program.program_alone(net, (2, 7, 7)), "maps", ["batch"], ["pooled"])
    maps = np.random.default_rng(0).normal(size=(3, 2, 7, 7)).astype(np.float32)
    (found,) = bundle.session(path).run(None, {"maps": maps})
    assert np.array_equal(found, net(torch.from_numpy(maps)).numpy())
