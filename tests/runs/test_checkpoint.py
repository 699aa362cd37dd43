from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from cnntrain.core import files
from cnntrain.core.digest import digest
from cnntrain.core.errors import InputError, RunError
from cnntrain.runs import checkpoint

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False), st.text(max_size=8)
)


def tensors() -> st.SearchStrategy[torch.Tensor]:
    dtypes = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
    shapes = st.lists(st.integers(0, 3), max_size=3)
    return st.builds(
        lambda shape, dtype, seed: torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(seed)).to(dtype),
        shapes,
        dtypes,
        st.integers(0, 99),
    )


trees = st.recursive(
    st.one_of(scalars, tensors()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equality that looks at types and bits too."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return repr(one) == repr(other)


@pytest.fixture
def state() -> dict[str, Any]:
    return {
        "model": {
            "weight": torch.arange(600.0).reshape(20, 30),
            "count": torch.tensor(3),
            "half": torch.ones(5).half(),
        },
        "ema": None,
        "progress": {"epoch": 2, "best": {"val/top1": 0.75}, "sums": [1.0, 2.5]},
        "classes": ["a", "é"],
    }


@pytest.mark.no_cover
@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=6), trees, max_size=5))
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    content.pop("sha256", None)
    content.pop("format", None)
    path = tmp_path_factory.getbasetemp() / "round.ckpt"
    checkpoint.save(path, content)
    loaded = checkpoint.load(path)
    assert loaded.pop("format") == checkpoint.FORMAT
    assert same(loaded, content)


@pytest.mark.no_cover
@settings(max_examples=300, deadline=None)
@given(trees, trees)
def test_digests_are_equal_exactly_for_equal_content(one: Any, other: Any) -> None:
    assert (digest(one) == digest(other)) == same(one, other)


def test_the_digest_keeps_neighbours_apart() -> None:
    assert digest([1, 23]) != digest([12, 3])
    assert digest({"a": 1, "b": [2]}) != digest({"a": [1], "b": 2})
    assert digest([[1], 2]) != digest([[1, 2]])


def test_the_digest_ignores_the_order_of_keys_and_the_layout_of_tensors() -> None:
    a, b = torch.randn(4, 3), torch.randn(2)
    assert digest({"a": a, "b": b}) == digest({"b": b, "a": a.t().contiguous().t()})
    assert digest({"a": a, "b": b}) != digest({"a": b, "b": a})
    assert digest([a, b]) != digest([b, a])


def test_saving_leaves_no_other_file(tmp_path: Path, state: dict[str, Any]) -> None:
    checkpoint.save(tmp_path / "last.ckpt", state)
    checkpoint.save(tmp_path / "last.ckpt", state)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_crash_before_the_rename_leaves_the_old_file(
    tmp_path: Path, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, state)
    before = path.read_bytes()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt  # as unprepared for it as for SIGKILL: nothing is cleaned up

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, {**state, "epoch": 3})
    assert path.read_bytes() == before
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    files.remove_temporary(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_the_content_is_on_disk_before_it_has_its_name(
    tmp_path: Path, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("replace"), replace(*names)))
    checkpoint.save(tmp_path / "last.ckpt", state)
    assert calls == ["fsync", "replace", "fsync"]


def test_stale_temporary_files_go_and_nothing_else(tmp_path: Path) -> None:
    keep = [".hidden", "x.tmp", "last.ckpt", ".lock"]
    for name in [*keep, ".last.ckpt.123.tmp", ".result.json.9.tmp"]:
        (tmp_path / name).touch()
    files.remove_temporary(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(keep)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_keeps_the_file_written_before(small_disk: Path, state: dict[str, Any]) -> None:
    path = small_disk / "last.ckpt"
    checkpoint.save(path, state)
    with pytest.raises(RunError, match=r"last\.ckpt: No space left on device; the file written before is intact"):
        checkpoint.save(path, {**state, "big": torch.zeros(100_000)})
    assert same(checkpoint.load(path)["model"], state["model"])
    assert [file.name for file in small_disk.iterdir()] == ["last.ckpt"]


def test_a_full_disk_without_a_file_before(small_disk: Path, state: dict[str, Any]) -> None:
    with pytest.raises(RunError) as caught:
        checkpoint.save(small_disk / "last.ckpt", {**state, "big": torch.zeros(100_000)})
    assert str(caught.value).endswith("No space left on device")
    assert list(small_disk.iterdir()) == []


def test_a_missing_folder_is_a_failed_run(tmp_path: Path, state: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="No such file or directory"):
        checkpoint.save(tmp_path / "gone" / "last.ckpt", state)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder: give a file, such as the best\.ckpt in a run's folder"):
        checkpoint.load(tmp_path)
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"image\.png cannot be read as tensors \(it is no file of torch's"):
        checkpoint.load(tmp_path / "image.png")
    with pytest.raises(InputError, match=r"x\.ckpt: there is no such file"):
        checkpoint.load(tmp_path / "x.ckpt")


