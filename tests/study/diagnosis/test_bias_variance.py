"""The table of errors: the lecture's numbers, Newcombe's interval, and which gap is worth acting on."""

from __future__ import annotations

import pytest

from cnntrain.study.diagnosis.bias_variance import ADVICE, NOTHING, table

MANY = 1_000_000


def test_the_lectures_example() -> None:
    found = table({"train": (0.10, MANY), "val": (0.102, MANY), "test": (0.104, MANY)}, human=0.01)
    assert [each["name"] for each in found["gaps"]] == ["avoidable bias", "variance", "overfitting to val"]
    assert [each["points"] for each in found["gaps"]] == pytest.approx([0.09, 0.002, 0.002])
    assert found["advice"] == f"avoidable bias is the largest: {ADVICE['avoidable bias']}"
    assert all(each["clear"] for each in found["gaps"])


def test_the_interval_is_newcombes() -> None:
    """His table II, (a): 56/70 - 48/80, method 10."""
    found = table({"train": (48 / 80, 80), "val": (56 / 70, 70)}, human=None)
    assert found["gaps"][1]["interval"] == pytest.approx([0.0524, 0.3339], abs=5e-5)
    assert found["gaps"][0]["interval"] == pytest.approx(found["errors"]["train"]["interval"])  # nobody errs: for sure


@pytest.mark.parametrize(
    ("errors", "human", "largest"),
    [
        ({"train": (0.0, 900), "val": (0.10, 900)}, 0.0, "variance"),
        ({"train": (0.01, 900), "val": (0.01, 900), "test": (0.09, 900)}, 0.01, "overfitting to val"),
        ({"train": (0.01, 90), "val": (0.03, 90), "test": (0.02, 90)}, 0.01, None),
        ({"train": (0.005, 9000), "val": (0.005, 9000)}, 0.02, None),  # better than people
    ],
)
def test_the_advice_is_on_the_largest_gap_that_is_clear_of_chance(
    errors: dict[str, tuple[float, int]], human: float, largest: str | None
) -> None:
    found = table(errors, human)
    clear = {each["name"]: each["points"] for each in found["gaps"] if each["clear"]}
    assert max(clear, key=lambda each: clear[each], default=None) == largest
    assert found["advice"].startswith(f"{largest} is the largest" if largest else NOTHING)
