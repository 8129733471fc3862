"""`python -m tests.bench [NAME]...`: runs the benchmarks and exits with 1 where a limit is passed."""

import sys
import time
from importlib import import_module

from tests.bench.table import HEAD

BENCHMARKS = (
    "count",
    "startup",
    "encodings",
    "limits",
    "runtime",
    "reuse",
    "short",
    "exactness",
    "crash",
    "snapshot",
    "plan",
    "memory",
    "devices",
    "pdf",
    "pages",
    "vision",
    "folder",
)


def main(names: list[str]) -> int:
    """Runs the named benchmarks, or all."""
    failed = 0
    print(HEAD, flush=True)
    for name in names or BENCHMARKS:
        begun = time.monotonic()
        for row in import_module(f"tests.bench.{name}").rows():
            print(row, flush=True)
            failed += not row.holds
        print(f"{name}: {time.monotonic() - begun:,.0f} s", file=sys.stderr, flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
