"""A folder of clips, each a folder of its frames as image files, with one folder a class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.core.limits import Count
from cnntrain.data.imagefolder import ClassFolders, ImageFolder

if TYPE_CHECKING:
    from cnntrain.data.sets.files import Show
    from cnntrain.data.sets.listing import Sample


@dataclass(frozen=True)
class Frames(ImageFolder):
    """``root/train/<class>/<clip>/0001.jpg`` and so on, or ``root/<class>/<clip>/0001.jpg``; a clip's frames are in the
    order of their names, and have one size."""

    dimensions = 3

    frames: (
        Count | None
    )  # that the network sees, from the middles of as many stretches; null: as many as it is made for

    @property
    def clip_length(self) -> int | None:
        return self.frames

    def _folders(self) -> ClassFolders:
        return _Clips(self._path(), skips=self.on_bad == "skip")

    def _show(self, folder: ClassFolders) -> Show:
        from cnntrain.data.sets.clips import ClipImages

        return lambda samples: ClipImages(str(folder.root), samples.ids, self.reading)


class _Clips(ClassFolders):
    def _of_class(self, folder: Path, empty: list[str]) -> list[Sample]:
        """The clips in a class's folder: folders with image files."""
        from cnntrain.data.sets.clips import frames_in
        from cnntrain.data.sets.listing import Sample

        clips: list[Sample] = []
        for entry in self._entries(folder, hidden=self.left_out):
            names = list(frames_in(entry.path)) if entry.is_dir() else []
            if not names:
                self.left_out["that are no folders of frames"] += 1
                continue
            status = [os.stat(os.path.join(entry.path, each)) for each in names]
            own = os.stat(entry.path)
            id_ = Path(entry.path).relative_to(self.root).as_posix()
            size, modified = sum(each.st_size for each in status), max(each.st_mtime_ns for each in status)
            clips.append(Sample(id_, folder.name, size, modified, (own.st_dev, own.st_ino)))
        if not clips:
            empty.append(folder.name)
        return sorted(clips)
