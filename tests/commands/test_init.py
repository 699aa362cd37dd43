"""A user's own folder: written once, and what is in it works as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain import cli
from cnntrain.commands.config import Config
from cnntrain.config.groups import builtin_dir


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.no_cover
def test_the_folder_trains_as_its_readme_says(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", "my pets"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "my pets"
    made = sorted(path.relative_to(here / "my pets").as_posix() for path in (here / "my pets").rglob("*.*"))
    assert made == [".gitignore", "README.md", "configs/experiment/first.yaml"]
    monkeypatch.chdir(here / "my pets")
    assert cli.main(["experiment=first", "trainer.epochs=1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("outputs/first/")


def test_nothing_of_the_users_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pets").mkdir()
    (here / "pets" / "README.md").write_text("mine")
    assert cli.main(["init", "pets"]) == 2
    assert capsys.readouterr().err == "cnntrain: pets/README.md: there already; take another folder\n"
    assert (here / "pets" / "README.md").read_text() == "mine"
    assert [each.name for each in (here / "pets").iterdir()] == ["README.md"]


def test_a_folder_must_be_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init"]) == 2
    assert "missing key 'folder'" in capsys.readouterr().err


# cnntrain config cp


@pytest.mark.no_cover
def test_a_yaml_of_ours_is_copied_out_and_comes_before_ours(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "cp", "optim/sgd"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "configs/optim/sgd.yaml"
    copied = here / "configs" / "optim" / "sgd.yaml"
    assert copied.read_bytes() == (builtin_dir() / "optim" / "sgd.yaml").read_bytes()
    copied.write_text(copied.read_text().replace("lr: 0.05", "lr: 0.77"))
    assert cli.main(["--cfg", "job"]) == 0
    assert "lr: 0.77" in capsys.readouterr().out
    assert cli.main(["config", "cp", "optim/sgd"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "cnntrain: configs/optim/sgd.yaml is there already"


def test_every_yaml_works_as_a_copy(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = ("data", "augment", "optim", "schedule", "transfer", "trainer", "task")
    for group in groups:
        for file in sorted((builtin_dir() / group).glob("*.yaml")):
            Config("cp", f"{group}/{file.stem}", "configs").execute([])
    capsys.readouterr()
    assert cli.main(["data=cifar10", "transfer=gradual", "schedule=cosine", "augment=flip_crop", "--cfg", "job"]) == 0


def test_a_wrong_name_gets_the_nearest_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "cp", "optim/sdg"]) == 2
    assert capsys.readouterr().err.startswith(
        "cnntrain: what=optim/sdg is no <group>/<option> of ours; did you mean 'optim/sgd'"
    )
    assert not (here / "configs").exists()
    assert cli.main(["config", "move", "optim/sgd"]) == 2
    assert "action=move must be one of cp" in capsys.readouterr().err
