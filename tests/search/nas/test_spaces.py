"""Genotypes of both spaces: there and back, and the networks that they stand for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.config.nas import Space
from cnntrain.core.errors import ConfigError
from cnntrain.models import genotypes
from cnntrain.models.create import create
from cnntrain.search.nas.spaces.cell import Cell
from cnntrain.search.nas.spaces.chain import Chain

CHAIN = Chain("chain", 4, [1, 3], [1, 3, 5], [2, 3], [1, 2], True)
CELL = Cell("cell", 3, list(genotypes.OPERATIONS), 1, 4)
TWO = {
    "space": "chain",
    "layers": [
        {"height": 3, "width": 5, "filters": 4, "stride": 2, "inputs": []},
        {"height": 1, "width": 3, "filters": 6, "stride": 1, "inputs": []},
        {"height": 3, "width": 3, "filters": 5, "stride": 1, "inputs": [0, 1]},
    ],
}  # fmt: skip


@st.composite
def strings(draw: Any, space: Space) -> list[int]:
    return [draw(st.integers(0, each.options - 1)) for each in space.decisions()]


def net_of(genotype: dict[str, Any], **more: Any) -> torch.nn.Module:
    return create("found", 7, 2, None, {"genotype": genotype, **more}, False)


@pytest.mark.parametrize("space", [CHAIN, CELL], ids=["chain", "cell"])
def test_a_string_is_an_architecture_that_runs(space: Space) -> None:
    @settings(max_examples=15, deadline=None, database=None)
    @given(strings(space), st.integers(5, 9))
    def check(string: list[int], size: int) -> None:
        genotype = space.genotype(string)
        assert json.loads(json.dumps(genotype)) == genotype
        genotypes.require(genotype, "it")
        net = net_of(genotype).eval()
        with torch.no_grad():
            assert net(torch.zeros(2, 2, size, size + 1)).shape == (2, 7)

    check()


@settings(max_examples=40, deadline=None, database=None)
@given(st.data())
def test_other_strings_are_other_architectures(data: st.DataObject) -> None:
    for space in (CHAIN, CELL):
        one, other = data.draw(strings(space)), data.draw(strings(space))
        assert (space.genotype(one) == space.genotype(other)) == (one == other)


def test_a_genotype_goes_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text(json.dumps(TWO))
    assert genotypes.read(tmp_path / "best.json") == TWO
    with pytest.raises(ValueError, match=r"none.json cannot be read"):
        genotypes.read(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad.json is no genotype"):
        genotypes.read(tmp_path / "bad.json")


def test_parameters_and_maps_of_a_chain_by_hand() -> None:
    net = net_of(TWO).eval()
    convolutions = 2 * 3 * 5 * 4 + 2 * 1 * 3 * 6 + (4 + 6) * 3 * 3 * 5
    norms, classifier = 2 * (4 + 6 + 5), 5 * 7 + 7
    assert sum(each.numel() for each in net.parameters()) == convolutions + norms + classifier
    with torch.no_grad():
        maps = net.forward_intermediates(torch.randn(1, 2, 8, 6), intermediates_only=True)
    assert [tuple(each.shape[1:]) for each in maps] == [(4, 4, 3), (6, 8, 6), (5, 8, 6), (5, 8, 6)]
    assert [each["reduction"] for each in net.feature_info] == [2, 1, 1, 1]


def test_smaller_maps_are_padded_with_zeros() -> None:
    from cnntrain.models.chain_net import joined

    found = joined([torch.ones(1, 1, 2, 1), torch.full((1, 2, 3, 3), 5.0)])
    assert found[0, 0].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]] and found[0, 1:].eq(5).all()


def test_parameters_of_cells_by_hand() -> None:
    """One block a cell: identity and 3x3 average of the two inputs, which are fitted by 1x1 convolutions."""
    block = [[0, "identity", 1, "avg3"]]
    genotype = {"space": "cell", "normal": block, "reduction": block, "repeats": 1, "filters": 4}

    def fit(ins: int, outs: int) -> int:
        return ins * outs + 2 * outs

    stem = 2 * 9 * 4 + 8
    first = fit(4, 4) + fit(4, 4)
    second = fit(4, 8) + fit(4, 8) + fit(8, 8)  # an identity at stride 2 is a convolution
    third = fit(4, 8) + fit(8, 8)
    fourth = fit(8, 16) + fit(8, 16) + fit(16, 16)
    fifth = fit(8, 16) + fit(16, 16)
    expected = stem + first + second + third + fourth + fifth + 16 * 7 + 7
    assert sum(each.numel() for each in net_of(genotype).parameters()) == expected
    larger = net_of(genotype, repeats=3, filters=8)
    assert larger.num_features == 32 and len(larger.stage2) == 4


@pytest.mark.parametrize(("change", "told"), [
    (lambda each: each.update(space="tree"), "its space is 'tree'"),
    (lambda each: each.update(layers=[]), "it has no layers"),
    (lambda each: each["layers"][0].update(height=2), "the filter of layer 0 is 2x5: sides must be odd"),
    (lambda each: each["layers"][1].update(inputs=[1]), "the inputs of layer 1 must be earlier layers"),
    (lambda each: each["layers"][2].update(stride=0), "layer 2 has a size below 1"),
    (lambda each: each["layers"][2].pop("stride"), "has no stride"),
])  # fmt: skip
def test_what_is_no_architecture_is_refused(change: Any, told: str) -> None:
    genotype = copy.deepcopy(TWO)
    change(genotype)
    with pytest.raises(ConfigError, match=told):
        net_of(genotype)


@pytest.mark.parametrize(("key", "value", "told"), [
    ("normal", [], "the normal cell has no blocks"),
    ("normal", [[0, "conv9", 1, "avg3"]], "must be \\[input, operation"),
    ("reduction", [[0, "conv1", 2, "avg3"]], "block 0 of the reduction cell takes what is not before it"),
    ("repeats", 0, "repeats and filters must be at least 1"),
])  # fmt: skip
def test_what_is_no_cell_is_refused(key: str, value: Any, told: str) -> None:
    block = [[0, "identity", 1, "avg3"]]
    genotype = {"space": "cell", "normal": block, "reduction": block, "repeats": 1, "filters": 4, key: value}
    with pytest.raises(ConfigError, match=told):
        net_of(genotype)


def test_spaces_refuse_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match=r"must be odd"):
        Chain("chain", 4, [2], [1], [2], [1], True)
    with pytest.raises(ValueError, match=r"different numbers"):
        Chain("chain", 4, [1, 1], [1], [2], [1], True)
    with pytest.raises(ValueError, match=r"must be different ones"):
        Cell("cell", 3, ["conv9"], 1, 4)
