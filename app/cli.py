"""The command line: a thin door on Desk. The document goes to standard output, everything else to standard error.

Scripts rely on the names, the JSON and the exit codes here: 0 done, 1 failed while running, 2 usage, 3 does not fit,
4 input refused, 130 cancelled.
"""

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event as Flag
from time import perf_counter
from typing import Any

import click

from app import documents
from app.asking import Answered, Begun, DeskEvent, Notice, Question
from app.desk import Desk
from app.settings import Settings, read_settings
from app.sizes import parse_tokens, show_seconds
from engine.corpus.collect import refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.source import Corpus
from engine.errors import Cancelled, DoesNotFit, InputRefused, LongdeskError, UsageError
from engine.memory.kv_cache import KV_TYPES
from engine.runtime.model import Loading, Prefill, Text

_NOT_BUILT = "is not built yet."


def main() -> None:
    """The console script `longdesk`: runs a command and turns errors into a sentence and an exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a polite kill is a cancel
        signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # documents are UTF-8 whatever the locale
    sys.exit(_run())


_INTERRUPTED = Flag()


def _interrupt(number: int, frame: object) -> None:
    _INTERRUPTED.set()
    raise KeyboardInterrupt


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
        if _INTERRUPTED.is_set():  # a library may turn Ctrl-C into an error of its own: pandas does while it imports
            return 130
        click.echo(f"longdesk: {type(error).__name__}: {error}. Nothing that was saved is lost.", err=True)
        code = 1
    return code if isinstance(code, int) else 0


def _exit_code(error: LongdeskError) -> int:
    codes = ((UsageError, 2), (DoesNotFit, 3), (InputRefused, 4), (Cancelled, 130))
    return next((code for kind, code in codes if isinstance(error, kind)), 1)


class _Tokens(click.ParamType[int | None]):
    """A number of tokens: 4096, 128K, 1M."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int | None:
        if isinstance(value, int):
            return value
        if value == "auto":
            return None
        try:
            tokens = parse_tokens(value)
        except ValueError as error:
            self.fail(str(error), param, context)
        if tokens < 1:
            self.fail("It must be at least 1.", param, context)
        return tokens


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _as_paths(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Path, ...]:
    if "" in values:  # an unset variable in a script; Path("") would be the working directory
        raise UsageError("One of the paths is empty.", "Name a file or folder.")
    return tuple(Path(value) for value in values)


_PATHS = click.argument("paths", nargs=-1, type=click.Path(), callback=_as_paths)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the document as JSON.")
_MODEL = click.option("--model", metavar="M", help="A GGUF file, or a name from the catalogue. Default: the starter.")
_CORPUS = _options(
    _PATHS,
    click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches, as .gitignore would."),
    _MODEL,
    click.option("--mmproj", metavar="FILE", help="The vision projector of the model."),
)
_CONTEXT = _options(
    click.option("--ctx", "n_ctx", type=_Tokens(), metavar="N|auto", help="Tokens of the context (128K, 1M)."),
    click.option("--kv", "kv_type", type=click.Choice(KV_TYPES), help="Type of the KV cache. Default: f16."),
    click.option("--kv-device", type=click.Choice(("auto", "gpu", "ram")), help="Where the KV cache lives."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="longdesk")
def cli() -> None:
    """Put a whole corpus in front of a long-context model, and be exact about it."""


@cli.command()
@_MODEL
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="A folder that the page may read; may be given several times.")  # fmt: skip
def up(model: str | None, port: int, roots: tuple[Path, ...]) -> int:
    """Open the web page."""
    from app.serve import serve

    settings = read_settings(model=model, roots=tuple(root.resolve() for root in roots) or None)
    return serve(settings, port)


@cli.command()
@_CORPUS
@_JSON
def count(
    paths: Sequence[Path], exclude: tuple[str, ...], model: str | None, mmproj: str | None, as_json: bool
) -> None:
    """Count the tokens of files, folders, zips and PDFs, with the model's own vocabulary."""
    _refuse_mmproj(mmproj)
    _need_paths(paths)
    with _desk(read_settings(model=model)) as desk:
        counted = desk.count(_read(desk, paths, exclude))
        _print(documents.count_json(counted) if as_json else documents.count_text(counted))


@cli.command()
@_CORPUS
@_CONTEXT
@click.option("--swa-full", is_flag=True, help="Keep the whole cache of windowed layers too.")
@click.option("--ubatch", "n_ubatch", default=512, type=click.IntRange(1, 65536), help="Tokens a compute batch.")
@click.option("--reply", "reply_tokens", type=_Tokens(), help="Tokens kept for the reply.")
@_JSON
def plan(
    paths: Sequence[Path], exclude: tuple[str, ...], model: str | None, mmproj: str | None, swa_full: bool,
    n_ubatch: int, as_json: bool, **flags: Any
) -> int:  # fmt: skip
    """Say whether a corpus and a reply fit, before anything is loaded."""
    _refuse_mmproj(mmproj)
    with _desk(read_settings(model=model, **flags)) as desk:
        counted = desk.count(_read(desk, paths, exclude)) if paths else None
        planned = desk.plan(counted, n_ubatch=n_ubatch, swa_full=swa_full)
        name = desk.open().card.name
        _print(documents.plan_json(name, planned) if as_json else documents.plan_text(name, planned))
        return 0 if planned.fits else 3


