"""The command line: a thin door on Desk. The document goes to standard output, everything else to standard error.

Scripts rely on the names, the JSON and the exit codes here: 0 done, 1 failed while running, 2 usage, 3 does not fit,
4 input refused, 130 cancelled, 129 cancelled by a terminal that was closed. One noun a module; a command is added to
COMMANDS, and its module is imported when it is called: what the others stand on costs it nothing.
"""

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module

import click

from app.cli.signals import interrupt, leave, was_asked_to_end
from app.cli.terminal import guard_streams
from app.endings import CANCELLED, polite_signals
from engine.errors import (
    MAKE_ROOM,
    Cancelled,
    DoesNotFit,
    InputRefused,
    LongdeskError,
    UsageError,
    is_full,
    redacted,
    why,
)

# of each command the module that has a function of its name, and the sentence that --help says of it
COMMANDS = {
    "up": ("page", "Open the web page."),
    "count": ("count", "Count the tokens of files, folders, zips and PDFs, with the model's own vocabulary."),
    "plan": ("corpus", "Say whether a corpus and a reply fit, before anything is loaded."),
    "ask": ("corpus", "Ask a question about files, folders, zips and PDFs."),
    "reading": ("reading", "Try how far the model reads: probes are planted in copies of your corpus, and asked for."),
    "summarize": ("summarize", "Write pages about a codebase, each statement with the words that show it."),
    "serve": ("serve", "Answer editors and scripts about a corpus: an OpenAI-compatible API, and MCP tools."),
    "templates": ("templates", "Ready-made questions with blanks, for `ask --template`: list and show them."),
    "sessions": ("sessions", "List, show, rename, export, import, verify, search and delete sessions."),
    "engines": ("engines", "Engines over HTTP by name: list, add, test and remove them, and keep their keys."),
    "models": ("models", "The catalogue of models: list, find, download and verify them."),
    "snapshots": ("snapshots", "The KV caches kept on disk: list, verify and prune them."),
}


class Commands(click.Group):
    """The commands of COMMANDS, each imported when it is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"app.cli.{COMMANDS[name][0]}"), name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in --help, with what COMMANDS says of each."""
        names = self.list_commands(context)
        width = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, click.Command(name, help=COMMANDS[name][1]).get_short_help_str(width)) for name in names]
            )


def main() -> None:
    """The console script `longdesk`: runs a command and turns errors into a sentence and an exit code."""
    for number in polite_signals():  # a polite kill is a cancel
        signal.signal(number, interrupt)
    guard_streams()
    leave(_run())


def _run() -> int:
    try:
        code = cli(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = CANCELLED
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
        if was_asked_to_end():  # a library may turn Ctrl-C into an error of its own: pandas does while it imports
            return CANCELLED
        if is_full(error):
            click.echo(f"longdesk: {_full(error)}", err=True)
            return 1
        click.echo(
            f"longdesk: {type(error).__name__}: {redacted(str(error))}. Nothing that was saved is lost.", err=True
        )
        code = 1
    return code if isinstance(code, int) else 0


def _full(error: Exception) -> str:
    """What could not be written: a file, or what a command prints where that goes to one."""
    assert isinstance(error, OSError)
    what = error.filename or "What was printed"
    return f"{what} could not be written: {why(error)}. Nothing that was saved is lost. {MAKE_ROOM}"


def _exit_code(error: LongdeskError) -> int:
    codes = ((UsageError, 2), (DoesNotFit, 3), (InputRefused, 4), (Cancelled, 130))
    return next((code for kind, code in codes if isinstance(error, kind)), 1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="longdesk")
def cli() -> None:
    """Put a whole corpus in front of a long-context model, and be exact about it."""
