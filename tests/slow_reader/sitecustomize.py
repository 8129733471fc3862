"""On PYTHONPATH: the page that this Python serves is answered by SlowReader."""

import sys
from contextlib import suppress

with suppress(ImportError):  # a Python has one sitecustomize
    import offline  # noqa: F401

if "app.server" in sys.orig_argv:
    from app import desk
    from tests.slow_reader import answers

    desk.Engines = answers(desk.Engines)  # type: ignore
