"""`cnntrain models`: comments that name paper and year, figures from the networks, a cache that can be trusted."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from composing import composed

from cnntrain import cli
from cnntrain.commands.models import Models
from cnntrain.commands.summary import Summary
from cnntrain.config.check import check
from cnntrain.config.search_path import looking_in
from cnntrain.core.errors import ConfigError
from cnntrain.core.units import count_of, in_bytes
from cnntrain.models import registry
from cnntrain.study import catalog, figures
from cnntrain.study.anatomy.network import Network

List = Callable[..., str]


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def settings(*overrides: str) -> Models:
    return check(composed(overrides, "models"), Models)


@pytest.fixture
def listing(perform: Callable[..., str]) -> List:
    return lambda *overrides: perform(settings(*overrides))


def rows_of(listing: List, *overrides: str) -> list[dict[str, Any]]:
    return json.loads(listing(*overrides, "format=json"))


@pytest.fixture
def no_computing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for computing figures; returns the names that it was asked for."""
    asked: list[str] = []

    def made_up(name: str) -> dict[str, Any]:
        asked.append(name)
        size = 1000 * (len(asked) + 1)
        return dict(
            family="f",
            task="classify",
            of="images",
            params=size,
            macs=2 * size,
            input="3x8x8",
            depth=2,
            source="local",
            weights=False,
        )

    monkeypatch.setattr(figures, "figures", made_up)
    return asked


def test_every_yaml_names_its_paper_and_year() -> None:
    entries = catalog.entries()
    assert len(entries) > 100
    for entry in entries:
        described = entry.described()
        assert described["year"] in range(1980, 2026), entry.name
        assert described["paper"] and described["title"], entry.name
    by_name = {entry.name: entry.described() for entry in entries}
    assert by_name["vgg16"] == {
        "year": 2014,
        "paper": "Simonyan and Zisserman, arXiv:1409.1556",
        "title": "VGG configuration D",
    }
    assert by_name["lenet5_1998"]["paper"] == "LeCun et al., Gradient-based learning applied to document recognition"
    assert (by_name["neocognitron"]["paper"], by_name["neocognitron"]["year"]) == ("Fukushima", 1980)
    assert by_name["nin"]["paper"] == "Lin et al., arXiv:1312.4400"
    assert by_name["densenet161"]["title"] == "DenseNet-161 (growth rate 48)"


