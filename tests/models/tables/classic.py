"""Rows of tests/models/test_fidelity.py: the nets of 1980 to 2015, and torchvision's own."""

from typing import Any


def imagenet(name: str, params: int, gigamacs: float, coarse: int, fine: int, side: int = 64, **more: Any) -> dict:
    more = {"image": (3, 224, 224), "classes": 1000} | more
    return dict(name=name, params=params, macs=gigamacs * 1e9, coarse=coarse, fine=fine, side=side, **more)


def flat(name: str, params: int, gigamacs: float, fine: int, side: int, **more: Any) -> dict:
    """Run on small images, with small hidden layers."""
    small = {"img_size": side, "hidden_size": 32}
    return imagenet(name, params, gigamacs, 8, fine, side, small=small, **more)


# the naive block on 16x16 maps of 256 channels
NAIVE = (256 * 128 + 9 * 256 * 192 + 25 * 256 * 96) * 16**2
ROWS: list[dict] = [
    # C1, C3 (dense as it is computed), C5, F6
    {
        "name": "lenet5_1998",
        "params": 60_000,
        "macs": 25 * 6 * 28**2 + 150 * 16 * 10**2 + 400 * 120 + 120 * 84,
        "image": (1, 32, 32),
        "coarse": 4,
        "fine": 4,
        "lr": 0.001,
    },
    {
        "name": "neocognitron",
        "params": 29_722,
        "macs": 25 * 24 * 16**2 + 25 * 24**2 * (8**2 + 2**2) + 240,
        "image": (1, 16, 16),
        "coarse": 4,
        "fine": 4,
        "rim": 14,
    },
    flat("alexnet", 60_965_224, 0.724, 8, 67, image=(3, 227, 227)),
    flat("alexnet_ungrouped", 62_378_344, 1.135, 8, 67, image=(3, 227, 227), deep=True),
    flat("zfnet", 62_357_608, 1.168, 8, 53),
    flat("zfnet_wide", 107_627_624, 2.477, 8, 53, deep=True),
    flat("vgg11_lrn", 132_863_336, 7.609, 11, 32),
    flat("vgg16_c", 133_638_952, 11.771, 16, 32),
    imagenet("nin", 7_595_176, 1.100, 5, 12, maps=True),
    {"name": "nin_cifar", "params": 966_986, "macs": 222e6, "coarse": 4, "fine": 9, "maps": True},
    imagenet("googlenet", 6_998_552, 1.583, 12, 12),
    {
        "name": "inception_naive",
        "params": 1_246_186,
        "macs": 27 * 64 * 32**2 + 9 * 64 * 256 * 16**2 + NAIVE + 6_720,
        "coarse": 4,
        "fine": 4,
    },
    imagenet("bn_inception", 11_194_984, 2.019, 13, 13),
    imagenet("tv_alexnet", 61_100_840, 0.714, 8, 8, deep=True),
    imagenet("tv_googlenet", 6_624_904, 1.498, 12, 12),
    imagenet("tv_shufflenet_v2", 2_278_604, 0.145, 6, 19),
    imagenet("tv_squeezenet", 1_235_496, 0.349, 10, 10, maps=True),
]