@cli.command()
@_CORPUS
@click.option("-q", "--question", required=True, metavar="TEXT|-", help="The question; - reads it from standard input.")
@click.option("--session", metavar="ID", help="Go on in this session.")
@_CONTEXT
@click.option("--threads", "n_threads", type=click.IntRange(1, 4096), metavar="N")
@click.option("--system", metavar="TEXT", help="The standing instruction, in place of Longdesk's own.")
@click.option("--max-tokens", "reply_tokens", type=_Tokens(), help="Tokens kept for the reply.")
@click.option("--temperature", type=click.FloatRange(0, 10), metavar="T", help="0, the default, is greedy.")
@click.option("--top-p", type=click.FloatRange(0, 1), metavar="P")
@click.option("--min-p", type=click.FloatRange(0, 1), metavar="P")
@click.option("--seed", type=int, metavar="S")
@click.option("--no-snapshot", is_flag=True, help="Do not keep the KV cache for the session's next question.")
@_JSON
def ask(
    paths: Sequence[Path], exclude: tuple[str, ...], model: str | None, mmproj: str | None, question: str,
    session: str | None, no_snapshot: bool, as_json: bool, **flags: Any
) -> int:  # fmt: skip
    """Ask a question about files, folders, zips and PDFs."""
    _refuse_mmproj(mmproj)
    if not paths and session is None:
        raise UsageError("There is nothing to ask about.", "Name a file or folder, or go on in a --session.")
    text = _question_text(question)
    if session is not None and flags["system"] is not None:
        raise UsageError("A session keeps the instruction that it was begun with.", "Leave --system out.")
    settings = read_settings(model=model, snapshot=False if no_snapshot else None, **flags)
    with _desk(settings) as desk:
        if session is not None and model is None:
            desk.use_model_of(session)
        begun = perf_counter()
        corpus = _read(desk, paths, exclude) if paths else Corpus()
        if session is not None and exclude:
            for path in desk.leave_out(session, exclude):
                click.echo(f"{path} is left out from now on.", err=True)
        asked = Question(
            text=text,
            sources=corpus.sources,
            skipped=corpus.skipped,
            session=session,
            read_s=perf_counter() - begun,
        )
        if corpus.skipped:
            click.echo(f"{len(corpus.skipped):,} files skipped; `longdesk count` says why.", err=True)
        answered = _answer(desk, asked, as_json)
        with _deaf():
            notice = desk.save()
        if notice:
            click.echo(notice.text, err=True)
    if answered.turn.stop == "error":
        click.echo(f"longdesk: {answered.turn.error}", err=True)
    return {"cancelled": 130, "error": 1}.get(answered.turn.stop or "", 0)


@cli.group()
def sessions() -> None:
    """List, show, rename, export, search and delete sessions."""


@sessions.command("list")
@_JSON
def list_sessions(as_json: bool) -> None:
    """All sessions, the newest first."""
    with _desk(read_settings()) as desk:
        listed = desk.store.sessions.list()
        _print(documents.sessions_json(listed) if as_json else documents.sessions_text(listed))


@sessions.command()
@click.argument("session_id", metavar="ID")
@_JSON
def show(session_id: str, as_json: bool) -> None:
    """One session: its sources, questions and answers."""
    with _desk(read_settings()) as desk:
        record = desk.store.record(session_id)
        _print(documents.session_json(record) if as_json else documents.session_text(record))


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.argument("title")
@_JSON
def rename(session_id: str, title: str, as_json: bool) -> None:
    """Give a session another title."""
    with _desk(read_settings()) as desk:
        renamed = desk.store.sessions.rename(session_id, title)
        _print({"id": renamed.id, "title": renamed.title} if as_json else f"{renamed.id}  {renamed.title}")


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.option("--format", "layout", type=click.Choice(("md", "json")), default="md", show_default=True)
@_JSON
def export(session_id: str, layout: str, as_json: bool) -> None:
    """Write a session as Markdown or JSON."""
    with _desk(read_settings()) as desk:
        record = desk.store.record(session_id)
        as_json = as_json or layout == "json"
        _print(documents.session_json(record) if as_json else documents.session_text(record))


@sessions.command()
@click.argument("text")
@_JSON
def search(text: str, as_json: bool) -> None:
    """Sessions in which every word of TEXT occurs."""
    with _desk(read_settings()) as desk:
        hits = desk.store.search(text)
        _print(documents.hits_json(hits) if as_json else "\n".join(f"{hit.session_id}  {hit.title}" for hit in hits))