def test_a_yaml_without_a_citation(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("defaults: [timm, _self_]\nname: resnet18\n")
    assert catalog.Entry("mine", file).described() == {"year": None, "paper": None, "title": None}
    file.write_text("# My net (with a twist)\nname: resnet18\n")
    assert catalog.Entry("mine", file).described() == {"year": None, "paper": None, "title": "My net (with a twist)"}


def test_the_decks_errors_are_of_models_that_exist() -> None:
    names = {entry.name for entry in catalog.entries()}
    for name, errors in catalog.deck_errors().items():
        assert name in names
        assert set(errors) <= {"top1", "top5", "of"} and {"top1", "top5"} & set(errors)
        assert all(0 < errors[key] < 50 for key in ("top1", "top5") if key in errors)


@pytest.mark.no_cover
def test_figures_are_the_networks_own(listing: List) -> None:
    rows = {row["name"]: row for row in rows_of(listing, "filter='res*50*d'")}
    assert list(rows) == sorted(f"resnext50_{each}d" for each in ("1x64", "2x40", "4x24", "8x14", "32x4"))
    row = rows["resnext50_32x4d"]
    assert (row["params"], row["depth"], row["input"], row["source"]) == (25_028_904, 50, "3x224x224", "timm")
    assert row["macs"] == pytest.approx(4.231e9, rel=0.003)
    assert (row["top1"], row["top5"], row["family"], row["year"]) == (22.2, None, "resnet", 2016)
    weights = {name for name, row in rows.items() if row["weights"]}
    assert weights == {"resnext50_32x4d"}, "the others are the same name with arguments that make another net"
    (local,) = rows_of(listing, "filter=lenet5")
    assert (local["params"], local["macs"], local["depth"]) == (61_706, 416_520, 5)
    assert (local["source"], local["weights"], local["input"]) == ("local", False, "1x32x32")
    (adapted,) = rows_of(listing, "filter=squeezenet")
    assert (adapted["source"], adapted["weights"], adapted["params"]) == ("torchvision", True, 1_235_496)


# what they are for, parameters as docs/tasks.md and docs/signals.md have them, the input of which the cost is
BESIDE_CLASSIFICATION = {
    "lenet1d": ("classify", "signals", 25_106, "1x40"),
    "r3d_18": ("classify", "volumes", 33_371_472, "3x16x112x112"),
    "lraspp": ("segment", "images", 3_221_538, "3x520x520"),
    "fast_rcnn": ("detect", "images", 16_786_089, "3x600x600"),
    "dcgan": ("generate", "images", 3_576_704 + 2_765_568, "3x64x64"),
}


def test_what_networks_are_for_is_told(listing: List) -> None:
    names = "|".join(BESIDE_CLASSIFICATION)
    rows = [row for name in names.split("|") for row in rows_of(listing, f"filter={name}")]
    told = {row["name"]: (row["task"], row["of"], row["params"], row["input"]) for row in rows}
    assert told == BESIDE_CLASSIFICATION
    assert all(row["year"] and row["paper"] and row["macs"] for row in rows)
    # a transposed convolution of k pixels for each of its inputs; and the other way round
    pairs = ((100, 512, 1, 4), (512, 256, 4, 4), (256, 128, 8, 4), (128, 64, 16, 4), (64, 3, 32, 4))
    made = sum(ins * outs * side**2 * kernel**2 for ins, outs, side, kernel in pairs)
    judged = made - 100 * 512 * 16 + 512 * 16
    assert rows[-1]["macs"] == made + judged


def test_a_task_or_a_kind_of_input_is_asked_for(listing: List, no_computing: list[str]) -> None:
    assert rows_of(listing, "filter=nin", "for_task=detect") == rows_of(listing, "filter=nin", "of=signals") == []
    assert [row["name"] for row in rows_of(listing, "filter=nin", "for_task=classify", "of=images")] == ["nin"]
    assert rows_of(listing, "filter='convnext_tin*'", "all=true", "for_task=classify") == []


# from there on positions see unlike fields
PLACE_BY_PLACE = ("upsample", "doubled", "enlarged", "roi", "propose", "regression_head.unsafe_view")


@pytest.mark.slow
@pytest.mark.parametrize("name", [entry.name for entry in catalog.entries()])
def test_every_network_has_figures_and_fields(name: str) -> None:
    computed = figures.figures(name)
    assert set(computed) == set(catalog.COMPUTED)
    assert computed["params"] > 0 and computed["macs"] > 0 and computed["depth"] > (2 if name == "dcgan" else 3)
    config = check(composed([f"model={name}"], "summary"), Summary)
    network = Network(config.model, config.data, config.transfer, config.classes, config.batch_size)
    unknown = [row.name for row in network.rows if row.field is None]
    own = name.startswith("prelunet") or any(word in unknown[0] for word in PLACE_BY_PLACE) if unknown else True
    assert own, unknown  # prelunet's pyramid pools uneven windows
    assert sum(row.params for row in network.rows) == network.params == computed["params"]
    assert sum(row.macs for row in network.rows) == network.macs == computed["macs"]


def test_the_second_call_computes_nothing(listing: List, no_computing: list[str], cache_home: Path) -> None:
    first = listing("filter='vgg1*'")
    assert sorted(no_computing) == ["vgg11", "vgg11_lrn", "vgg13", "vgg16", "vgg16_c", "vgg19"]
    assert listing("filter='vgg1*'") == first
    listing("filter='vgg*'", "format=csv")
    assert len(no_computing) == 6
    listing("filter=nin")
    assert no_computing[6:] == ["nin"]
    (file,) = (cache_home / "cnntrain").iterdir()
    assert file.name.startswith("models-") and len(json.loads(file.read_text())) == 7


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"nin": 3}', b'{"nin": {"params": 1}}', b"\xff\x00", b"null"])
def test_a_damaged_cache_is_computed_again(
    listing: List, no_computing: list[str], cache_home: Path, content: bytes
) -> None:
    listing("filter=nin")
    (file,) = (cache_home / "cnntrain").iterdir()
    whole = file.read_bytes()
    file.write_bytes(content)
    listing("filter=nin")
    assert no_computing == ["nin", "nin"]
    assert set(json.loads(file.read_text())) == set(json.loads(whole))


