"""The console script's first step and its last: Ctrl-C while Python still imports is a quiet 130, not a traceback, and
what a command held is not taken apart piece by piece at its end."""

import gc
import os
import signal
import sys

from app.endings import exit_code, polite_signals

_MANY = 10_000  # objects: what is imported stays, and looking through it for cycles takes a tenth of a start


def main() -> None:
    """Runs the command line; see app.cli."""
    _fill_what_is_closed()
    gc.set_threshold(_MANY, *gc.get_threshold()[1:])
    for number in polite_signals():
        # nothing is open yet; app.cli sets its own
        signal.signal(number, lambda number, _: os._exit(exit_code(number)))
    from app.cli import main as run
    from app.cli.signals import end_at_once

    try:
        run()
    except SystemExit as ended:
        if isinstance(ended.code, int):
            end_at_once(ended.code)
        raise


def _fill_what_is_closed() -> None:
    """Puts something in the place of standard streams that were closed, as `2>&-` does: the next file that is opened
    would be there, the database say, and what is printed would be written into it. Reading still fails."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_WRONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)  # the page's server takes this process's place
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for as long as it runs
