"""What a customer owes, in cents: python -m pedal.owed city 2025-06-03T09:10 2025-06-03T11:52"""

import sys
from datetime import datetime, timedelta
from math import ceil

from pedal.tariff import CLOSING_HOUR, GRACE_MINUTES, LATE_FEE, RATES


def owed(kind: str, out: datetime, back: datetime) -> int:
    """When a bike comes back: whole days, half hours, and the fee of a late return."""
    if back < out:
        raise ValueError("the bike came back before it went out")
    rate = RATES[kind]
    days, rest = divmod(back - out, timedelta(hours=24))
    late = LATE_FEE if back.hour >= CLOSING_HOUR else 0
    return days * rate.day + min(rate.day, half_hours(rest) * rate.half_hour) + late


def half_hours(duration: timedelta) -> int:
    """The first half hour is always charged, a later one only after the grace period of ten minutes."""
    minutes = duration.total_seconds() / 60
    return 1 + max(0, ceil((minutes - 30 - GRACE_MINUTES) / 30))


if __name__ == "__main__":
    kind, out, back = sys.argv[1:]
    print(owed(kind, datetime.fromisoformat(out), datetime.fromisoformat(back)))
