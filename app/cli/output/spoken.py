"""An answer's text on standard output, as it comes.

What may turn out to be a thought is shown on a terminal all the same, and said to have been one if it was. A file or
another program is to have the answer alone: there it waits until that is known.
"""

import sys

import click

from app.cli.terminal import harmless
from engine.backend import Text

_WAS_THOUGHT = "What stands above was a thought: its end came, and its beginning never did. The answer:"


class Spoken:
    """One answer's."""

    def __init__(self) -> None:
        self._waits = ""
        self._is_seen = sys.stdout.isatty()
        self._has_said = False

    def begin(self, text: str) -> None:
        """What a reply that goes on says already, so that all of it is printed."""
        self._say(text, waits=not self._is_seen)

    def add(self, event: Text) -> None:
        """The next piece of the answer."""
        self._say(event.text, waits=event.may_be_thought and not self._is_seen)

    def take_back(self) -> None:
        """What came so far was a thought."""
        self._waits = ""
        if self._has_said:
            self._has_said = False
            click.echo()
            click.echo(_WAS_THOUGHT, err=True)

    def end(self) -> None:
        """No more comes: what waits is the answer's."""
        self._say("", waits=False)

    def _say(self, text: str, *, waits: bool) -> None:
        self._waits += text
        if self._waits and not waits:
            click.echo(harmless(self._waits), nl=False, color=True)
            self._waits, self._has_said = "", True
