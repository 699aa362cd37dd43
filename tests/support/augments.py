"""Keys of augmentation policies, for tests."""

from __future__ import annotations

from typing import Any

# nothing is added to the policy
OFF: dict[str, Any] = {
    "auto": None,
    "auto_policy": "imagenet",
    "rand_ops": 2,
    "rand_magnitude": 9,
    "colour_jitter": None,
    "greyscale": 0.0,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}
