"""A controller that learns by REINFORCE what to propose (Zoph and Le 2017, arXiv:1611.01578)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from cnntrain.config.nas import Algorithm, Decision
from cnntrain.core.limits import Count, Fraction, NotNegative, Positive


@dataclass(frozen=True)
class Reinforce(Algorithm):
    """An LSTM draws the decisions one after another; the gradient of a string's log probability, times how much its
    reward is above a moving average, is the step that it learns by (Williams 1992, doi:10.1007/BF00992696).
    """

    hidden: Count
    lr: Positive
    batch: Count
    baseline_decay: Fraction
    entropy: NotNegative

    def proposals(self, decisions: Sequence[Decision], seed: int) -> Generator[list[int], float, None]:
        from cnntrain.search.nas.controller import Controller, Learner

        learner = Learner(Controller(decisions, self.hidden, seed), self.lr, self.baseline_decay, self.entropy)
        while True:
            strings, rewards = [], []
            for _ in range(self.batch):
                strings.append(learner.controller.drawn())
                rewards.append((yield strings[-1]))
            learner.learn(strings, rewards)
