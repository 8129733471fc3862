"""What a JSON document is made of, and the parts that several documents have."""

from collections.abc import Iterable
from typing import Any

from engine.corpus.source import Skipped

Json = dict[str, Any]


def skipped_json(skipped: Iterable[Skipped]) -> list[Json]:
    """What was left out, and why."""
    return [{"path": one.path, "reason": one.reason} for one in skipped]
