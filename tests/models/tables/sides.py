"""Rows of tests/models/test_fidelity.py: the nets for signals and for volumes.

torchvision's own are held against the parameters and operations that it publishes for 16 frames; ours are summed up
here, layer by layer. What torchvision's compute is held against theirs in tests/models/test_video_nets.py.
"""

WANG = (8, 5, 3)  # kernels


def fcn1d() -> tuple[int, int]:
    weights = 8 * 1 * 128 + 5 * 128 * 256 + 3 * 256 * 128
    return weights + 2 * (128 + 256 + 128) + 1290, weights * 40 + 1280


def resnet1d() -> tuple[int, int]:
    params, macs = 1290, 1280
    for ins, outs in ((1, 64), (64, 128), (128, 128)):
        weights = WANG[0] * ins * outs + (WANG[1] + WANG[2]) * outs**2 + (ins * outs if ins != outs else 0)
        params += weights + 2 * outs * (4 if ins != outs else 3)
        macs += weights * 40
    return params, macs


def resnet3d() -> tuple[int, int]:
    """Of a side of 16 pixels and 8 frames after the stem; each later stage has an eighth of the positions."""
    params, macs, ins = 27 * 3 * 16 + 32 + 650, 27 * 3 * 16 * 8 * 16**2 + 640, 16
    for outs, positions in ((16, 8 * 16**2), (32, 4 * 8**2), (64, 2 * 4**2)):
        weights = 27 * ins * outs + 27 * outs**2 + (ins * outs if ins != outs else 0)
        params += weights + 2 * outs * (3 if ins != outs else 2)
        macs += weights * positions
        ins = outs
    return params, macs


LENET1D = (5 * 6 + 6 + 5 * 6 * 16 + 16 + 112 * 120 + 120 + 120 * 84 + 84 + 850, 36 * 30 + 14 * 480 + 13_440 + 10_920)
LENET3D = (
    75 * 6 + 6 + 75 * 6 * 16 + 16 + 400 * 120 + 120 + 120 * 84 + 84 + 850,
    8 * (28**2 * 450 + 10**2 * 7200) + 48_000 + 10_920,
)
KINETICS = {"image": (3, 16, 112, 112), "classes": 400}
SIGNAL = {"image": (1, 40)}
ROWS = [
    dict(name="lenet1d", params=LENET1D[0], macs=LENET1D[1], lr=0.1, **SIGNAL),
    dict(name="fcn1d", params=fcn1d()[0], macs=fcn1d()[1], coarse=4, fine=4, **SIGNAL),
    dict(name="resnet1d", params=resnet1d()[0], macs=resnet1d()[1], coarse=4, fine=4, **SIGNAL),
    dict(name="lenet3d", params=LENET3D[0], macs=LENET3D[1], image=(1, 8, 32, 32), lr=0.1),
    dict(name="resnet3d", params=resnet3d()[0], macs=resnet3d()[1], image=(3, 8, 32, 32), side=16),
    dict(name="r3d_18", params=33_371_472, macs=40.697e9, coarse=6, fine=10, deep=True, **KINETICS),
    dict(name="mc3_18", params=11_695_440, macs=43.343e9, coarse=6, fine=10, deep=True, **KINETICS),
    dict(name="r2plus1d_18", params=31_505_325, macs=40.519e9, coarse=6, fine=10, deep=True, **KINETICS),
    dict(
        name="s3d", params=8_320_048, macs=17.979e9, coarse=12, fine=12, deep=True, classes=400,
        image=(3, 16, 224, 224),
    ),
]  # fmt: skip
