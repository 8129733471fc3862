"""Every error that Longdesk raises on purpose.

    LongdeskError
    ├── UsageError          the call itself is off: a flag, a name, a path that is not there
    ├── DoesNotFit          the window or the memory is too small; raised before anything runs
    ├── InputRefused        what was given cannot be used
    │   ├── SourceRefused   a file, folder or archive
    │   └── ModelRefused    a GGUF
    ├── EngineFailed        it broke while running
    │   ├── EngineDied      the engine's child process ended
    │   │   └── EngineKilled  from outside, or by us since it stood still: it may work the next time
    │   ├── EngineAway      a server that cannot be reached just now, or has no time
    │   └── EngineSpoiled   what it computes is no number: nothing of its KV cache may be used
    ├── SessionBusy         another process is answering in this session
    ├── Cancelled           the user stopped it
    └── storage.schema.StorageFailed   the database cannot be opened, read or written
        └── storage.schema.StorageFull   its disk is full

A message states the fact and, in `remedy`, what to do about it. They are caught only at the doors (app/), which
turn them into a sentence and an exit code; nothing below prints or exits.

No message holds a key, whoever worded it: each goes through `redacted`, and what else the doors show of an error of a
library or a server.
"""

import errno
import re
from urllib.parse import quote

MAKE_ROOM = "Free some space; `longdesk snapshots prune --all` and `longdesk sessions delete ID` free what is kept."
STANDS_FOR_IT = "[key]"
_LEAST = 6  # characters: what is shorter is no key, and stands in too many words
_SECRETS: set[str] = set()
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_SECRET_NAMES = r"[\w.-]*(?:key|token|secret|passw(?:or)?d|pwd|auth|credential|signature)[\w.-]*"
_RULES = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#\"'<>]*@", re.IGNORECASE), rf"\1{STANDS_FOR_IT}@"),
    (re.compile(rf"([?&;]{_SECRET_NAMES}=)[^\s&#\"'<>]+", re.IGNORECASE), rf"\1{STANDS_FOR_IT}"),
    (
        re.compile(
            r"((?:authorization|(?:x-)?api-key)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"',}]+",
            re.IGNORECASE,
        ),
        rf"\1{STANDS_FOR_IT}",
    ),
    (re.compile(r"(\bBearer\s+)(?=\S*\d)[\w.~+/=-]{12,}", re.IGNORECASE), rf"\1{STANDS_FOR_IT}"),
)


def keep_secret(secret: str) -> None:
    """From now on, nothing that goes through `redacted` shows this."""
    if len(secret) >= _LEAST:
        _SECRETS.update({secret, quote(secret, safe=""), repr(secret)[1:-1]})


def redacted(text: str) -> str:
    """A text without keys: those that are in use, and what stands where keys and passwords stand."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, STANDS_FOR_IT)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


def _escaped(found: re.Match[str]) -> str:
    """What names from files may hold: signs that no screen shows, that turn the writing round, that are no text."""
    return repr(found[0])[1:-1]


class LongdeskError(Exception):
    """The root. `str(error)` is one or two whole sentences that a user can read: the fact, then the remedy."""

    def __init__(self, fact: str, remedy: str = "") -> None:
        self.fact, self.remedy = _UNSHOWN.sub(_escaped, redacted(fact)), _UNSHOWN.sub(_escaped, redacted(remedy))
        super().__init__(self.fact, self.remedy)

    def __str__(self) -> str:
        return f"{self.fact} {self.remedy}".strip()


class UsageError(LongdeskError):
    """The call itself is off: an unknown value, a path that does not exist, a part that is not built yet."""


class DoesNotFit(LongdeskError):
    """Prompt and reply exceed the window, or the model and its KV cache exceed the memory that is free now."""


class InputRefused(LongdeskError):
    """What was given cannot be used."""


class SourceRefused(InputRefused):
    """A file, folder or archive of the corpus cannot be read, or nothing readable is left of it."""


class ModelRefused(InputRefused):
    """A model file is no GGUF, is cut short, or holds what llama.cpp cannot run."""


class EngineFailed(LongdeskError):
    """Loading or decoding failed."""


class EngineDied(EngineFailed):
    """The engine's child process ended before it was done: a crash in llama.cpp, or the kernel's OOM killer."""


class EngineKilled(EngineDied):
    """It was ended from outside, or by us since it stood still. That says nothing of what it was given to do."""


class EngineAway(EngineFailed):
    """A server cannot be reached just now, or takes nothing more. That says nothing of what it can do."""


class EngineSpoiled(EngineFailed):
    """What the model computes is no number (NaN, or infinite). Of its KV cache nothing may be used, nor kept."""


class SessionBusy(LongdeskError):
    """Another process is answering in this session; two writers would lose turns."""


class Cancelled(LongdeskError):
    """The user stopped it."""


def why(error: OSError) -> str:
    """What the system said of a file, as the end of a sentence; a full disk is called full."""
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    if error.errno == errno.EDQUOT:
        return "the quota of the disk is used up"
    return error.strerror or str(error)


def remedy_of(error: OSError, otherwise: str) -> str:
    """What to do about it: room where there is none, else what is given."""
    return MAKE_ROOM if is_full(error) else otherwise


def is_full(error: BaseException) -> bool:
    """Whether something failed since a disk is full, or its quota used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def why_unread(error: Exception) -> str:
    """Why a file of settings cannot be read, for a sentence: no such bytes, no such text, a number of 5,000 digits, or
    brackets within brackets without end."""
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error).rstrip(".")
