"""The space of a search, said in Hydra's grammar, as optuna's distributions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cnntrain.core.errors import ConfigError

LOG = "log"  # the tag of a range that is drawn from evenly in its logarithm


@dataclass(frozen=True)
class Space:
    """Attributes:
    fixed: overrides that every trial has.
    ranges: what is drawn, by the key as it is forced into a configuration.
    """

    fixed: list[str]
    ranges: dict[str, BaseDistribution]

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of a trial."""
        return [*self.fixed, *(f"{key}={values[key]}" for key in self.ranges)]

    def corners(self) -> list[list[str]]:
        """The overrides of a trial of the first choices and lowest numbers, of each other choice, of the highest."""
        lowest = {key: _ends(each)[0] for key, each in self.ranges.items()}
        others = [{**lowest, key: end} for key, each in self.ranges.items() for end in _ends(each)[1:]]
        return [self.words(each) for each in [lowest, *others]]

    def grid(self) -> dict[str, list[Any]]:
        """All values of each key.

        Raises:
            ConfigError: one is of a range without steps.
        """
        found = {}
        for key, each in self.ranges.items():
            if isinstance(each, CategoricalDistribution):
                found[key] = list(each.choices)
            elif isinstance(each, IntDistribution) and not each.log:
                found[key] = list(range(each.low, each.high + 1, each.step))
            elif isinstance(each, FloatDistribution) and each.step is not None:
                count = round((each.high - each.low) / each.step) + 1
                found[key] = [each.low + number * each.step for number in range(count)]
            else:
                raise ConfigError(
                    f"hydra.sweeper.sampler=grid: {key.lstrip('+')} needs values, choice(...) or range(...)"
                )
        return found

    def require_numbers(self) -> None:
        """Raises ConfigError where a key has choices, for which CMA-ES has no order."""
        for key, each in self.ranges.items():
            if isinstance(each, CategoricalDistribution):
                raise ConfigError(
                    f"hydra.sweeper.sampler=cmaes: {key.lstrip('+')} needs numbers, interval(...) or a range(...) of "
                    "whole ones; tpe takes choices, too"
                )


def of(overrides: Iterable[Override]) -> Space:
    """The space that overrides say.

    Raises:
        ConfigError: there is none, or a tag is unknown.
    """
    fixed, ranges = [], {}
    for each in overrides:
        key = each.get_key_element()
        if each.is_sweep_override():
            ranges[key] = _range(each)
        else:
            fixed.append(f"{key}={each.get_value_element_as_str()}")
    if not ranges:
        raise ConfigError(
            "hydra/sweeper=optuna: no key has several values: optim.lr=tag(log,interval(1e-4,1)), model=choice(a,b), "
            "data.batch_size=range(16,65,16)"
        )
    return Space(fixed, ranges)


def _range(override: Override) -> BaseDistribution:
    value = override.value()
    tags = set(getattr(value, "tags", ()))
    if tags - ({LOG} if isinstance(value, IntervalSweep) else set()):
        raise ConfigError(f"{override.input_line}: the tag that means something is log, of interval(low,high)")
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        assert low is not None and high is not None, "Hydra's grammar has both"
        if low > high or (tags and low <= 0):
            raise ConfigError(f"{override.input_line}: give a range from its low end to its high one, of log above 0")
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=bool(tags))
        return FloatDistribution(low, high, log=bool(tags))
    if (
        isinstance(value, RangeSweep)
        and isinstance(value.start, int)
        and isinstance(value.step, int)
        and value.step > 0
    ):
        numbers = [int(each) for each in override.sweep_string_iterator()]
        if numbers:
            return IntDistribution(numbers[0], numbers[-1], step=value.step)
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _ends(each: BaseDistribution) -> list[Any]:
    if isinstance(each, CategoricalDistribution):
        return list(each.choices)
    assert isinstance(each, IntDistribution | FloatDistribution), "as `_range` makes them"
    return [each.low, each.high]
