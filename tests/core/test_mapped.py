from __future__ import annotations

import mmap
from pathlib import Path

import pytest
import torch

from cnntrain.core import mapped

ROW = 3 * 1000


@pytest.fixture
def rows(tmp_path: Path) -> torch.Tensor:
    """uint8 [20, 3, 1000], of a file."""
    content = torch.randint(0, 256, (20 * ROW,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (tmp_path / "rows").write_bytes(content.numpy().tobytes())
    found = torch.from_file(str(tmp_path / "rows"), shared=False, size=20 * ROW, dtype=torch.uint8)
    assert torch.equal(found, content)
    return found.view(20, 3, 1000)


def test_the_kernel_takes_what_it_is_told_and_the_rows_stay(
    rows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, told = rows.clone(), list[tuple[int, int, int]]()
    advise = mapped._advise

    def heard(address: int, size: int, advice: int) -> bool:
        told.append((address - rows.data_ptr(), size, advice))
        taken = advise(address, size, advice)
        assert taken
        return taken

    monkeypatch.setattr(mapped, "_advise", heard)
    mapped.read_apart(rows)
    mapped.announce(rows, torch.tensor([19, 0, 7]))
    assert told[0] == (0, 20 * ROW, mmap.MADV_RANDOM) and len(told) == 4
    for (start, size, advice), row in zip(told[1:], (19, 0, 7), strict=True):
        assert start % mmap.PAGESIZE == 0 and advice == mmap.MADV_WILLNEED
        assert start <= row * ROW < start + mmap.PAGESIZE and start + size == (row + 1) * ROW
    assert torch.equal(rows, before)
    assert not advise(rows.data_ptr() + 1, ROW, mmap.MADV_RANDOM)  # no page begins there
