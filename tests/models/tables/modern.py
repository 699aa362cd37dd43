"""Rows of tests/models/test_fidelity.py: the nets after GoogLeNet.

Parameters and, for ImageNet's nets, multiply-adds are those of ARCHITECTURES.md; for CIFAR's the latter are summed up
here, layer by layer. The nets that run do it on images, or with layers, as small as their structure allows.
"""

IMAGENET = {"image": (3, 224, 224), "classes": 1000}


def preact(count: int) -> int:
    """1x1, 3x3 and 1x1 convolutions at the size of the stage's output; a projection in its first unit."""
    macs, ins = 27 * 16 * 32**2, 16
    for outs, side in ((64, 32), (128, 16), (256, 8)):
        width = outs // 4
        unit = 9 * width**2 + width * outs
        macs += side**2 * (count * unit + (count - 1) * outs * width + ins * width + ins * outs)
        ins = outs
    return macs + 2560


def wide(count: int, widening: int) -> int:
    """Pairs of 3x3 convolutions at the size of the stage's output; a projection in its first unit."""
    macs, ins = 27 * 16 * 32**2, 16
    for outs, side in ((16 * widening, 32), (32 * widening, 16), (64 * widening, 8)):
        macs += side**2 * (9 * ins * outs + 9 * (2 * count - 1) * outs**2 + ins * outs)
        ins = outs
    return macs + 640 * widening


def dense(count: int, channels: int, bc: bool) -> int:
    """`count` layers a block, each of which adds 12 maps; the transitions' 1x1 run before their pool."""
    macs = 27 * channels * 32**2
    for side in (32, 16, 8):
        for _ in range(count):
            macs += side**2 * (48 * channels + 9 * 48 * 12 if bc else 9 * 12 * channels)
            channels += 12
        if side > 8:
            kept = channels // 2 if bc else channels
            macs += side**2 * channels * kept
            channels = kept
    return macs + channels * 10


def imagenet_resnet(name: str, params: int, macs: float, blocks: int, **more) -> dict:
    row = {"name": name, "params": params, "macs": macs, "coarse": 6, "fine": 2 + blocks, "side": 32}
    return row | IMAGENET | more


def fractal(columns: int) -> int:
    """Column c has 2^c convolutions, of which the first takes the block's input."""
    macs, ins = 5120, 3
    for outs, side in ((64, 32), (128, 16), (256, 8), (512, 4), (512, 2)):
        macs += side**2 * 9 * (columns * ins * outs + (2**columns - 1 - columns) * outs**2)
        ins = outs
    return macs


def cifar(name: str, params: int, macs: int, blocks: int, side: int, coarse: int = 6, **more) -> dict:
    return {"name": name, "params": params, "macs": macs, "coarse": coarse, "fine": blocks, "side": side, **more}


def shuffle(groups: int, params: int, macs: float, **more) -> dict:
    """The paper's table 1 has 143, 140, 137, 133 and 137 million multiply-adds."""
    row = {"name": f"shufflenet_g{groups}", "params": params, "macs": macs, "coarse": 5, "fine": 18, "side": 64}
    return row | IMAGENET | more


def bag(pixels: int, params: int, macs: float, **more) -> dict:
    row = {"name": f"bagnet{pixels}", "params": params, "macs": macs, "coarse": 6, "fine": 18, "rim": 14}
    return row | IMAGENET | {"side": 36, "small": {"width": 16}} | more


def prelu(name: str, params: int, macs: float, **more) -> dict:
    row = {"name": f"prelunet_{name}", "params": params, "macs": macs, "coarse": 7, "fine": 22}
    return row | IMAGENET | {"side": 32, "small": {"hidden_size": 32}, **more}


# without its randomness the loss falls at every step; tests/models/test_fractalnet.py is about the randomness
CERTAIN = {"filters": (8, 16, 32, 64, 64), "drop_path_rate": 0.0, "global_ratio": 0.0, "block_drop_rates": (0.0,) * 5}

