"""Sources that were read before, as records that can be kept, and back: without their text and their files' bytes,
which are read again if somebody asks for them.

Every other field of a source is in its record, whatever fields there are. Which records are to be believed is left to
`readings`.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from operator import attrgetter, itemgetter
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from engine.corpus.source import KeptFile, Skipped, Source
from engine.errors import SourceRefused

GIVEN = ("path", "folder", "origin", "volatility")  # set by who reads, every time
_LATER = ("text",)
_PLAIN = (str, int, float, bool)
_set = object.__setattr__  # they are frozen


class UnreadSource(Source):
    """A source that is known from an earlier reading. Its text and its file are read when they are asked for.

    Errors of `text`, and of its kept file's `data`: SourceRefused where there is another file by then.
    """

    __slots__ = ("_is_wordless", "_n_characters", "_text", "_whole")
    _is_wordless: bool
    _n_characters: int
    _text: str | None
    _whole: Callable[[], Source]

    @property
    def text(self) -> str:
        if self._text is None:
            _set(self, "_text", self._whole().text)
        return self._text or ""

    @text.setter
    def text(self, text: str | None) -> None:
        _set(self, "_text", text)

    @property
    def n_characters(self) -> int:
        return self._n_characters if self._text is None else len(self._text)

    @property
    def is_wordless(self) -> bool:
        return self._is_wordless if self._text is None else super().is_wordless

    def changed(self, **changes: Any) -> Source:
        if self._text is not None:
            return replace(self, **changes)
        other = object.__new__(UnreadSource)
        for name in _SLOTS:
            _set(other, name, changes[name] if name in changes else getattr(self, name))
        return other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and _compared(self, Source) == _compared(other, Source)

    __hash__ = Source.__hash__


class UnreadFile(KeptFile):
    """What the pictures of such a source are drawn from."""

    __slots__ = ("_data", "_whole")
    _data: bytes | None
    _whole: Callable[[], KeptFile]

    @property
    def data(self) -> bytes:
        if self._data is None:
            _set(self, "_data", self._whole().data)
        return self._data or b""

    @data.setter
    def data(self, data: bytes | None) -> None:
        _set(self, "_data", data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeptFile) and _compared(self, KeptFile) == _compared(other, KeptFile)

    __hash__ = KeptFile.__hash__


_SLOTS = (*(each.name for each in fields(Source) if each.name not in _LATER), *UnreadSource.__slots__)


def _compared(value: Any, kind: type[Any]) -> list[Any]:
    return [getattr(value, each.name) for each in fields(kind) if each.compare]


def packed(found: Source | Skipped) -> dict[str, Any]:
    """The record: what JSON can hold. Raises TypeError for a field of a kind that is not known here.

    Text is in it only where pictures stand in it: what is between them is counted piece by piece.
    """
    if isinstance(found, Skipped):
        return {"skipped": _plain_fields(found)}
    record = {"source": _plain_fields(found), "n_characters": found.n_characters, "wordless": found.is_wordless}
    return record | {"text": found.text} if found.pictures else record


def unpacked(record: Mapping[str, Any], path: str, read: Callable[[], Source | Skipped]) -> Source | Skipped:
    """What was read, under this path. read: reads the file again.

    Raises ValueError, TypeError or KeyError for what is no record.
    """
    if "skipped" in record:
        return Skipped(path=path, **_fields_from(record["skipped"], Skipped, dict))

    def whole() -> Source:
        found = read()
        if isinstance(found, Source) and found.digest == source.digest:
            return found
        raise SourceRefused(f"{path} was changed while it was counted.", "Try again.")

    text: Any = _typed(record["text"], str) if "text" in record else None
    source = UnreadSource(path=path, text=text, **_fields_from(record["source"], Source, whole))
    for name, value in (
        ("_n_characters", _typed(record["n_characters"], int)),
        ("_is_wordless", _typed(record["wordless"], bool)),
        ("_whole", whole),
    ):
        _set(source, name, value)
    return source


def _plain_fields(value: Any) -> dict[str, Any]:
    """Those that are not as they are anyway. Bytes are never among them."""
    kind: Any = type(value)
    plain = {}
    for name, default in _kept_fields(kind):
        if (held := getattr(value, name)) != default:
            plain[name] = _plain(held)
    return plain


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value):
        return _plain_fields(value)
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def _fields_from(record: Mapping[str, Any], kind: Any, whole: Callable[[], Any]) -> dict[str, Any]:
    """whole: gives the same value with all that it has."""
    kinds = _kinds(kind)
    values = {}
    for name, value in _typed(record, dict).items():
        kind_of_it = kinds[name]
        values[name] = (
            _typed(value, kind_of_it)
            if kind_of_it in _PLAIN
            else _from_plain(value, kind_of_it, _then(whole, attrgetter(name)))
        )
    return values


def _from_plain(value: Any, kind: Any, whole: Callable[[], Any]) -> Any:
    if kind in _PLAIN:
        return _typed(value, kind)
    if get_origin(kind) in (Union, UnionType):
        if value is None and NoneType in get_args(kind):
            return None
        return _from_plain(value, next(each for each in get_args(kind) if each is not NoneType), whole)
    if get_origin(kind) is tuple:
        each_kind = get_args(kind)[0]
        return tuple(
            _from_plain(each, each_kind, _then(whole, itemgetter(at))) for at, each in enumerate(_typed(value, list))
        )
    if issubclass(kind, Enum):
        return kind(value)
    values = _fields_from(_typed(value, dict), kind, whole)
    if kind is not KeptFile:
        return kind(**values)
    later: Any = None
    file = UnreadFile(data=later, **values)
    _set(file, "_whole", whole)
    return file


def _then(whole: Callable[[], Any], part: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: part(whole())


def _typed(value: Any, kind: type[Any]) -> Any:
    if isinstance(value, kind) or (kind is float and isinstance(value, int)):
        return value
    raise ValueError(f"{value!r} is no {kind.__name__}")


@cache
def _kept_fields(kind: Any) -> tuple[tuple[str, object], ...]:
    """Their names and defaults; MISSING for none, which nothing equals."""
    kinds, left_out = _kinds(kind), (*GIVEN, *_LATER)
    kept = [each for each in fields(kind) if each.name not in left_out and kinds[each.name] is not bytes]
    return tuple((each.name, each.default) for each in kept)


@cache
def _kinds(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)
