"""The command line: a thin door on Desk. The document goes to standard output, everything else to standard error.

Scripts rely on the names, the JSON and the exit codes here: 0 done, 1 failed while running, 2 usage, 3 does not fit,
4 input refused, 130 cancelled. One noun a module; a command is added to the group here.
"""

import io
import os
import signal
import sys
from contextlib import suppress

import click

from app.cli.corpus import ask, count, plan
from app.cli.models import models
from app.cli.page import up
from app.cli.sessions import sessions
from app.cli.signals import INTERRUPTED, interrupt
from app.cli.snapshots import snapshots
from engine.errors import Cancelled, DoesNotFit, InputRefused, LongdeskError, UsageError


def main() -> None:
    """The console script `longdesk`: runs a command and turns errors into a sentence and an exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a polite kill is a cancel
        signal.signal(number, interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # documents are UTF-8 whatever the locale
    sys.exit(_run())


def _run() -> int:
    try:
        code = cli(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except LongdeskError as error:
        click.echo(f"longdesk: {error}", err=True)
        code = _exit_code(error)
    except BrokenPipeError:  # whoever read our output has left, as `head` does
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:  # a bug of ours, or of the system's: still a sentence
        if INTERRUPTED.is_set():  # a library may turn Ctrl-C into an error of its own: pandas does while it imports
            return 130
        click.echo(f"longdesk: {type(error).__name__}: {error}. Nothing that was saved is lost.", err=True)
        code = 1
    return code if isinstance(code, int) else 0


def _exit_code(error: LongdeskError) -> int:
    codes = ((UsageError, 2), (DoesNotFit, 3), (InputRefused, 4), (Cancelled, 130))
    return next((code for kind, code in codes if isinstance(error, kind)), 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="longdesk")
def cli() -> None:
    """Put a whole corpus in front of a long-context model, and be exact about it."""


for _command in (up, count, plan, ask, sessions, models, snapshots):
    cli.add_command(_command)
