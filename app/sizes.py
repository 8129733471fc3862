"""Numbers as people write and read them: 128K tokens, 7.2 GiB, 1 min 5 s, $0.031, images 3–8."""

import re
from math import floor, log10

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmg]?)\s*$", re.IGNORECASE)
_BYTES = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*$", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def parse_tokens(text: str) -> int:
    """4096, 4K, 128k, 1M or 10M as tokens; K is 1,024, as windows are counted. Raises ValueError."""
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no number of tokens; write 4096, 128K or 1M.")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def parse_bytes(text: str) -> int:
    """4096, 500M, 20G, 20 GiB or 1.5T as bytes, in binary units as they are shown. Raises ValueError."""
    match = _BYTES.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no size; write 500M, 20G or 1T.")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def show_tokens(n_tokens: int) -> str:
    """4K, 128K, 1M, 10M where it comes out even, else the number: 300,000."""
    for unit, factor in (("M", 1024**2), ("K", 1024)):
        if n_tokens >= factor and n_tokens % factor == 0:
            return f"{n_tokens // factor:,}{unit}"
    return f"{n_tokens:,}"


def show_bytes(n_bytes: float) -> str:
    """Binary units, one decimal from KiB on: 512 B, 7.2 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(n_bytes) < 1024:
            return f"{n_bytes:,.0f} {unit}" if unit == "B" else f"{n_bytes:,.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.1f} TiB"


def show_seconds(seconds: float) -> str:
    """12 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def show_usd(dollars: float) -> str:
    """Two digits that say something: $12.40, $0.031, $0.00012."""
    if dollars >= 0.1 or not dollars:
        return f"${dollars:,.2f}"
    return f"${dollars:.{1 - floor(log10(dollars)) if dollars > 0 else 2}f}"


def name_of(first_number: int, n_pictures: int) -> str:
    """ "image 2", "images 3–8"."""
    if n_pictures == 1:
        return f"image {first_number}"
    return f"images {first_number}–{first_number + n_pictures - 1}"
