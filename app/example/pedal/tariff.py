"""What a hire costs, and its limits."""

from dataclasses import dataclass

GRACE_MINUTES = 10  # the grace period of a hire is ten minutes
CLOSING_HOUR = 19
LATE_FEE = 500


@dataclass(frozen=True)
class Rate:
    """What one kind of bike costs, in cents."""

    half_hour: int
    day: int


RATES = {
    "city": Rate(half_hour=250, day=1800),
    "cargo": Rate(half_hour=450, day=3600),
    "electric": Rate(half_hour=600, day=4200),
}
