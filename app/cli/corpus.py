"""`plan` and `ask`: the commands over a corpus; and how `count` counts what is not known."""

import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Event as Flag
from time import perf_counter
from typing import Any

import click

from app.cli.desk import open_desk, take_up
from app.cli.options import (
    CLUSTER,
    CLUSTER_NAMES,
    COMPUTING,
    CONTEXT,
    CORPUS,
    JSON,
    READ_AGAIN,
    SAMPLING,
    THINKING,
    Day,
    Tokens,
    names_pages,
)
from app.cli.output import Json
from app.cli.output.answer import print_answer, show_checking, tell_skipped
from app.cli.output.count import count_json, show_reading
from app.cli.output.plan import print_plan
from app.cli.signals import cancelling, deaf
from app.costs import cost_of_prompt, cost_words
from app.desk import Desk
from app.question import Answered, Filled, Question, with_template
from engine.backend import Cause, Corpus
from engine.corpus.git_range import at_known_paths, folder_and_range, read_range
from engine.corpus.refusing import named_by_hand, refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.walk.streams import is_stdin
from engine.errors import Cancelled, LongdeskError, UsageError


def count_anew(paths: Sequence[Path], rules: Rules, *, read_again: bool, **flags: Any) -> tuple[Json, str | None]:
    """The document of `count --json`, and the corpus's survey."""
    with open_desk(**flags) as desk:
        corpus = _read_to_count(desk, paths, rules, read_again)
        count = desk.count(corpus)
        document = count_json(count, cost_of_prompt(desk.about(), count.prompt, desk.settings.reply_tokens))
        # what could not be read now may be readable in a moment, though nothing of it changes
        is_passing = any(one.cause is Cause.UNREADABLE for one in corpus.skipped)
        return document, None if is_passing else corpus.survey


@click.command()
@CORPUS
@CONTEXT
@COMPUTING
@click.option("--reply", "reply_tokens", type=Tokens(), help="Tokens kept for the reply.")
@THINKING
@CLUSTER
@READ_AGAIN
@JSON
def plan(
    paths: Sequence[Path], exclude: tuple[str, ...], swa_full: bool, n_ubatch: int | None, read_again: bool,
    as_json: bool, **flags: Any
) -> int:  # fmt: skip
    """Say whether a corpus and a reply fit, before anything is loaded."""
    rules = Rules(exclude=exclude, pipes=True, needs_pages=names_pages())
    cluster = {name: flags.pop(name) for name in CLUSTER_NAMES}
    if cluster["engine"] is not None:
        from app.cli.cluster import Reading, plan_cluster  # a plan for this machine does without

        own = {"swa_full": swa_full, "n_ubatch": n_ubatch}
        return plan_cluster(Reading(paths, rules, read_again), cluster, own, as_json=as_json, **flags)
    if any(value is not None and value is not False for value in cluster.values()):
        raise UsageError("GPUs elsewhere run an engine.", "Name it: --engine vllm, sglang, trtllm or llamacpp.")
    with open_desk(makes_home=bool(paths), **flags) as desk:
        if paths:
            desk.warm_up()
        else:
            desk.wake()
        counted = desk.count(_read_to_count(desk, paths, rules, read_again)) if paths else None
        wanted = replace(desk.settings.wanted, n_ubatch=n_ubatch, swa_full=swa_full)
        planned = desk.plan(counted, wanted=wanted) if counted else desk.plan_for(None, wanted)
        if counted:
            from app.reaching import reached  # asking does without

            far = reached(desk)
            if far is not None and far.warns_of(planned.prompt_tokens):
                planned = replace(planned, notes=(*planned.notes, f"{far.sentence}: this prompt is longer."))
        cost = cost_of_prompt(desk.about(), counted.prompt, planned.written_tokens) if counted else None
        use, makers = (desk.about().template, desk.about().makers) if counted else (desk.template(), desk.makers())
        print_plan(
            planned,
            use,
            makers,
            desk.sampling(makers),
            cost=cost,
            in_words=cost_words(cost) if cost else "",
            as_json=as_json,
        )
        return 0 if planned.fits else 3


