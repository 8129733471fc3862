"""Which chat template lays a model's prompts out: a file of the user's, and what is said of the one that is used.

Values, and reading that file. What templates are and how they render is left to `template`.
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import ModelRefused, UsageError

_MOST_BYTES = 1 << 20  # of a template's file, as of one in a GGUF
_MOST_REASON = 300


@dataclass(frozen=True, slots=True)
class OwnTemplate:
    """A chat template that the user chose in place of a model's own. name: its file's. model: the --model value that
    it was chosen for, '' for any."""

    name: str
    source: str = field(repr=False)
    model: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """Which chat template lays a model's prompts out.

    used: 'model' for its own, 'file' for the user's, 'plain' for the one that stands in, 'engine' where an engine that
    is elsewhere does it. name: the file's, or of those that the model brings, where they have names. note: what is to
    be known of that, in sentences, '' for nothing. digest: hex, of its source. fault: why the model's own does not
    render, with its line, '' where it does or there is none. earlier: 'kept' or 'dropped', what becomes of thoughts
    once they are history; '' for one that speaks of none. begins: its generation prompt opens a thought. switch: the
    variable, or the words, that turn thinking on and off. thinks: a model thinks that is asked with it, where nothing
    is said.
    """

    used: str = "engine"
    name: str = ""
    note: str = ""
    digest: str = ""
    fault: str = ""
    earlier: str = ""
    begins: bool = False
    switch: str = ""
    thinks: bool = False

    @property
    def on_thinking(self) -> str:
        """What it does with thoughts, as clauses; '' for one that speaks of none."""
        if not self.earlier:
            return ""
        begins = ", its generation prompt opens one" if self.begins else ""
        turn = "turn" if " and " in self.switch else "turns"
        switch = f", {self.switch} {turn} them on and off" if self.switch else ""
        return f"earlier thoughts are {self.earlier}{begins}{switch}"

    def unswitched(self, thinking: str) -> str:
        """A sentence where nothing in it turns thinking on or off as it is asked for, see Sampling.thinking."""
        if self.used == "engine" or self.switch or thinking not in ("on", "off", "0"):
            return ""
        if thinking == "on":
            then = "the model thinks if it does of itself"
        else:
            then = "should the model think all the same, it is made to answer where it begins to"
        return f"The chat template has no switch for thinking: {then}."

    def notes(self, thinking: str) -> tuple[str, ...]:
        """Sentences on it where it is used, and asked to think so."""
        return tuple(filter(None, (self.note, self.unswitched(thinking))))

    def to_json(self) -> dict[str, Any]:
        """As documents of the command line have it."""
        return {
            "used": self.used,
            "name": self.name or None,
            "fault": self.fault or None,
            "note": self.note or None,
            "thinking": {"earlier": self.earlier, "begins": self.begins, "switch": self.switch or None}
            if self.earlier
            else None,
        }


def own_template(path: Path) -> OwnTemplate:
    """A file of the user's. Raises UsageError where there is none to read, ModelRefused for what is no template."""
    remedy = "Name a file that holds a chat template in Jinja, such as a model's chat_template.jinja."
    if not os.path.isfile(path):  # opening a named pipe would wait for a writer
        other = "is not a regular file" if os.path.exists(path) else "is not there"
        what = "is a folder" if os.path.isdir(path) else other
        raise UsageError(f"The chat template {path} {what}.", remedy)
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ModelRefused(
            f"The chat template {path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from None
    try:
        source = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ModelRefused(f"The chat template {path} is not text in UTF-8.", remedy) from None
    if len(raw) > _MOST_BYTES or not source.strip():
        what = f"is larger than {_MOST_BYTES >> 20} MiB" if source.strip() else "is empty"
        raise ModelRefused(f"The chat template {path} {what}.", remedy)
    return OwnTemplate(one_line(path.name), source)


def one_line(message: str) -> str:
    """A stranger's message, or name, as one line that a terminal can be shown."""
    line = " ".join(message[: 4 * _MOST_REASON].split())
    return "".join(character if character.isprintable() else "\ufffd" for character in line)[:_MOST_REASON].rstrip(". ")
