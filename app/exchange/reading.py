"""A session out of an export, which a stranger may have written: each field is looked at. Nothing is stored here."""

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from app.exchange.digests import with_own_digest
from app.exchange.document import VERSION
from app.exchange.fields import MOST_NUMBER, Fields
from app.session_settings import asked_with, settings_of
from app.settings import Settings
from engine.answer.citations import Citation, citation_from
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, KeptFile, Picture, Skipped, Source
from engine.errors import InputRefused
from engine.memory.lora import is_scale
from storage.records import KeptNote, Session, SessionRecord, SessionSource, Turn, thought_from

MOST_BYTES = 1 << 30
_MOST_VALUES = 32_000_000  # each takes some hundred bytes of memory while the file is read
_MOST_PIXELS = Rules().max_image_pixels
_ID = 2**31
_STOPS = {"end", "length", "cancelled", "error", "interrupted"}
_KINDS = {"text", "notebook", "pdf", "image"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_WHOLE = ("max_tokens", "seed", "top_k", "repeat_last_n", "mirostat")
_REAL = (
    *("temperature", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "mirostat_tau"),
    *("mirostat_eta", "xtc_probability", "xtc_threshold"),
)


def read_export(data: bytes) -> SessionRecord:
    """The session that an export holds. Turns have no ids yet.

    Raises InputRefused for what is no export, or one that is too large, of a newer Longdesk, or without its sources.
    """
    whole = Fields(_parsed(data))
    if "longdesk_export" not in whole:
        raise InputRefused(
            "This is no export of a Longdesk session.", "`longdesk sessions export ID --format json` writes one."
        )
    if whole.number("longdesk_export") > VERSION:
        raise InputRefused("This export was written by a newer Longdesk.", "Update Longdesk, and import it again.")
    try:
        return _record(whole)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:  # of a value within settings
        raise InputRefused(f"This is no export of a Longdesk session: {_line(error)}.", "Export it again.") from error


def _parsed(data: bytes) -> Any:
    if len(data) > MOST_BYTES:
        raise InputRefused(f"The file is over the limit of {MOST_BYTES >> 30} GiB for an import.")
    if sum(map(data.count, (b",", b"[", b"{", b":"))) > _MOST_VALUES:
        raise InputRefused("The file has more values than an import may have.")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise InputRefused("The file is no export: it is nested too deep.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputRefused(f"The file is no JSON: {_line(error)}.", "Import what --format json wrote.") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _record(whole: Fields) -> SessionRecord:
    sources, renamed = _sources(whole)
    turns = tuple(_turn(at, one, renamed) for at, one in enumerate(whole.each("turns")))
    leaf = whole.number_or_none("leaf", most=max(0, len(turns) - 1))
    if (leaf is None) != (not turns):
        raise whole.refusal("leaf", "one of its turns")
    way = set()
    while leaf is not None:
        way.add(leaf)
        leaf = turns[leaf].parent
    return SessionRecord(
        session=_session(whole),
        turns=tuple(turn for turn in turns if turn.index in way),
        others=tuple(turn for turn in turns if turn.index not in way),
        sources=sources,
        skipped=tuple(_skipped(one) for one in whole.each("skipped")),
        kept_notes=_notes(whole, renamed, len(turns)),
    )


def _session(whole: Fields) -> Session:
    settings = Fields(whole.object("settings"), "settings")
    if "max_tiles" in settings:
        settings.number("max_tiles", least=1)
    if "draw_pages" in settings:
        _ = Rules(draw_pages=settings.text("draw_pages")).listed_pages
    if "without_pages" in settings:
        settings.texts("without_pages")
    settings.text_or_none("untitled")
    if whole.object("settings").get("chat_template") is not None:
        template = Fields(settings.object("chat_template"), "settings.chat_template")
        _ = template.text("source"), template.text("model")
        if not template.text("name").isprintable():
            raise template.refusal("name", "a name on one line")
    if whole.object("settings").get("passes") is not None:
        Fields(settings.object("passes"), "settings.passes").number_or_none("tokens", least=1)
    for adapter in settings.list("lora") if "lora" in settings else ():
        if not _is_adapter(adapter):
            raise settings.refusal("lora", "a list of adapters, each with its path, its scale and its model")
    session = Session(
        id=whole.text("id"),
        title=whole.text("title"),
        created=_time(whole, "created"),
        updated=_time(whole, "updated"),
        model=whole.text("model"),
        system=whole.text_or_none("system"),
        frozen_date=date.fromisoformat(whole.text("frozen_date")).isoformat(),
        settings=whole.object("settings"),
    )
    settings_of(session, Settings(home=Path()))  # whatever it is asked for must be there, and of its kind
    return session


def _is_adapter(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[1], int | float):
        return False
    path, scale, model = value
    return isinstance(path, str) and path != "" and "\0" not in path and is_scale(scale) and isinstance(model, str)


def _time(fields: Fields, name: str) -> str:
    if not _TIME.fullmatch(fields.text(name)):
        raise fields.refusal(name, 'a time such as "2026-01-31T12:00:00Z"')
    return fields.text(name)


def _sources(whole: Fields) -> tuple[tuple[SessionSource, ...], dict[str, str]]:
    """The sources in their order, and the digests that are others now than the file has."""
    placed, renamed = list[SessionSource](), dict[str, str]()
    for fields in whole.each("sources"):
        if "text" not in fields:
            raise InputRefused(
                "This export was written without what its sources hold.", "Export it without --no-sources."
            )
        given = _source(fields)
        source = with_own_digest(given)
        if source.digest != given.digest:
            renamed[given.digest] = source.digest
        placed.append(SessionSource(source, len(placed), fields.number("turn", most=_ID), fields.flag("enabled")))
    if len({at.source.path for at in placed}) < len(placed):
        raise whole.refusal("sources", "a list of different paths")
    return tuple(placed), renamed


def _source(fields: Fields) -> Source:
    text, file = fields.text("text"), None
    if "file" in fields:
        kept = Fields(fields.object("file"), f"{fields.where}.file")
        try:
            data = b64decode(kept.text("data"), validate=True)
        except (Base64Error, ValueError):
            raise kept.refusal("data", "base64") from None
        file = KeptFile(kept.word("format"), data, scalable=kept.flag("scalable"))
    starts = fields.numbers("page_starts", most=len(text))
    if list(starts) != sorted(starts) or not fields.text("path"):
        raise fields.refusal("page_starts", "in order") if fields.text("path") else fields.refusal("path", "a path")
    if fields.text("kind") not in _KINDS:
        raise fields.refusal("kind", "a kind of source that is known here")
    return Source(
        path=fields.text("path"),
        kind=fields.text("kind"),
        text=text,
        n_bytes=fields.number("bytes"),
        digest=fields.word("digest"),
        page_starts=starts,
        encoding=fields.word_or_none("encoding"),
        kept_file=file,
        pictures=tuple(_picture(each, len(text)) for each in fields.each("pictures")) if file else (),
        notes=fields.texts("notes"),
        reader=fields.word_or_none("reader"),
        folder=fields.text_or_none("folder"),
    )


def _picture(fields: Fields, n_characters: int) -> Picture:
    width, height = (fields.number(side, least=1, most=_MOST_PIXELS) for side in ("width", "height"))
    if width * height > _MOST_PIXELS:
        raise fields.refusal("width", f"of a picture of at most {_MOST_PIXELS:,} pixels")
    span = fields.numbers("span", most=n_characters) if "span" in fields else None
    if span is not None and (len(span) != 2 or span[0] > span[1]):
        raise fields.refusal("span", "two places in the text")
    number = fields.number("number", least=1, most=_ID)
    return Picture(number, width, height, (span[0], span[1]) if span else None, fields.word("digest"))


def _skipped(fields: Fields) -> Skipped:
    return Skipped(
        path=fields.text("path"),
        cause=Cause(fields.text("cause")),
        reason=fields.text("reason"),
        n_bytes=fields.number_or_none("bytes"),
        can_include=fields.flag("can_include"),
    )


def _turn(at: int, fields: Fields, renamed: dict[str, str]) -> Turn:
    if fields.number("index", most=_ID) != at:
        raise fields.refusal("index", f"{at}, its place in the list")
    if fields.text("stop") not in _STOPS:
        raise fields.refusal("stop", f"one of {', '.join(sorted(_STOPS))}")
    citations = None if "citations" not in fields else tuple(_citation(each) for each in fields.each("citations"))
    turn = Turn(
        id=0,
        session_id="",
        index=at,
        parent=fields.number_or_none("parent", most=at - 1),
        question=fields.text("question"),
        text=fields.text("text"),
        stop=fields.text("stop"),
        reply_ids=fields.numbers("reply_ids", least=-_ID, most=_ID - 1),
        vocabulary=fields.word_or_none("vocabulary"),
        settings=_asked_with(fields, renamed),
        error=fields.text_or_none("error"),
        prefill_done=fields.number_or_none("prefill_done"),
        prompt_tokens=fields.number("prompt_tokens") or None,
        reused_tokens=fields.number("reused_tokens") or None,
        reply_tokens=fields.number("reply_tokens") or None,
        read_s=fields.real_or_none("read_s"),
        load_s=fields.real_or_none("load_s"),
        prefill_s=fields.real_or_none("prefill_s"),
        ttft_s=fields.real_or_none("ttft_s"),
        citations=citations and tuple(_renamed(each, renamed) for each in citations),
        receipt=fields.object("receipt") if "receipt" in fields else None,
        thought=thought_from(fields.object("thought")) if "thought" in fields else None,
        created=_time(fields, "created"),
        finished=_time(fields, "finished"),
    )
    asked_with(turn)  # what is no such settings raises
    return turn


def _notes(whole: Fields, renamed: dict[str, str], n_turns: int) -> tuple[KeptNote, ...]:
    """Those of the session; none of an export that is older than notes."""
    notes = [_note(each, renamed, n_turns) for each in (whole.each("kept_notes") if "kept_notes" in whole else ())]
    numbers = [note.number for note in notes]
    if numbers != sorted(set(numbers)):
        raise whole.refusal("kept_notes", "a list by different numbers")
    return tuple(notes)


def _note(fields: Fields, renamed: dict[str, str], n_turns: int) -> KeptNote:
    return KeptNote(
        number=fields.number("number", least=1, most=_ID),
        title=fields.text("title"),
        text=fields.text("text"),
        created=_time(fields, "created"),
        turn_index=fields.number_or_none("turn", most=n_turns - 1),
        citations=tuple(_renamed(_citation(each), renamed) for each in fields.each("citations")),
    )


def _asked_with(fields: Fields, renamed: dict[str, str]) -> dict[str, Any]:
    """The settings of a turn, their known keys looked at."""
    values, at = fields.object("settings"), Fields(fields.object("settings"), f"{fields.where}.settings")
    for name in ("model", "kv_type", "template"):
        at.text_or_none(name)
    if "chat_template" in at:
        used = Fields(at.object("chat_template"), f"{at.where}.chat_template")
        _ = [used.text(name) for name in ("used", "name", "note", "digest", "fault")]
    for name in _WHOLE:
        at.number_or_none(name, least=-MOST_NUMBER)
    for name in _REAL:
        at.real_or_none(name)
    for path, digest, first, n_pictures in at.list("joined") if "joined" in at else ():
        if not (isinstance(path, str) and isinstance(digest, str) and isinstance(first, int)):
            raise at.refusal("joined", "a list of pictures")
        if not isinstance(n_pictures, int) or not 0 <= n_pictures <= 1_000_000:
            raise at.refusal("joined", "a list of pictures")
    for refused in at.list("refused") if "refused" in at else ():
        if len(refused) != 3 or not all(isinstance(each, str) for each in refused):
            raise at.refusal("refused", "a list of files")
    for name in ("only", "stops", "own", "makers"):
        if name in at:
            at.texts(name)
    if renamed and "joined" in at:
        joined = [[path, renamed.get(digest, digest), *rest] for path, digest, *rest in values["joined"]]
        return {**values, "joined": joined}
    return values


def _citation(fields: Fields) -> Citation:
    fields.flag("held")
    fields.text("quote")
    fields.real_or_none("logprob")
    for name in ("path", "source_digest"):
        fields.text_or_none(name)
    fields.number("places")
    for name in ("page", "cell", "image"):
        fields.number_or_none(name)
    for name in ("statement", "bytes", "text_bytes", "lines"):
        if (name in fields or name == "statement") and len(fields.numbers(name)) != 2:
            raise fields.refusal(name, "two numbers")
    if "box" in fields and not _is_box(fields.list("box")):
        raise fields.refusal("box", "four shares of a page")
    if "boxes" in fields and not all(map(_is_page_box, fields.list("boxes"))):
        raise fields.refusal("boxes", "pages with four shares of each")
    return citation_from(fields.all)


def _is_page_box(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("page"), int) or not isinstance(value.get("box"), list):
        return False
    return 0 < value["page"] <= MOST_NUMBER and _is_box(value["box"])


def _is_box(values: list[Any]) -> bool:
    return len(values) == 4 and all(isinstance(each, int | float) and -1 <= each <= 2 for each in values)


def _renamed(citation: Citation, renamed: dict[str, str]) -> Citation:
    digest = citation.source_digest
    return replace(citation, source_digest=renamed[digest]) if digest in renamed else citation
