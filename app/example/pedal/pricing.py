"""From two times to an amount in cents."""

from datetime import datetime, timedelta
from math import ceil

from pedal.tariff import CLOSING_HOUR, DAY_HOURS, GRACE_MINUTES, LATE_FEE, MEMBER_DISCOUNT, Rate, rate_of


def price(kind: str, out: datetime, back: datetime, *, member: bool = False) -> int:
    """What a customer owes. Every day that was begun costs at most the day's rate."""
    if back < out:
        raise ValueError("the bike came back before it went out")
    rate = rate_of(kind)
    amount = hire(rate, back - out)
    if member:
        amount = round(amount * (1 - MEMBER_DISCOUNT))
    return amount + late_fee(back)


def hire(rate: Rate, duration: timedelta) -> int:
    """Whole days at the day's rate, the rest by half hours, never more than another day."""
    days, rest = divmod(duration, timedelta(hours=DAY_HOURS))
    return days * rate.day + min(rate.day, half_hours(rest) * rate.half_hour)


def half_hours(duration: timedelta) -> int:
    """Half hours that were begun; the first is always charged, a later one only after the grace period."""
    minutes = duration.total_seconds() / 60
    if minutes <= 30:
        return 1
    return 1 + max(0, ceil((minutes - 30 - GRACE_MINUTES) / 30))


def late_fee(back: datetime) -> int:
    """The fee for a bike that is put into the night box, since the shop has closed."""
    return LATE_FEE if back.hour >= CLOSING_HOUR else 0
