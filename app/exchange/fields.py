"""JSON that a stranger wrote, read field by field: what is missing or of another kind is said with its place."""

from collections.abc import Iterator
from typing import Any

from engine.errors import InputRefused

MOST_NUMBER = 2**53 - 1  # JSON's own: beyond it, other programs would have written another number

_LONGEST_WORD = 200


class Fields:
    """An object and where it stands in the file."""

    def __init__(self, value: Any, where: str = "") -> None:
        self.where = where
        if not isinstance(value, dict):
            raise self.refusal("", "an object")
        self._values: dict[str, Any] = value

    def refusal(self, name: str, wanted: str) -> InputRefused:
        """The error for a field that is not what it should be."""
        place = f"{self.where}.{name}".strip(".") or "the whole"
        return InputRefused(f"This is no export of a Longdesk session: {place} is not {wanted}.", "Export it again.")

    @property
    def all(self) -> dict[str, Any]:
        return self._values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str):
            raise self.refusal(name, "a text")
        return value

    def word(self, name: str) -> str:
        """A short text of characters that can be written anywhere: a digest, a name of an encoding."""
        value = self.text(name)
        if len(value) > _LONGEST_WORD or not value.isprintable():
            raise self.refusal(name, "a short text")
        return value

    def word_or_none(self, name: str) -> str | None:
        return self.word(name) if name in self else None

    def text_or_none(self, name: str) -> str | None:
        return self.text(name) if name in self else None

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        if not isinstance(value, bool):
            raise self.refusal(name, "true or false")
        return value

    def number(self, name: str, *, least: int = 0, most: int = MOST_NUMBER) -> int:
        return self._whole(name, self._values.get(name), least, most)

    def number_or_none(self, name: str, *, least: int = 0, most: int = MOST_NUMBER) -> int | None:
        return self.number(name, least=least, most=most) if name in self else None

    def real_or_none(self, name: str) -> float | None:
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST_NUMBER:
            raise self.refusal(name, "a number")
        return float(value)

    def numbers(self, name: str, *, least: int = 0, most: int = MOST_NUMBER) -> tuple[int, ...]:
        return tuple(self._whole(name, value, least, most) for value in self.list(name))

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.list(name)
        if not all(isinstance(value, str) for value in values):
            raise self.refusal(name, "a list of texts")
        return tuple(values)

    def list(self, name: str) -> list[Any]:
        value = self._values.get(name)
        if not isinstance(value, list):
            raise self.refusal(name, "a list")
        return value

    def object(self, name: str) -> dict[str, Any]:
        return Fields(self._values.get(name), f"{self.where}.{name}".strip("."))._values

    def each(self, name: str) -> Iterator["Fields"]:
        """The objects of a list."""
        for at, value in enumerate(self.list(name)):
            yield Fields(value, f"{self.where}.{name}[{at}]".strip("."))

    def _whole(self, name: str, value: Any, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.refusal(name, f"a whole number from {least:,} to {most:,}")
        return value
