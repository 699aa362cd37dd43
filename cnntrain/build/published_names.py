"""Torchvision's names of the parts of its detectors, those of its published files too, as ours."""

from __future__ import annotations

import re

# one after another; the older names are those before torchvision 0.13
NAMES = tuple(
    (re.compile(old), new)
    for old, new in (
        (r"^backbone\.body\.", "backbone."),
        (r"^backbone\.fpn\.", "head.pyramid.fpn."),
        (r"((?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2"),
        (r"^(rpn|roi_heads)\.", r"head.\1."),
        (r"^(head\.rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2"),
        (r"mask_head\.mask_fcn1\.", "mask_head.0.0."),
        (r"mask_head\.mask_fcn2\.", "mask_head.1.0."),
        (r"mask_head\.mask_fcn3\.", "mask_head.2.0."),
        (r"mask_head\.mask_fcn4\.", "mask_head.3.0."),
        (r"^head\.(classification|regression)_head\.", r"head.whole.head.\1_head."),
        (r"(whole\.head\.\w+\.conv)\.0\.(weight|bias)$", r"\1.0.0.\2"),
        (r"(whole\.head\.\w+\.conv)\.2\.(weight|bias)$", r"\1.1.0.\2"),
        (r"(whole\.head\.\w+\.conv)\.4\.(weight|bias)$", r"\1.2.0.\2"),
        (r"(whole\.head\.\w+\.conv)\.6\.(weight|bias)$", r"\1.3.0.\2"),
    )
)


def ours(name: str) -> str:
    """What we call a tensor that torchvision calls so."""
    for old, new in NAMES:
        name = old.sub(new, name)
    return name
