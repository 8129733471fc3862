"""What strangers send, what kills, crowds and long use do: nothing of it may have what it would like to.

Payloads: answers that would like to fetch something, in a real browser, see tests.payloads. Counted are requests to
anything but the server itself; with the policy off for the renderer, and with the renderer off for the policy.

Inputs, kills, tabs, questions: see the modules of these names in tests.abuse.
"""

from collections.abc import Iterator

from tests.abuse import inputs, kills, questions, tabs
from tests.bench.table import Row
from tests.browser.conftest import ARGUMENTS
from tests.payloads import reached

_KNOWN = 300  # that are enough to know that something would be heard
PARTS = ("payloads", "inputs", "kills", "tabs", "questions")


def rows(
    *,
    texts: int = 10_000,
    times: int = 300,
    tabs_at_once: int = 20,
    seconds: float = 600.0,
    asked: int = 1_000,
    parts: str = ",".join(PARTS),
) -> Iterator[Row]:
    """texts: how many payloads, and how many inputs. times: how many kills. tabs_at_once, seconds: how many tabs, for
    how long. asked: how many questions to one process. parts: which of these, by their names."""
    every = {
        "payloads": lambda: _payloads(texts),
        "inputs": lambda: inputs.rows(texts),
        "kills": lambda: kills.rows(times),
        "tabs": lambda: tabs.rows(tabs_at_once, seconds),
        "questions": lambda: questions.rows(asked),
    }
    for part in parts.split(","):
        yield from every[part]()


def _payloads(texts: int) -> Iterator[Row]:
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
