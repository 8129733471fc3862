"""The console script's first step: Ctrl-C while Python still imports is a quiet 130, not a traceback."""

import os
import signal


def main() -> None:
    """Runs the command line; see app.cli."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))  # nothing is open yet; app.cli sets its own
    from app.cli import main as run

    run()
