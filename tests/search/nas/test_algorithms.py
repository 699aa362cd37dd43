"""What evolution and random search propose."""

from __future__ import annotations

from random import Random

from cnntrain.config.nas import Decision
from cnntrain.search.nas.algorithms.evolution import Evolution
from cnntrain.search.nas.algorithms.random import Random as RandomSearch
from cnntrain.search.nas.drawing import mutated

DECISIONS = [Decision("a", 3, 0), Decision("b", 1, 0), Decision("c", 4, 1), Decision("d", 2, 1)]


def test_a_mutation_changes_one_decision() -> None:
    random, string = Random(0), [2, 0, 3, 1]
    for _ in range(100):
        found = mutated(string, DECISIONS, random)
        assert sum(a != b for a, b in zip(found, string, strict=True)) == 1
        assert all(0 <= a < each.options for a, each in zip(found, DECISIONS, strict=True))
    assert mutated([0], [Decision("b", 1, 0)], random) == [0]


def test_the_oldest_dies_however_good() -> None:
    """With every one of the population as a sample the parent is the best that lives: the first, until it is dead."""
    population, proposals = (
        4,
        Evolution("evolution", 4, 4).proposals([Decision("a", 50, layer) for layer in range(9)], 0),
    )
    children = [next(proposals)]
    for number in range(12):
        children.append(proposals.send(1.0 if number == 0 else 0.5 + number / 100 if number < population else 0.1))

    def differ(one: list[int], other: list[int]) -> int:
        return sum(a != b for a, b in zip(one, other, strict=True))

    assert differ(children[population], children[0]) == 1  # the best of the first four is the first
    assert all(differ(each, children[0]) > 1 for each in children[population + 1 :])
    assert differ(children[population + 1], children[3]) == 1  # with the first dead, it is the fourth


def test_random_search_looks_at_nothing() -> None:
    one, other = RandomSearch("random").proposals(DECISIONS, 5), RandomSearch("random").proposals(DECISIONS, 5)
    strings = [next(one)] + [one.send(1.0) for _ in range(50)]
    assert strings == [next(other)] + [other.send(0.0) for _ in range(50)]
    assert {tuple(each) for each in strings} >= {(string[0], 0, string[2], string[3]) for string in strings}
    assert all({string[place] for string in strings} == set(range(DECISIONS[place].options)) for place in range(4))
