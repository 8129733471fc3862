"""Keeps pypdf and Pillow from writing warnings about ugly files to the terminal; what is wrong with a file is said in a
reason or a note."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()  # the warning filters are the process's own, not a thread's


@contextmanager
def quietly() -> Iterator[None]:
    """No Python warnings and no log lines of pypdf or Pillow inside. One thread at a time."""
    loggers = [logging.getLogger(name) for name in ("pypdf", "PIL")]
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
