"""The tariff of 2025: rates in cents. See tariff-2025.pdf; change both together."""

from dataclasses import dataclass

GRACE_MINUTES = 15  # a bike that comes back this late costs no further half hour
DAY_HOURS = 24
LATE_FEE = 500  # once, for a bike that comes back after closing time
CLOSING_HOUR = 19
MEMBER_DISCOUNT = 0.10


@dataclass(frozen=True)
class Rate:
    """What one kind of bike costs. half_hour and day are in cents; deposit is held, not charged."""

    half_hour: int
    day: int
    deposit: int


RATES = {
    "city": Rate(half_hour=250, day=1800, deposit=5000),
    "cargo": Rate(half_hour=450, day=3600, deposit=15000),
    "electric": Rate(half_hour=600, day=4200, deposit=20000),
}


def rate_of(kind: str) -> Rate:
    """The rate of a kind of bike; says which kinds there are when it does not know one."""
    try:
        return RATES[kind]
    except KeyError:
        raise ValueError(f"no bike is called {kind!r}; there are {', '.join(RATES)}") from None
