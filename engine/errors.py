"""Every error that Longdesk raises on purpose.

    LongdeskError
    ├── UsageError          the call itself is off: a flag, a name, a path that is not there
    ├── DoesNotFit          the window or the memory is too small; raised before anything runs
    ├── InputRefused        what was given cannot be used
    │   ├── SourceRefused   a file, folder or archive
    │   └── ModelRefused    a GGUF
    ├── EngineFailed        it broke while running
    │   └── EngineDied      the engine's child process ended
    ├── SessionBusy         another process is answering in this session
    ├── Cancelled           the user stopped it
    └── storage.schema.StorageFailed   the database cannot be opened, read or written

A message states the fact and, in `remedy`, what to do about it. They are caught only at the doors (app/), which
turn them into a sentence and an exit code; nothing below prints or exits.
"""


class LongdeskError(Exception):
    """The root. `str(error)` is one or two whole sentences that a user can read: the fact, then the remedy."""

    def __init__(self, fact: str, remedy: str = "") -> None:
        super().__init__(fact, remedy)
        self.fact = fact
        self.remedy = remedy

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


class SessionBusy(LongdeskError):
    """Another process is answering in this session; two writers would lose turns."""


class Cancelled(LongdeskError):
    """The user stopped it."""
