"""What an architecture search has found: a network from its genotype (`genotypes`)."""

from collections.abc import Mapping
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models import genotypes
from cnntrain.models.base import Net, build, default_cfg
from cnntrain.models.cell_net import CellNet
from cnntrain.models.chain_net import ChainNet

NETS: dict[str, tuple[type[Net], str]] = {  # by space, with the name of the first convolution
    "chain": (ChainNet, "layer0.op.conv"),
    "cell": (CellNet, "stem.conv"),
}

default_cfgs = generate_default_cfgs({"found": default_cfg("stem.conv", (3, 32, 32), 10)})


@register_model
def found(pretrained: bool = False, genotype: Mapping[str, Any] | None = None, **kwargs: Any) -> nn.Module:
    """The network of a genotype. Of the space ``cell``, ``repeats`` and ``filters`` may be given in place of the
    genotype's own: cells are searched in a small network and used in a larger one.

    Raises:
        ValueError: there is no genotype, or it is none.
    """
    if genotype is None:
        raise ValueError("found is built from a genotype: model.genotype=<file>, which cnntrain nas writes")
    genotypes.require(genotype, "genotype")
    net, first_conv = NETS[genotype["space"]]
    overlay = {**(kwargs.pop("pretrained_cfg_overlay", None) or {}), "first_conv": first_conv}
    return build(net, "found", pretrained, genotype=dict(genotype), pretrained_cfg_overlay=overlay, **kwargs)
