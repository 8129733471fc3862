"""A disk that takes its time over each module of a test's folder: on PYTHONPATH, every Python reads them so."""

import os
import time
from contextlib import suppress

with suppress(ImportError):  # a Python has one sitecustomize
    import offline  # noqa: F401

_SECONDS = 0.002  # a file
_open = os.open


def _slowly(path, *how, **where):  # type: ignore[no-untyped-def]
    if isinstance(path, str) and os.path.basename(path).startswith("module "):
        time.sleep(_SECONDS)
    return _open(path, *how, **where)


os.open = _slowly
