"""The arguments of networks that a configuration may not give."""

from __future__ import annotations

_WEIGHTS = "model.weights=<file> loads weights, as tensors alone"
_LEAVE = "leave it out"
# arguments of timm's that load files (older timm's load can run code) or overrule what other keys decide, and what to
# use instead
REFUSED_ARGS = {
    "checkpoint_path": _WEIGHTS,
    "pretrained_cfg": _WEIGHTS,
    "pretrained_cfg_overlay": _WEIGHTS,
    "pretrained_strict": "weights fit exactly, up to a new classifier: leave it out",
    "pretrained_model_args": _LEAVE,
    "pretrained": "model.pretrained says whether published weights are loaded",
    "cache_dir": "the environment's HF_HOME and TORCH_HOME say where published weights are",
    "num_classes": "the data decide; data.classes=[<name>, ...] takes some of theirs",
    "in_chans": "data.channels decides",
    "features_only": "a network without a classifier learns no classes: leave it out",
    "scriptable": _LEAVE,
    "exportable": _LEAVE,
    "no_jit": _LEAVE,
    "device": "trainer.device decides",
    "dtype": "trainer.precision decides",
}