def test_an_interrupted_call_keeps_what_it_has(
    listing: List, no_computing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    computing = figures.figures

    def interrupted(name: str) -> dict[str, Any]:
        if name == "vgg13":
            raise KeyboardInterrupt
        return computing(name)

    monkeypatch.setattr(figures, "figures", interrupted)
    with pytest.raises(KeyboardInterrupt):
        listing("filter='vgg1*'")
    assert set(catalog.Cache().figures) == {"vgg11", "vgg11_lrn"}


def test_a_changed_yaml_or_source_has_figures_of_its_own(
    look_in: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalog.Cache().path
    assert catalog.Cache().path == before
    (tmp_path / "own" / "model").mkdir(parents=True)
    look_in(tmp_path / "own")
    file = tmp_path / "own" / "model" / "mine.yaml"
    file.write_text("# Mine (Me 2026)\ndefaults: [timm, _self_]\nname: resnet18\n")
    after = catalog.Cache().path
    assert after != before
    file.write_text("# Mine (Me 2026)\ndefaults: [timm, _self_]\nname: resnet34\n")
    assert catalog.Cache().path not in (before, after)
    assert {entry.name for entry in catalog.entries()} >= {"mine", "vgg16"}
    monkeypatch.setattr(catalog, "version", lambda name: "0")
    assert catalog.Cache().path.name not in (before.name, after.name)


def test_the_figures_come_from_the_rooms_that_are_in_the_key() -> None:
    source = Path(figures.__file__).read_text(encoding="utf-8")
    used = set(re.findall(r"^from cnntrain\.(\w+)", source, re.MULTILINE))
    assert used and used <= set(catalog.FIGURING)


OWN = """
from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Net, Stage, build

default_cfgs = generate_default_cfgs({"figured_net": dict(input_size=(1, 8, 8), num_classes=2)})

@register_model
def figured_net(pretrained=False, **kwargs):
    def net(num_classes=2, in_chans=1, drop_rate=0.0):
        stages = [Stage("stem", nn.Conv2d(in_chans, 6, 3, 1, 1, bias=False), 6, 1)]
        return Net(stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)

    return build(net, "figured_net", pretrained, **kwargs)

@register_model
def figured_other(pretrained=False, **kwargs):
    return figured_net(pretrained, **kwargs)
"""


@pytest.mark.no_cover
def test_a_network_of_the_users_own_has_the_figures_of_its_code_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = tmp_path / "figured.py"
    (tmp_path / "configs" / "model").mkdir(parents=True)
    (tmp_path / "configs" / "model" / "figured_net.yaml").write_text("defaults: [timm, _self_]\nname: figured_net\n")

    assert cli.main(["models", "filter=nin"]) == 0
    capsys.readouterr()

    def shown(*words: str) -> list[tuple[str, str, int | None]]:
        assert cli.main(["--import", "figured.py", "models", "filter=figured*", "format=json", *words]) == 0
        return [(row["name"], row["source"], row["params"]) for row in json.loads(capsys.readouterr().out)]

    for channels in (6, 5):
        code.write_text(OWN.replace("6", str(channels)))
        assert shown() == [("figured_net", "own", channels * 9 + channels * 2 + 2)]
        with looking_in(None):
            assert set(catalog.Cache().figures) == {"nin"}  # of which nothing has changed
    assert shown("all=true")[1] == ("figured_other", "own", None)
    registry.forget({"figured"})
    del sys.modules["figured"]


def test_a_folder_that_cannot_be_written_costs_only_time(
    listing: List, no_computing: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "nin" in listing("filter=nin")
    assert "nin" in listing("filter=nin")
    assert no_computing == ["nin", "nin"]


def test_a_broken_yaml_is_named(listing: List, look_in: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "mine.yaml").write_text("defaults: [timm, _self_]\nname: resnet19\n")
    look_in(tmp_path / "own")
    with pytest.raises(ConfigError, match=r"^model=mine: model\.name=resnet19 is no model; did you mean"):
        listing("filter=mine")


def test_limits_and_order(listing: List, no_computing: list[str]) -> None:
    names = sorted(
        ["vgg11", "vgg11_lrn", "vgg13", "vgg16", "vgg16_c", "vgg19"]
    )  # in turn of 2000, 3000, ... parameters

    def listed(*overrides: str) -> list[str]:
        return [row["name"] for row in rows_of(listing, "filter='vgg1*'", *overrides)]

    assert listed() == names
    assert listed("max_params=3k") == names[:2]
    assert listed("max_params=3000") == names[:2]
    assert listed("max_macs=0.007M", "sort=params") == names[:2]
    assert listed("max_macs=8K", "sort=macs", "reverse=true") == names[2::-1]
    assert listed("sort=top5") == ["vgg16", "vgg19", "vgg11", "vgg11_lrn", "vgg13", "vgg16_c"]
    assert listed("sort=top5", "reverse=true")[:2] == ["vgg16", "vgg19"]
    assert listed("sort=year", "reverse=true") == names


def test_the_whole_registry_by_name(listing: List, no_computing: list[str]) -> None:
    rows = rows_of(listing, "filter='*convnext_tiny*'", "all=true")
    assert "convnext_tiny" in {row["name"] for row in rows}
    assert {row["source"] for row in rows} == {"timm"} and {row["params"] for row in rows} == {None}
    assert rows_of(listing, "filter='*convnext_tiny*'", "all=true", "max_params=1G") == []
    assert no_computing == []


def test_formats(listing: List, no_computing: list[str]) -> None:
    table = listing("filter='vgg16*'").splitlines()
    assert table[0].startswith("2 models") and table[1].split()[:3] == ["name", "year", "paper"]
    assert table[3].split()[:2] == ["vgg16", "2014"] and " 7.3* " in table[3]
    rows = list(csv.DictReader(io.StringIO(listing("filter='vgg16*'", "format=csv"))))
    assert [row["name"] for row in rows] == ["vgg16", "vgg16_c"]
    assert rows[0]["params"] == "2000" and rows[1]["top5"] == ""
    assert rows[0].keys() == rows_of(listing, "filter='vgg16*'")[0].keys()
    assert "0 models" in listing("filter=nothing")
    assert rows_of(listing, "filter=nothing") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("10M", 10e6), ("4.1G", 4.1e9), ("25000000", 25e6), ("1e6", 1e6), ("3k", 3e3), ("2b", 2e9), ("0", 0)],
)
def test_counts(text: str, value: float) -> None:
    assert count_of(text) == value


@pytest.mark.parametrize("text", ["", "M", "ten", "10 megs", "-1", "nan", "inf", "1MM"])
def test_no_counts(text: str) -> None:
    assert count_of(text) is None


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("max_params=ten", "max_params must be a number such as 25000000, 25M"),
        ("sort=size", "sort=size must be one of"),
        ("format=yaml", "format=yaml must be one of"),
        ("fliter=a", "did you mean 'filter'"),
    ],
)
def test_wrong_settings(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(override)


def test_a_warm_call_imports_nothing_heavy(listing: List, tmp_path: Path) -> None:
    listing("filter=lenet5")
    code = (
        "import sys; from cnntrain import cli; assert cli.main(['models', 'filter=lenet5']) == 0;"
        "print(sorted({'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        cwd=tmp_path, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0].startswith("1 models") and lines[-1] == "[]"


def test_sizes_for_people() -> None:
    assert [in_bytes(each) for each in (0, 1023, 1536, 3 * 2**20, 5 * 2**30, 2**41)] == [
        "0 B", "1023 B", "1.5 KiB", "3.0 MiB", "5.0 GiB", "2.0 TiB",
    ]  # fmt: skip