@click.command()
@CORPUS
@click.option("-q", "--question", metavar="TEXT|-", help="The question; - reads it from standard input.")
@click.option("--template", metavar="NAME", help="Ask what this template asks; -q adds to it. See `templates list`.")
@click.option(
    "--set", "blanks", multiple=True, metavar="NAME=TEXT", help="Fill in a blank of the template; may be repeated."
)
@click.option(
    "--git", "span", metavar="OLD..NEW", help="The commits of this range of the checkout at PATH, not its files."
)
@click.option("--session", metavar="ID", help="Go on in this session.")
@click.option("--again", is_flag=True, help="Ask the session's last question again: a reply beside the old one.")
@click.option("--continue", "goes_on", is_flag=True, help="Go on with the session's last reply where it was cut.")
@click.option(
    "--at",
    "number",
    type=click.IntRange(1),
    metavar="N",
    help="Question N instead; with -q, another in its place.",
)
@CONTEXT
@click.option("--threads", "n_threads", type=click.IntRange(1, 4096), metavar="N")
@click.option("--system", metavar="TEXT", help="The standing instruction, in place of Longdesk's own.")
@click.option("--max-tokens", "reply_tokens", type=Tokens(), help="Tokens kept for the reply.")
@SAMPLING
@click.option("--stop", "stops", multiple=True, metavar="TEXT", help="End the reply before this text; may be repeated.")
@THINKING
@click.option(
    "--date",
    "day",
    type=Day(),
    metavar="D|today",
    help="The date that the chat template shows, from now on. Default: the one that the files were read with before.",
)
@click.option("--no-snapshot", is_flag=True, help="Do not keep the KV cache for the session's next question.")
@click.option(
    "--quotes/--no-quotes",
    default=None,
    help="Look for the words that show each statement of the answer, or do not. Default: with models good at it.",
)
@click.option(
    "--pass-tokens",
    type=Tokens(auto=0),
    metavar="N|auto",
    help="Read the files in passes of at most N tokens each, where they are more than the window.",
)
@JSON
def ask(
    paths: Sequence[Path], exclude: tuple[str, ...], model: str | None, question: str | None,
    template: str | None, blanks: tuple[str, ...], span: str | None, session: str | None, again: bool, goes_on: bool,
    number: int | None, no_snapshot: bool, pass_tokens: int | None, day: date | None, as_json: bool, **flags: Any
) -> int:  # fmt: skip
    """Ask a question about files, folders, zips and PDFs."""
    if span is not None:
        paths = paths or (Path("."),)
        if len(paths) > 1:
            raise UsageError("--git reads the commits of one checkout.", "Name one folder.")
    if not paths and session is None:
        raise UsageError("There is nothing to ask about.", "Name a file or folder, or go on in a --session.")
    if question == "-" and any(map(is_stdin, paths)):
        raise UsageError("Standard input cannot be the question and a source.", "Give the question with -q TEXT.")
    _check_going_back(question if template is None else "", session, again, goes_on, number, paths)
    text = "" if question is None else _question_text(question)
    if session is not None and flags["system"] is not None:
        raise UsageError("A session keeps the instruction that it was begun with.", "Leave --system out.")
    with open_desk(model=model, snapshot=False if no_snapshot else None, **flags) as desk:
        filled = _filled_in(desk, template, blanks, text, is_typed=question != "-")  # before anything is read
        if session is not None:
            _change_session(desk, session, model, **flags)
        desk.warm_up()
        read_from = perf_counter()
        corpus = _read(desk, paths, exclude, session, span, filled)
        if session is not None and exclude:
            for path in desk.leave_out(session, exclude):
                click.echo(f"{path} is left out from now on.", err=True)
        asked = Question(
            text=text,
            corpus=corpus,
            refused=named_by_hand(corpus.skipped, paths),
            session=session,
            read_s=perf_counter() - read_from,
            as_set=flags["temperature"] is not None or flags["seed"] is not None,
            own=desk.settings.OWN & {name for name in flags if flags[name] not in (None, ())},
            in_passes=pass_tokens is not None,
            pass_tokens=pass_tokens or None,
            day=day,
        )
        if filled is not None:
            asked = with_template(
                asked, filled, desk.settings, but=[name for name in flags if flags[name] not in (None, ())]
            )
        if session is not None and (again or goes_on or number is not None):
            at = number - 1 if number is not None else _last_question(desk, session)
            asked = replace(asked, goes_on=at) if goes_on else replace(asked, beside=at)
        tell_skipped(corpus.skipped, asked.refused)
        answered = _answer(desk, asked, as_json)
        with deaf():
            notice = desk.save()
        if notice:
            click.echo(notice.text, err=True)
        if answered.turn.stop != "cancelled":
            _learn(desk)
    if answered.turn.stop == "error":
        click.echo(f"longdesk: {answered.turn.error}", err=True)
    return {"cancelled": 130, "error": 1}.get(answered.turn.stop or "", 0)


def _read(
    desk: Desk, paths: Sequence[Path], exclude: tuple[str, ...], session: str | None, span: str | None,
    filled: Filled | None
) -> Corpus:  # fmt: skip
    """What is asked about beside a session's own sources: files, or the commits of a range, which are in it once. span:
    of --git; a template may have one filled in, and a folder with it."""
    if span is None and filled is not None and filled.commits:
        folder, span = folder_and_range(filled.commits)
        paths = [Path(folder)] if folder else paths or [Path(".")]
        if len(paths) > 1:
            raise UsageError("A range of commits is of one checkout.", "Name one folder.")
    if span is None:
        return read_corpus(desk, paths, exclude, joins=session is not None) if paths else Corpus()
    known = [link.path for link in desk.session(session).links] if session is not None else []
    return at_known_paths(read_range(paths[0], span), known)


