"""The headers of a tar file's members, and what is wrong with it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from cnntrain.core.errors import InputError
from cnntrain.core.words import printable

END = 2**20  # bytes: more than the padding of any tar
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def headers(path: Path) -> Iterator[tarfile.TarInfo]:
    """Of all members, in their order.

    Python's reader takes a damaged header for the end, so what follows the last member must be the padding.

    Raises:
        InputError: the file is packed, damaged or incomplete.
    """
    last = "its beginning"
    try:
        with tarfile.open(path, "r:") as tar:
            for each in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # which would grow with the file
                last = each.name
                yield each
            assert tar.fileobj is not None
            tar.fileobj.seek(tar.offset)
            rest = tar.fileobj.read(END)
    except (tarfile.TarError, OSError) as error:
        raise InputError(_damage(path, last, str(error))) from error
    if not rest or rest.strip(b"\0"):
        raise InputError(_damage(path, last, "another archive follows, or damage" if rest else "it has no end"))


def _damage(path: Path, last: str, reason: str) -> str:
    with open(path, "rb") as file:
        start = file.read(8)
    packed = next((name for magic, name in PACKED.items() if start.startswith(magic)), None)
    if packed is not None:
        return f"{path}: is packed by {packed}, and its members have no offsets: unpack it to a plain .tar"
    return f"{path}: is damaged or incomplete after {printable(last)} ({reason}): copy or make it anew"
