"""The controller of an architecture search: an LSTM that draws an architecture decision by decision.

Zoph and Le, Neural architecture search with reinforcement learning, 2017 (arXiv:1611.01578). What was chosen is the
next input. Whether an earlier layer is connected is drawn from the sigmoid of v . tanh(A h_earlier + B h_now), where h
is the state after a layer's last other decision. Decisions of one kind share their weights over the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnntrain.config.nas import Decision
from cnntrain.core import seeds

BOUND = 0.08  # the weights begin between -BOUND and BOUND, as in the paper


class Controller(nn.Module):
    """Draws strings, and says how likely it draws a string."""

    def __init__(self, decisions: Sequence[Decision], hidden: int, seed: int):
        super().__init__()
        self.decisions = list(decisions)
        self.generator = seeds.generator("nas", "reinforce", seed)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.start = nn.Parameter(torch.empty(1, hidden))
        kinds = {_kind(each): each.options for each in decisions if each.anchor is None}
        self.chosen = nn.ModuleDict({kind: nn.Embedding(options, hidden) for kind, options in kinds.items()})
        self.heads = nn.ModuleDict({kind: nn.Linear(hidden, options) for kind, options in kinds.items()})
        self.earlier = nn.Linear(hidden, hidden, bias=False)
        self.now = nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-BOUND, BOUND, generator=self.generator)

    @torch.no_grad()
    def drawn(self) -> list[int]:
        """A string."""

        def draw(number: int, logits: Tensor) -> int:
            return int(torch.multinomial(logits.softmax(-1), 1, generator=self.generator))

        return self._walk(draw)[0]

    def log_probability(self, string: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Of drawing this string, and the sum of the entropies of its decisions; scalars with a gradient."""
        _, log_probability, entropy = self._walk(lambda number, logits: string[number])
        return log_probability, entropy

    def _walk(self, choose: Callable[[int, Tensor], int]) -> tuple[list[int], Tensor, Tensor]:
        """The decisions one after another.

        Args:
            choose: the option, from a decision's number and the logits [options].
        """
        shown: Tensor = self.start
        state = (torch.zeros_like(self.start), torch.zeros_like(self.start))
        string: list[int] = []
        anchors: dict[int, Tensor] = {}
        total, entropy = self.start.new_zeros(()), self.start.new_zeros(())
        for number, decision in enumerate(self.decisions):
            if decision.anchor is None:
                state = self.cell(shown, state)
                anchors[decision.layer] = state[0]
                logits = self.heads[_kind(decision)](state[0])[0]
            else:
                pair = self.earlier(anchors[decision.anchor]) + self.now(anchors[decision.layer])
                logit = self.score(pair.tanh())[0]
                logits = torch.cat([torch.zeros_like(logit), logit])
            option = choose(number, logits)
            string.append(option)
            logs = functional.log_softmax(logits, -1)
            total, entropy = total + logs[option], entropy - (logs.exp() * logs).sum()
            if decision.anchor is None:
                shown = self.chosen[_kind(decision)](torch.tensor([option]))
            elif option:  # what is connected is what the next layer begins with
                shown = shown + anchors[decision.anchor]
        return string, total, entropy


class Learner:
    """REINFORCE with a moving average of the rewards as baseline."""

    def __init__(self, controller: Controller, lr: float, decay: float, entropy: float):
        self.controller, self.decay, self.entropy = controller, decay, entropy
        self.optimizer = torch.optim.Adam(controller.parameters(), lr)
        self.baseline: float | None = None

    def loss(self, strings: Sequence[Sequence[int]], rewards: Sequence[float]) -> Tensor:
        """Whose gradient is the negative of the estimated gradient of the expected reward."""
        assert self.baseline is not None, "there are rewards"
        total = self.controller.start.new_zeros(())
        for string, reward in zip(strings, rewards, strict=True):
            log_probability, entropy = self.controller.log_probability(string)
            total = total - (reward - self.baseline) * log_probability - self.entropy * entropy
        return total / len(strings)

    def learn(self, strings: Sequence[Sequence[int]], rewards: Sequence[float]) -> None:
        """One step of the controller, and of the moving average."""
        mean = sum(rewards) / len(rewards)
        if self.baseline is None:
            self.baseline = mean
        self.optimizer.zero_grad()
        self.loss(strings, rewards).backward()
        self.optimizer.step()
        self.baseline = self.decay * self.baseline + (1 - self.decay) * mean


def _kind(decision: Decision) -> str:
    return f"{decision.kind}_{decision.options}"
