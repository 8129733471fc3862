"""`python -m tests.bench [NAME]... [--times N] [--texts N] [--peers FOLDER]... [--model FILE]
[--questions SET] [--parts PART,PART] [--tabs N] [--seconds N] [--asked N]`: runs the benchmarks, and exits with 1 where
a limit is passed.

For those that take them: --times, how often each side is measured; --texts, how many are made; --peers, where other
programs lie; --model, a real one; --questions, which it is asked; --parts, which of a benchmark; --tabs, how many at
once, for --seconds; --asked, how many questions.
"""

import argparse
import sys
import time
from importlib import import_module
from inspect import signature

from tests.bench.table import HEAD

BENCHMARKS = (
    "count",
    "startup",
    "ids",
    "found",
    "evidence",
    "passes",
    "summary",
    "clicks",
    "encodings",
    "limits",
    "storing",
    "runtime",
    "reuse",
    "remote",
    "short",
    "exactness",
    "crash",
    "snapshot",
    "plan",
    "memory",
    "devices",
    "pdf",
    "pages",
    "readers",
    "vision",
    "folder",
    "abuse",
)


def main(arguments: list[str]) -> int:
    """Runs the named benchmarks, or all."""
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME")
    options.add_argument("--times", type=int)
    options.add_argument("--texts", type=int)
    options.add_argument("--peers", action="append")
    options.add_argument("--model")
    options.add_argument("--questions")
    options.add_argument("--parts")
    options.add_argument("--tabs", type=int, dest="tabs_at_once")
    options.add_argument("--seconds", type=float)
    options.add_argument("--asked", type=int)
    given = vars(options.parse_args(arguments))
    names, failed = given.pop("names"), 0
    print(HEAD, flush=True)
    for name in names or BENCHMARKS:
        begun = time.monotonic()
        rows = import_module(f"tests.bench.{name}").rows
        taken = {key: value for key, value in given.items() if value is not None and key in signature(rows).parameters}
        for row in rows(**taken):
            print(row, flush=True)
            failed += not row.holds
        print(f"{name}: {time.monotonic() - begun:,.0f} s", file=sys.stderr, flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