def attempt(path: Path) -> dict[str, Any] | str:
    """The checkpoint, or what is said of it."""
    try:
        return checkpoint.load(path)
    except InputError as error:
        return str(error)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path, state: dict[str, Any]) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, state)
    whole = path.read_bytes()
    noticed = 0
    for place in range(3, len(whole), max(1, len(whole) // 150)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        loaded = attempt(path)
        if isinstance(loaded, str):
            assert str(path) in loaded
            noticed += 1
        else:  # padding, or zip's own bookkeeping
            loaded.pop("format")
            assert same(loaded, state), place
    assert noticed > 50


def test_a_flipped_byte_in_a_weight_is_named_as_damage(tmp_path: Path, state: dict[str, Any]) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, state)
    whole = bytearray(path.read_bytes())
    place = whole.index(state["model"]["weight"].numpy().tobytes()[:64])
    whole[place + 41] ^= 1
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"last\.ckpt is damaged: its content does not match its checksum"):
        checkpoint.load(path)


@pytest.mark.parametrize("part", [0, 0.01, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, state: dict[str, Any], part: float) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, state)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InputError, match=r"last\.ckpt cannot be read as tensors") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


class Bomb:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_file_is_not_run(tmp_path: Path, write: Any) -> None:
    mark = tmp_path / "ran"
    write({"model": Bomb(mark)}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt cannot be read as tensors"):
        checkpoint.load_tensors(tmp_path / "evil.pt")
    assert not mark.exists()


def test_a_whole_pickled_model_is_not_loaded(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt cannot be read as tensors"):
        checkpoint.load_tensors(tmp_path / "model.pt")


def test_another_kind_of_file_is_not_a_checkpoint(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(InputError, match=r"state\.pt is not a checkpoint of cnntrain"):
        checkpoint.load(tmp_path / "state.pt")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(InputError, match=r"list\.pt holds a list, not a dict of tensors"):
        checkpoint.load(tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("not a checkpoint at all\n")
    with pytest.raises(InputError, match=r"text\.pt cannot be read as tensors"):
        checkpoint.load(tmp_path / "text.pt")


@pytest.mark.parametrize(("number", "writer"), [(1, "an older"), (99, "a newer")])
def test_another_format_is_named(tmp_path: Path, state: dict[str, Any], number: int, writer: str) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, state)
    torch.save({**checkpoint.load_tensors(path), "format": number}, path)
    message = rf"last\.ckpt is of format {number}, which {writer} cnntrain wrote; this one reads {checkpoint.FORMAT}"
    with pytest.raises(InputError, match=message):
        checkpoint.load(path)
    assert checkpoint.is_older(path) is (number == 1)


def test_safetensors_are_read_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"weight": torch.arange(4.0)}, path)
    assert checkpoint.load_tensors(path)["weight"].tolist() == [0, 1, 2, 3]
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match=r"w\.safetensors cannot be read as tensors"):
        checkpoint.load_tensors(path)


def test_a_runs_checkpoint_holds_plain_types_only(tmp_path: Path, make_run: Any) -> None:
    run = make_run("trainer.ema_decay=0.9", "augment=flip_crop", "schedule=plateau", folder=tmp_path / "run")
    run.saver.write(None)

    def check(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                assert type(key) in (str, int), path
                check(each, f"{path}.{key}")
        elif isinstance(value, (list, tuple)):
            for each in value:
                check(each, path)
        else:
            assert value is None or type(value) in (bool, int, float, str, torch.Tensor), (path, type(value))

    state = checkpoint.load(tmp_path / "run" / checkpoint.LAST)
    check(state, "")
    assert not any(key.startswith(("module.", "_orig_mod.")) for key in state["model"])


def test_an_evaluation_takes_the_moving_average_where_there_is_one() -> None:
    own, average = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    assert checkpoint.eval_weights({"model": own, "ema": None}) is own
    assert checkpoint.eval_weights({"model": own, "ema": average}) is average
