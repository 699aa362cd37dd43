"""What takes the place of torchvision's parts in a graph computes what they compute."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import roi_heads
from torchvision.ops import MultiScaleRoIAlign, boxes, poolers

from cnntrain.export import one_graph
from cnntrain.models import box_rcnn

SIDE = 64


def places(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator).sort(1).values * SIDE
    return corners.flatten(1)


@pytest.mark.parametrize("count", [0, 40, 1500])  # of more than 1,000 torchvision goes through the groups
def test_boxes_are_suppressed_within_their_groups(count: int) -> None:
    given = places(count, 0)
    scores, groups = torch.rand(count, generator=torch.Generator().manual_seed(1)), torch.arange(count) % 3
    found = one_graph.suppressed(SIDE, given, scores, groups, 0.3)
    assert torch.equal(found, boxes.batched_nms(given, scores, groups, 0.3)) and (not count or len(found) < count)


def test_boxes_of_several_levels_are_pooled() -> None:
    pool = MultiScaleRoIAlign(["0", "1", "2"], 3, 2, canonical_scale=32, canonical_level=3)
    maps = {str(each): torch.randn(2, 4, SIDE // 2**each, SIDE // 2**each) for each in range(3)}
    given = [places(20, 0), places(7, 1)]
    expected = pool(maps, given, [(SIDE, SIDE)] * 2)
    with one_graph.one_graph(SIDE):
        assert poolers._multiscale_roi_align is one_graph.pooled
        torch.testing.assert_close(pool(maps, given, [(SIDE, SIDE)] * 2), expected)
    assert poolers._multiscale_roi_align is not one_graph.pooled
    assert boxes.batched_nms.__name__ == "batched_nms"
    assert box_rcnn.paste_masks_in_image is roi_heads.paste_masks_in_image


@pytest.mark.parametrize("sides", [(SIDE, SIDE), (50, 64)])
def test_masks_are_pasted(sides: tuple[int, int]) -> None:
    masks = torch.rand(30, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    given = torch.cat([places(28, 2), torch.tensor([[0.0, 0.0, 64.0, 64.0], [5.2, 5.2, 5.3, 5.3]])])
    found, expected = (each(masks, given, sides) for each in (one_graph.pasted, roi_heads.paste_masks_in_image))
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert one_graph.pasted(masks[:0], given[:0], sides).shape == (0, 1, *sides)
