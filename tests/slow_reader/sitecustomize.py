"""On PYTHONPATH: the page that this Python serves is answered by SlowReader."""

import sys

if "app.server" in sys.orig_argv:
    from app import desk
    from tests.slow_reader import SlowReader

    _Engines, _reader = desk.Engines, SlowReader()
    desk.Engines = lambda *given, **named: _Engines(*given, **{**named, "backend": _reader})  # type: ignore
