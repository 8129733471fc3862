"""The console script's first step and its last: Ctrl-C while Python still imports is a quiet 130, not a traceback, and
what a command held is not taken apart piece by piece at its end."""

import gc
import os
import signal

_MANY = 10_000  # objects: what is imported stays, and looking through it for cycles takes a tenth of a start


def main() -> None:
    """Runs the command line; see app.cli."""
    gc.set_threshold(_MANY, *gc.get_threshold()[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))  # nothing is open yet; app.cli sets its own
    from app.cli import main as run
    from app.cli.signals import end_at_once

    try:
        run()
    except SystemExit as ended:
        if isinstance(ended.code, int):
            end_at_once(ended.code)
        raise