def _filled_in(
    desk: Desk, name: str | None, given: tuple[str, ...], also: str, *, is_typed: bool = True
) -> Filled | None:
    """What a template makes of `--set NAME=TEXT` and -q, which stands below it; what -q calls by /name where no
    template is named; None where neither does. is_typed: not from standard input, which calls nothing.

    Raises UsageError for what cannot be filled in so, and as Shelf.fill does.
    """
    if name is None:
        if given:
            raise UsageError(
                "--set fills in a template's blank, and no template is named.", "Name it: --template NAME."
            )
        return desk.templates.called(also) if is_typed else None
    values: dict[str, str] = {}
    for each in given:
        blank, sign, value = each.partition("=")
        if not sign or not blank.strip():
            raise UsageError(f"--set {each} is no NAME=TEXT.", "Write the blank's name, = and what belongs there.")
        if blank.strip() in values:
            raise UsageError(f"The blank {blank.strip()} is set twice.", "Set it once.")
        values[blank.strip()] = _decoded(value)
    return desk.templates.fill(name, values, also)


def _decoded(value: str) -> str:
    """Clean text, in whatever encoding the argument came."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _check_going_back(
    question: str | None, session: str | None, again: bool, goes_on: bool, number: int | None, paths: Sequence[Path]
) -> None:
    """Raises UsageError for options that do not go together."""
    back = again or goes_on or number is not None
    if back and session is None:
        raise UsageError("Only a session has a question to go back to.", "Name it with --session.")
    if again and goes_on:
        raise UsageError("A question is asked again, or its reply goes on.", "Give --again or --continue.")
    if (again or goes_on) and question is not None:
        raise UsageError("The question is the session's own.", "Leave -q out, or ask another one with --at N and -q.")
    if goes_on and paths:
        raise UsageError("A reply goes on from what was sent with it.", "Add files with the next question.")
    if question is None and not (again or goes_on):
        raise UsageError("The question is missing.", "Give it with -q.")


def _last_question(desk: Desk, session: str) -> int:
    turns = desk.turns(session)
    if not turns:
        raise UsageError("The session has no question yet.", "Ask one with -q.")
    return turns[-1].index


def _change_session(desk: Desk, session: str, model: str | None, **flags: Any) -> None:
    """Goes on with the session's model where none was named; what else is given changes it from now on."""
    has_template, has_lora = flags["chat_template"] is not None, flags["lora"] is not None
    take_up(desk, session, keeps_model=model is not None, keeps_template=has_template, keeps_lora=has_lora)
    if flags["max_tiles"] is not None:
        desk.limit_tiles(session, flags["max_tiles"])
    if flags["draw_pages"] is not None:
        sys.stderr.writelines(f"{lost}\n" for lost in desk.draw_pages(session, flags["draw_pages"]))


def _answer(desk: Desk, question: Question, as_json: bool) -> Answered:
    """Until the turn has begun a signal ends the command; then it stops the answer, which is kept."""
    skipped = desk.legible(question.corpus).skipped
    cancel, begun = Flag(), Flag()
    with cancelling(cancel, begun), closing(desk.ask(question, cancel=cancel)) as events:
        answered = print_answer(events, begun, as_json=as_json, skipped=skipped)
    if answered is None:
        raise Cancelled("The question was cancelled before it began.")
    return answered


def _learn(desk: Desk) -> None:
    """Reads a large model's files, once. The answer is complete: Ctrl-C ends this, and nothing is lost."""
    told = False
    with suppress(KeyboardInterrupt, LongdeskError):
        for share in desk.learn():
            if not told:
                click.echo("Checking the model file, once, so that a copy of it can use what is kept.", err=True)
            told = True
            show_checking(share)


def read_corpus(desk: Desk, paths: Sequence[Path], exclude: tuple[str, ...], *, joins: bool = False) -> Corpus:
    """joins: a session, where images wait for a model that can see them; there is nothing else to ask about else."""
    desk.about()  # a model that cannot be used is said before a corpus is read
    rules = Rules(exclude=exclude, pipes=True, needs_pages=names_pages() and not joins)
    with show_reading() as tell:
        corpus = desk.read(paths, rules, tell=tell)
    refuse_empty(corpus if joins else desk.legible(corpus), paths)
    return corpus


def _read_to_count(desk: Desk, paths: Sequence[Path], rules: Rules, read_again: bool) -> Corpus:
    desk.about()
    with show_reading() as tell:
        corpus = desk.read_to_count(paths, rules, read_again=read_again, tell=tell)
    refuse_empty(desk.legible(corpus), paths)
    return corpus


def _question_text(question: str) -> str:
    """The question as clean text: from standard input, or from an argument in whatever encoding."""
    if question == "-":
        from app.cli.input import text_from_stdin

        text = text_from_stdin()
    else:
        text = _decoded(question)
    if not text.strip():
        raise UsageError("The question is empty.", "Give it with -q.")
    return text
