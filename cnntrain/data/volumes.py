"""A folder of volumes in .npy files, with one folder a class."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.core.limits import Count
from cnntrain.data.imagefolder import ClassFolders, ImageFolder

if TYPE_CHECKING:
    from cnntrain.data.sets.files import Show


@dataclass(frozen=True)
class Volumes(ImageFolder):
    """As `imagefolder`, of arrays [frames, height, width] or [frames, height, width, channels] of 8 or 16 bits."""

    dimensions = 3
    of_files = False

    # that the network sees, from the middles of as many stretches; null: as many as it is made for
    frames: Count | None

    @property
    def clip_length(self) -> int | None:
        return self.frames

    def _folders(self) -> ClassFolders:
        return _Arrays(self._path(), skips=self.on_bad == "skip")

    def _show(self, folder: ClassFolders) -> Show:
        from cnntrain.data.sets.clips import ClipImages

        return lambda samples: ClipImages(str(folder.root), samples.ids, self.reading)


class _Arrays(ClassFolders):
    def readable(self) -> Collection[str]:
        return {".npy"}
