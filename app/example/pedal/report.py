"""A month in numbers, as the owners read it on the first of the next."""

from collections import Counter
from collections.abc import Iterable

from pedal.rentals import Rental


def report(rentals: Iterable[Rental]) -> str:
    """One line for each kind of bike, then the sum. Deposits are not income and do not appear."""
    n_rentals: Counter[str] = Counter()
    income: Counter[str] = Counter()
    for rental in rentals:
        n_rentals[rental.kind] += 1
        income[rental.kind] += rental.amount
    lines = [f"{kind:<10}{n_rentals[kind]:>6}{euros(income[kind]):>12}" for kind in sorted(n_rentals)]
    lines.append(f"{'all':<10}{n_rentals.total():>6}{euros(income.total()):>12}")
    return "\n".join(lines)


def euros(cents: int) -> str:
    """1234 as 12.34."""
    return f"{cents // 100:,}.{cents % 100:02d}"