@sessions.command()
@click.argument("session_id", metavar="ID")
@_JSON
def delete(session_id: str, as_json: bool) -> None:
    """Delete a session with its answers and its KV cache."""
    with _desk(read_settings()) as desk:
        whole = desk.store.sessions.get(session_id).id
        desk.delete_session(whole)
        _print({"deleted": whole} if as_json else f"Deleted {whole}.")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
def models(arguments: tuple[str, ...]) -> None:
    """The catalogue of models."""
    raise UsageError(f"`longdesk models` {_NOT_BUILT}", "Name a GGUF file with --model.")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
def snapshots(arguments: tuple[str, ...]) -> None:
    """The KV caches on disk."""
    raise UsageError(f"`longdesk snapshots` {_NOT_BUILT}", "KV states are kept under snapshots in LONGDESK_HOME.")


@contextmanager
def _desk(settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings)
    try:
        yield desk
    finally:
        desk.close()


def _read(desk: Desk, paths: Sequence[Path], exclude: tuple[str, ...]) -> Corpus:
    desk.open()  # a model that cannot be used is said before a corpus is read
    corpus = desk.read(paths, Rules(exclude=exclude))
    refuse_empty(corpus, paths)
    return corpus


def _need_paths(paths: Sequence[Path]) -> None:
    if not paths:
        raise UsageError("There is nothing to count.", "Name a file or folder.")


def _refuse_mmproj(mmproj: str | None) -> None:
    if mmproj is not None:
        raise UsageError(f"--mmproj {_NOT_BUILT}", "Images are skipped until it is.")


def _print(document: documents.Json | str) -> None:
    click.echo(document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=2))


def _question_text(question: str) -> str:
    """The question as clean text: from standard input, or from an argument in whatever encoding."""
    raw = sys.stdin.buffer.read() if question == "-" else question.encode("utf-8", "surrogateescape")
    text = raw.decode("utf-8", "replace")
    if not text.strip():
        raise UsageError("The question is empty.", "Give it with -q.")
    return text


def _answer(desk: Desk, question: Question, as_json: bool) -> Answered:
    """Asks and prints. Until the turn has begun a signal ends the command; then it stops the answer, which is kept."""
    cancel, begun = Flag(), Flag()
    with _cancelling(cancel, begun), closing(desk.ask(question, cancel=cancel)) as events:
        return _stream(events, begun, as_json)


def _stream(events: Iterator[DeskEvent], begun: Flag, as_json: bool) -> Answered:
    """Prints events as they come: JSON lines, or the text with the progress on standard error."""
    for event in events:
        if isinstance(event, Begun):
            begun.set()
        if as_json and (line := documents.event_json(event)) is not None:
            click.echo(json.dumps(line, ensure_ascii=False))
        elif isinstance(event, Text):
            click.echo(event.text, nl=False)
        else:
            _show_progress(event, as_json)
        if isinstance(event, Answered):
            if not as_json:
                click.echo()
                click.echo(_receipt(event), err=True)
            return event
    raise Cancelled("The question was cancelled before it began.")


def _show_progress(event: DeskEvent, as_json: bool) -> None:
    """One line on a terminal's standard error that is written over; nothing where it would fill a log."""
    if isinstance(event, Notice):
        click.echo(event.text, err=True)
    if as_json or not sys.stderr.isatty():
        return
    if isinstance(event, Loading):
        click.echo(f"\rLoading the model {event.share:4.0%}", nl=False, err=True)
    elif isinstance(event, Prefill):
        done, fresh = event.done - event.reused, event.total - event.reused
        line = f"\rReading {event.done / event.total:4.0%}"
        if done and event.seconds:
            rate = done / event.seconds
            line += f" · {rate:,.0f} tok/s · {show_seconds((fresh - done) / rate)} left"
        click.echo(f"{line:<60}" + ("\r" + " " * 60 + "\r" if event.done == event.total else ""), nl=False, err=True)


def _receipt(answered: Answered) -> str:
    turn = answered.turn
    return (
        f"session {turn.session_id} · {turn.prompt_tokens or 0:,} tokens sent, {turn.reused_tokens or 0:,} of them "
        f"from cache · {turn.reply_tokens or 0:,} in the reply · first text after {turn.ttft_s or 0:.1f} s"
    )


@contextmanager
def _cancelling(cancel: Flag, begun: Flag) -> Iterator[None]:
    """Ctrl-C and a polite kill stop the answer and keep it; a second one, or one before it began, ends the program."""

    def stop(number: int, frame: object) -> None:
        if cancel.is_set() or not begun.is_set():
            _interrupt(number, frame)
        cancel.set()

    with _handling(stop):
        yield


@contextmanager
def _deaf() -> Iterator[None]:
    """Saving is not interrupted: half a file would be left, and the answer is complete."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def _handling(handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
