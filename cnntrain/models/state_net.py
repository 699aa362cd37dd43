"""The base of nets whose stages pass on more than one feature map."""

from typing import Any

from torch import Tensor, nn

from cnntrain.models.base import Net


class StateNet(Net):
    """What passes from stage to stage is a tensor or a tuple that begins with the feature map.

    Whoever asks for features is given the maps alone: (N, C, h, w) each.
    """

    def forward_features(self, x: Tensor) -> Tensor:
        return feature_map(super().forward_features(x))

    def forward_intermediates(self, *args: Any, **kwargs: Any) -> Any:
        result = super().forward_intermediates(*args, **kwargs)
        if isinstance(result, list):
            return [feature_map(state) for state in result]
        final, taken = result
        return feature_map(final), [feature_map(state) for state in taken]


class Activation(nn.Module):
    """The last ReLU, on the last map alone."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, state: tuple[Tensor, ...]) -> Tensor:
        return self.act(state[0])


def feature_map(state: Any) -> Tensor:
    return state[0] if isinstance(state, tuple) else state
