"""A folder of clips, each a folder of its frames as image files, with one folder a class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.data.imagefolder import ClassFolders
from cnntrain.data.volumes import Volumes

if TYPE_CHECKING:
    from cnntrain.data.sets.listing import Sample


@dataclass(frozen=True)
class Frames(Volumes):
    """``root/train/<class>/<clip>/0001.jpg`` and so on, or ``root/<class>/<clip>/0001.jpg``; a clip's frames are in the
    order of their names, and have one size."""

    of_files = True

    def _folders(self) -> ClassFolders:
        return _Clips(self._path(), skips=self.on_bad == "skip")


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
