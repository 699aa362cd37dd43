from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.core import cgroups


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
    return tmp_path / "cgroup"


def limit(folder: Path, names: tuple[str, str, tuple[str, str]], most: int | str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names[:2], (most, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{names[2][0]} {cached - 1}\n{names[2][1]} 1\n")


def own(mount: Path, *lines: str) -> None:
    (mount.parent / "own").write_text("\n".join(lines) + "\n")


def test_version_2_counts_the_groups_above_and_files_as_free(mount: Path) -> None:
    own(mount, "0::/job/step")
    limit(mount / "job", cgroups.V2, 1000, 700, 300)
    limit(mount / "job/step", cgroups.V2, "max", 700, 300)
    assert cgroups.free_memory() == 600
    limit(mount / "job/step", cgroups.V2, 500, 450, 100)
    assert cgroups.free_memory() == 150
    limit(mount, cgroups.V2, 90, 99, 5)  # of the container
    assert cgroups.free_memory() == 0


def test_version_1_has_a_tree_of_its_own(mount: Path) -> None:
    own(mount, "9:cpu,cpuacct:/x", "4:memory:/docker/id", "0::/")
    limit(mount / "memory", cgroups.V1, 2000, 900, 100)  # as a container sees it, whatever its path is
    assert cgroups.free_memory() == 1200
    limit(mount / "memory/docker/id", cgroups.V1, 1000, 900, 100)
    assert cgroups.free_memory() == 200
    limit(mount.parent, cgroups.V1, 1, 1, 1)  # no group
    assert cgroups.free_memory() == 200


def test_without_limits_there_is_none(mount: Path) -> None:
    assert cgroups.free_memory() is None
    own(mount, "0::/job")
    limit(mount / "job", cgroups.V2, "max", 1, 1)
    assert cgroups.free_memory() is None
