"""What strangers send: nothing of it may do what it would like to.

Payloads: answers that would like to fetch something, in a real browser, see tests.payloads. Counted are requests to
anything but the server itself; with the policy off for the renderer, and with the renderer off for the policy.
"""

from collections.abc import Iterator

from tests.bench.table import Row
from tests.browser.conftest import ARGUMENTS
from tests.payloads import reached


def rows(*, texts: int = 10_000) -> Iterator[Row]:
    """texts: how many payloads."""
    numbers = range(texts)
    for way, name in (("renderer", "the renderer alone"), ("policy", "the policy alone"), ("open", "neither")):
        found, n_elements = reached(way, numbers, ARGUMENTS)
        limit = None if way == "open" else 0.0
        n_requests = len(found.heard if way == "renderer" else found.requests)
        yield Row(f"requests of {texts:,} answers, {name}", float(n_requests), float(texts), "", limit)
        if way == "open" and not n_requests:
            raise AssertionError("nothing would be heard")
