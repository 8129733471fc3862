"""Rentals as they lie in a CSV file: kind, out, back, member."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pedal.pricing import price


@dataclass(frozen=True)
class Rental:
    """One bike that went out and came back."""

    kind: str
    out: datetime
    back: datetime
    member: bool

    @property
    def amount(self) -> int:
        """What it brought in, in cents."""
        return price(self.kind, self.out, self.back, member=self.member)


def read_rentals(path: Path) -> Iterator[Rental]:
    """All rentals of a file. A line that cannot be read is an error with its number, not left out in silence."""
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                yield Rental(
                    kind=row["kind"],
                    out=datetime.fromisoformat(row["out"]),
                    back=datetime.fromisoformat(row["back"]),
                    member=row["member"] == "yes",
                )
            except (KeyError, ValueError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
