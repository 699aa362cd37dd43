"""Numbers with units, as they are typed and as people read them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from math import isfinite

COUNTS = {"K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def count_of(text: str) -> float | None:
    """25M -> 25,000,000; None for what is no such number."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in COUNTS else (text, "")
    return _product(number, COUNTS.get(unit, 1))


def bytes_of(text: str) -> int | None:
    """8GiB -> 8,589,934,592; None for what is no such size."""
    number = text.rstrip("KMGTiB")
    unit = text[len(number) :]
    size = _product(number, BYTES[unit]) if unit in BYTES else None
    return None if size is None else round(size)


def _product(number: str, unit: int) -> float | None:
    try:
        value = Decimal(number) * unit  # 4.1 * 1e9 is less than 4.1e9 in floats
    except InvalidOperation:
        return None
    if not value.is_finite() or value < 0 or not isfinite(float(value)):
        return None
    return float(value)


def in_bytes(size: float) -> str:
    """1536 is 1.5 KiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


def in_counts(count: int) -> str:
    """25557032 is 25.56 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return str(count)
