"""What cannot be deleted is named."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from cnntrain.commands.cache import Cache
from cnntrain.core.errors import InputError
from cnntrain.core.store import About, Entry

KEY = "ab" * 32


@pytest.mark.parametrize("reason", [errno.ENOENT, errno.EROFS])
def test_an_entry_that_cannot_be_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    about = {"model": "net", "data": "set", "part": "train", "cut": ["pool"], "views": 1}
    entry = Entry(KEY, [(5, 3)], [torch.float32], about)
    unfinished = entry.unfinished(tmp_path, "1a", node=0)
    entry.make_files(unfinished)
    entry.publish(unfinished, tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(reason, os.strerror(reason), "meta.json")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    command = Cache(cache_dir=str(tmp_path), older_than=None, clear=True, format="table")
    if reason == errno.ENOENT:  # another process has deleted it
        command.execute([])
    else:
        with pytest.raises(InputError, match=rf"^cannot delete {tmp_path / KEY}: Read-only file system$"):
            command.execute([])


def test_images_and_activations_are_listed_and_deleted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for kind, model, cut in (("activations", "net", ["pool"]), ("images", None, [])):
        about: About = {"model": model, "data": "set", "part": "train", "cut": cut, "views": 1}
        root = tmp_path / "cnntrain" / kind
        entry = Entry(KEY, [(5, 3)], [torch.float32], about)
        unfinished = entry.unfinished(root, "1a", node=0)
        entry.make_files(unfinished)
        entry.publish(unfinished, root)
    Cache(cache_dir=None, older_than=None, clear=False, format="json").execute([])
    assert [each["model"] for each in json.loads(capsys.readouterr().out)] == ["net", None]
    Cache(cache_dir=None, older_than=None, clear=False, format="table").execute([])
    assert "(images)" in capsys.readouterr().out
    Cache(cache_dir=None, older_than=None, clear=True, format="table").execute([])
    assert "deleted 2 entries, 120 B" in capsys.readouterr().out
    assert not list(tmp_path.rglob("meta.json"))
