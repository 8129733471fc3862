"""Texts in encodings other than UTF-8: how many of them are read wholly right, here and by chardet."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import chardet

from engine.corpus.formats.decoding import decode
from tests.bench.table import Row
from tests.writing import Sample, samples

_MOST_WRONG = {True: 1.0, False: 5.0}  # per cent; of texts of 200 bytes and more, and of shorter ones


def rows() -> Iterator[Row]:
    """A row an encoding, in per cent of its texts; then what is wrong of the long and of the short ones."""
    by_encoding: dict[str, list[Sample]] = defaultdict(list)
    wrong: dict[bool, list[bool]] = defaultdict(list)
    for sample in samples():
        by_encoding[sample.encoding].append(sample)
        wrong[sample.is_long].append(_ours(sample.data) != sample.text)
    for encoding, each in sorted(by_encoding.items()):
        yield Row(f"right in {encoding} ({len(each)} texts)", _right(_ours, each), _right(_theirs, each), "%", None)
    for is_long, found in wrong.items():
        name = "wrong, 200 bytes and more" if is_long else "wrong, 40 to 200 bytes"
        share = 100 * sum(found) / len(found)
        yield Row(f"{name} ({len(found):,} texts)", share, _MOST_WRONG[is_long], "%", 1.0)


def _right(read: Callable[[bytes], str | None], each: list[Sample]) -> float:
    return 100 * sum(read(sample.data) == sample.text for sample in each) / len(each)


def _ours(data: bytes) -> str | None:
    decoded = decode(data)
    return decoded and decoded.text


def _theirs(data: bytes) -> str | None:
    encoding = chardet.detect(data)["encoding"]
    try:
        return data.decode(encoding) if encoding else None
    except (UnicodeError, LookupError):
        return None