FOUND = {
    "space": "chain",
    "layers": [
        {"height": 3, "width": 3, "filters": 8, "stride": 2, "inputs": []},
        {"height": 3, "width": 3, "filters": 6, "stride": 1, "inputs": [0]},
    ],
}

# at 31x31 pixels the whitening; of each group a convolution before its pool and one after it
AIRBENCH = 12 * 24 * 31**2 + 9 * (24 * 64 * 31**2 + 64**2 * 15**2) + 2560
AIRBENCH += 9 * (64 * 256 * 15**2 + 256**2 * (7**2 + 7**2 + 3**2))

ROWS: list[dict] = [
    # besides the whitening filters and the norms' scales, which are no parameters, as its own code has them that trains
    {"name": "airbench", "params": 1_971_352, "macs": AIRBENCH},
    imagenet_resnet("plain18", 11_515_688, 1.795e9, 8, deep=True),
    imagenet_resnet("plain34", 21_623_848, 3.644e9, 16, deep=True),
    imagenet_resnet("resnet18a", 11_515_688, 1.795e9, 8),
    imagenet_resnet("resnet34a", 21_623_848, 3.644e9, 16, deep=True),
    imagenet_resnet("resnet34a", 21_797_672, 3.664e9, 16, kwargs={"shortcut": "B"}, deep=True),
    imagenet_resnet("resnet34a", 22_716_840, 3.831e9, 16, kwargs={"shortcut": "C"}, deep=True),
    imagenet_resnet("resnet50_2015", 25_557_032, 3.858e9, 16),
    cifar("preactresnet164", 1_703_258, preact(18), 57, 8, lr=3e-6),
    cifar("preactresnet1001", 10_327_706, preact(111), 336, 8, deep=True),
    cifar("wrn16_4", 2_748_890, wide(2, 4), 9, 16),
    cifar("wrn16_8", 10_961_370, wide(2, 8), 9, 8, deep=True),
    cifar("wrn28_10", 36_479_194, wide(4, 10), 15, 8, deep=True),
    cifar("wrn40_4", 8_949_210, wide(6, 4), 21, 8, deep=True),
    {"name": "conv_mobilenet", "params": 29_294_088, "macs": 4.8673e9, "coarse": 7, "fine": 15}
    | IMAGENET
    | {"side": 32, "small": {"width": 0.25}},
    shuffle(1, 1_531_936, 0.1431e9, deep=True),
    shuffle(2, 1_733_848, 0.1408e9, deep=True),
    shuffle(3, 1_865_728, 0.1375e9),
    shuffle(4, 1_968_344, 0.1343e9, deep=True),
    shuffle(8, 2_434_768, 0.1384e9, deep=True),
    cifar("highway19", 2_256_838, 331_000_000, 19, 32, coarse=5, lr=0.1),
    cifar("fractalnet", 33_734_922, fractal(3), 6, 32, small=CERTAIN),
    cifar("fractalnet", 76_128_714, fractal(4), 6, 32, kwargs={"columns": 4}, deep=True),
    bag(9, 15_688_744, 15.93e9, deep=True),
    bag(17, 16_213_032, 15.65e9, deep=True),
    bag(33, 18_310_184, 16.26e9),
    prelu("a", 178_032_072, 19.06e9, fine=19),
    prelu("b", 183_343_048, 23.22e9, deep=True),
    prelu("c", 330_623_944, 53.46e9, deep=True),
    cifar("densenet40", 1_019_722, dense(12, 16, False), 41, 16, coarse=8, deep=True),
    cifar("densenetbc100", 769_162, dense(16, 24, True), 53, 8, coarse=8),
    {"name": "nasnetamobile", "params": 5_289_978, "macs": 0.5636e9, "coarse": 6, "fine": 17}
    | IMAGENET
    | {"side": 32, "small": {"cell_count": 2}},
    {"name": "found", "params": 27 * 8 + 9 * 8 * 6 + 2 * 14 + 70, "macs": 16**2 * (27 * 8 + 9 * 8 * 6) + 60}
    | {"coarse": 3, "fine": 3, "kwargs": {"genotype": FOUND}},
]
