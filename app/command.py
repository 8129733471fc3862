"""The console script's first step and its last: Ctrl-C while Python still imports is a quiet 130, not a traceback, and
what a command held is not taken apart piece by piece at its end."""

import os
import signal


def main() -> None:
    """Runs the command line; see app.cli."""
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
