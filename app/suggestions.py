"""The example that a newcomer begins with, and questions about it that even the starter model answers rightly.

tests/app/test_suggestions.py asks them. Each file of the example is shorter than the one before it, by path: with or
without git, as long as one commit has changed them all, they then stand in a prompt in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from storage.records import SourceLink

EXAMPLE = Path(__file__).resolve().parent / "example"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A question about the example. answers: the words that a right answer holds, one of these ways."""

    question: str
    answers: tuple[str, ...]


# Found by trying, with SmolLM2-135M-Instruct Q4_1 at temperature 0: "what is the X of Y?", where one file says "the X
# of Y is Z" and none says much that is like it. Alone and after each other in any order, no token of the answers was
# less than 0.65 ahead of the next likely one, and what a batch's shape changes in the logits is under 0.04.
SUGGESTIONS = (
    Suggestion("What is the name of the shop dog?", ("name of the shop dog is Biscuit",)),
    Suggestion("What is the rent of the boathouse?", ("rent of the boathouse is 640 euros",)),
    Suggestion(
        "What is the grace period of a hire?",
        ("grace period of a hire is ten minutes", "grace period of a hire is 10 minutes"),
    ),
)


def holds_example(links: Sequence[SourceLink]) -> bool:
    """Whether these sources are the example's, all of them are sent, and there are no others."""
    return bool(links) and all(link.enabled for link in links) and {link.origin for link in links} == _origins()


@cache
def _origins() -> frozenset[str]:
    """Where the example's files lie."""
    files = (path for path in EXAMPLE.rglob("*") if path.is_file())
    return frozenset(str(path) for path in files if "__pycache__" not in path.parts)  # there once it was run
