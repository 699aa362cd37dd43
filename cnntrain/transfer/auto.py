"""What is trained is decided by how much data there is and how near it is to what the network was trained on.

The rule is CS231n's (Transfer learning and fine-tuning). Little data, similar domain: a linear classifier on top.
Little data, different domain: one from an earlier stage. Much data, similar domain: the last layers are fine-tuned.
Much data, different domain: more of them. The domain counts as different where an earlier stage of the network
separates the classes better than the last one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from cnntrain.core.errors import ConfigError
from cnntrain.core.limits import Count, Fraction, Positive
from cnntrain.transfer.base import Outset, PartlyFrozen

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Auto(PartlyFrozen):
    one_label = True

    little: Count  # fewer training images a class are little data
    margin: Fraction  # of accuracy, by which an earlier stage must be better for the domain to count as different
    probe_images: Annotated[int, Ge(20)]
    last_stages: Count  # trained where there is much data of a similar domain
    body_lr_multiplier: Positive  # on optim.lr, for what is trained besides the classifier

    def decide(self, run: Outset) -> dict[str, Any]:
        from cnntrain.transfer.probing.similarity import measure

        return measure(run, self.probe_images)

    @property
    def measured(self) -> Mapping[str, Any]:
        """What `decide` gave; nothing before a run has started."""
        return {}

    def start(self, measured: Mapping[str, Any]) -> Auto:
        keys = {each.name: getattr(self, each.name) for each in fields(self)}
        return _Decided(**keys, found=dict(measured))

    def state_dict(self) -> dict[str, Any]:
        return dict(self.measured)

    def decision(self) -> dict[str, Any]:
        """What was measured, which case of the rule it is, and the policy that follows."""
        measured = self._measured()
        little = measured["images"] / measured["classes"] < self.little
        best = self._best_stage()
        rule, policy, frozen = self._rule(little, best)
        return {
            "images": measured["images"],
            "images_per_class": measured["images"] / measured["classes"],
            "little": little,
            "probed": measured["probed"],
            "accuracy": {each["stage"]: each["accuracy"] for each in measured["stages"]},
            "similar": best is None,
            "rule": rule,
            "policy": policy,
            "frozen_groups": frozen,
        }

    def notes(self) -> list[str]:
        found = self.decision()
        size = (
            f"transfer=auto: {found['images']:,} training images, {found['images_per_class']:,.1f} a class: "
            f"{'little' if found['little'] else 'much'} data (transfer.little={self.little})"
        )
        if found["probed"]:
            shown = ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in found["accuracy"].items())
            domain = (
                f"  accuracy by stage, of a linear classifier cross-validated on {found['probed']:,} of them: {shown}: "
                f"a {'similar' if found['similar'] else 'different'} domain (transfer.margin={self.margin:g})"
            )
        else:
            domain = "  too few images of a class to measure a similarity: taken as a similar domain"
        return [size, domain, f"  {found['rule']}"]

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        count = self.decision()["frozen_groups"]
        return [index < (len(groups) - 1 if count is None else count) for index in range(len(groups))]

    def rate_multipliers(self, model: nn.Module, head: set[str]) -> dict[str, float]:
        rates = super().rate_multipliers(model, head)
        body = self.body_lr_multiplier if self.decision()["policy"] != "linear_probe" else 1.0
        return {name: rate if name in head else body * rate for name, rate in rates.items()}

    def _measured(self) -> Mapping[str, Any]:
        if not self.measured:
            raise ConfigError(
                "transfer=auto decides by the training images when a run starts, and here nothing was measured: name "
                "the policy, transfer=linear_probe, freeze_depth or full"
            )
        return self.measured

    def _best_stage(self) -> dict[str, Any] | None:
        """The stage that is better than the last by more than the margin, the deepest of the best; None for none."""
        stages = self._measured()["stages"]
        if stages[-1]["accuracy"] is None:
            return None
        best = max(reversed(stages), key=lambda stage: stage["accuracy"])
        return best if best["accuracy"] - stages[-1]["accuracy"] > self.margin else None

    def _rule(self, little: bool, best: dict[str, Any] | None) -> tuple[str, str, int | None]:
        """The case in words, the policy's name, and how many groups it freezes (None: all but the classifier)."""
        stages = self._measured()["stages"]
        slower = f"at {self.body_lr_multiplier:g} of the classifier's rate"
        if little and best is None:
            return "little data, similar domain: a linear classifier on top", "linear_probe", None
        if little and best is not None:
            text = (
                f"little data, different domain: frozen up to {best['stage']}, the best stage; what follows is trained "
                f"{slower}, which stands in for a classifier on that stage (transfer=probe_depths trains those)"
            )
            return text, "freeze_depth", best["groups"]
        if best is None:
            case = "much data, similar domain"
            if self.last_stages >= len(stages):
                return f"{case}: the model has no more than last_stages: all are trained, {slower}", "full", 0
            before = stages[-1 - self.last_stages]
            text = f"{case}: a few layers are trained, those that follow {before['stage']}, {slower}"
            return text, "freeze_depth", before["groups"]
        return f"much data, different domain: all layers are trained, {slower}", "full", 0


@dataclass(frozen=True)
class _Decided(Auto):
    """The policy in a run."""

    found: Mapping[str, Any]

    @property
    def measured(self) -> Mapping[str, Any]:
        return self.found
