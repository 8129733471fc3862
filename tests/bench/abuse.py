"""What strangers send: nothing of it may do what it would like to.

Payloads: answers that would like to fetch something, in a real browser, see tests.payloads. Counted are requests to
anything but the server itself; with the policy off for the renderer, and with the renderer off for the policy.
"""

from collections.abc import Iterator

from tests.bench.table import Row
from tests.browser.conftest import ARGUMENTS
from tests.payloads import reached

_KNOWN = 300  # that are enough to know that something would be heard


def rows(*, texts: int = 10_000) -> Iterator[Row]:
    """texts: how many payloads."""
    for way, name, n in (
        ("renderer", "the renderer alone", texts),
        ("policy", "the policy alone", texts),
        ("open", "neither", min(texts, _KNOWN)),
    ):
        found, _ = reached(way, range(n), ARGUMENTS)
        n_requests = len(found.heard if way == "renderer" else found.requests)  # there, not even a connection
        limit = None if way == "open" else 0.0
        yield Row(f"requests of {n:,} answers, {name}", float(n_requests), float(n), "", limit)
        assert way != "open" or n_requests, "nothing would be heard"
