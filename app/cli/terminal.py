"""What reaches a terminal is seen and never obeyed: file names, titles, answers and errors may be anybody's.

A control character that would be obeyed (of an escape sequence, in 7 or 8 bits, or of one that turns the writing
round) is written as what it is: "\\x1b". So are those in JSON, in JSON's own way, by which it stays exact.
"""

import io
import re
import sys
from typing import IO

# line ends and tabs are no harm; a lone return writes over what stands in the line
_OBEYED = re.compile("\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_OVER = re.compile("(?<!^)\r(?![ \r]*$)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """A text for people, with an escape in place of what a terminal would obey."""
    return text if text.isprintable() else _OBEYED.sub(_escape, text)


def harmless_json(text: str) -> str:
    """JSON that says the same, with escapes for what it leaves as it is and a terminal would obey."""
    return text if text.isprintable() else _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def guard_streams() -> None:
    """From now on, what is printed as text is harmless, UTF-8 whatever the locale. Bytes are written as they are."""
    sys.stdout, sys.stderr = _guarded(sys.stdout, _OBEYED), _guarded(sys.stderr, _OVER)


class _Guarded(io.TextIOWrapper):
    """obeyed: what is not written as it is. Progress on standard error begins and ends with a return."""

    obeyed = _OBEYED

    def write(self, text: str) -> int:
        super().write(text if text.isprintable() else self.obeyed.sub(_escape, text))
        return len(text)


def _guarded(stream: IO[str], obeyed: re.Pattern[str]) -> IO[str]:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    is_seen = stream.isatty()
    through = stream.write_through or stream is sys.stderr
    guarded = _Guarded(
        stream.detach(), encoding="utf-8", errors="replace", line_buffering=is_seen or through, write_through=through
    )
    guarded.obeyed = obeyed
    return guarded


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
