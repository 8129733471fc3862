"""The command line: a quote for one rental, or the report of a file of them."""

import sys
from datetime import datetime
from pathlib import Path

from pedal.pricing import price
from pedal.rentals import read_rentals
from pedal.report import euros, report


def main(arguments: list[str]) -> int:
    """Runs one command; returns the exit code."""
    match arguments:
        case ["quote", kind, out, back, *rest]:
            amount = price(kind, datetime.fromisoformat(out), datetime.fromisoformat(back), member="--member" in rest)
            print(euros(amount))
        case ["report", path]:
            print(report(read_rentals(Path(path))))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
