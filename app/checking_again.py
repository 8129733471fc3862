"""A session's receipts and citations, checked again against what is stored: `longdesk sessions verify`.

What holds is counted, what does not is said in a sentence each, and so is what could not be checked.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from app.next_turn import exchange_of
from app.passes.notes import note_from
from app.session_settings import asked_with
from engine.answer.citations import Citation, Status
from engine.answer.places import Places
from engine.answer.receipt import Receipt, SentSource, prompt_hash, receipt_from
from engine.backend import Backend, Exchange, Prompt, Source
from engine.errors import LongdeskError
from engine.runtime.quotes.text import Place, normalized
from storage.records import SessionRecord, Turn

BackendOf = Callable[[str], Backend]


@dataclass(slots=True)
class Verification:
    """What came of checking. faults: what does not hold; unchecked: what could not be checked, and why; sentences both.
    The numbers are of what was checked and holds; n_passes: notes that the answer was made of."""

    n_turns: int = 0
    n_passes: int = 0
    n_sources: int = 0
    n_citations: int = 0
    n_prompts: int = 0
    faults: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def verify_session(record: SessionRecord, backend_of: BackendOf) -> Verification:
    """Checks all turns of a session: that what was sent is what is kept, that verified words stand at their places, and
    that the prompt is the one that was hashed.

    backend_of: the engine that a --model value names. Where it raises as Desk.backend does, the prompt is not checked.
    """
    return _Check(record, backend_of).run()


class _Check:
    def __init__(self, record: SessionRecord, backend_of: BackendOf) -> None:
        self._record, self._backend_of = record, backend_of
        self._sources = {placed.source.path: placed.source for placed in record.sources}
        self._turns = {turn.index: turn for turn in record.all_turns}
        self._digests: dict[str, str] = {}
        self._places: dict[str, Places] = {}
        self._done = Verification()

    def run(self) -> Verification:
        for turn in self._record.all_turns:
            if turn.stop is not None:
                self._check(turn)
        return self._done

    def _check(self, turn: Turn) -> None:
        named, done = f"Question {turn.index + 1}", self._done
        done.n_turns += 1
        for number, citation in enumerate(turn.citations or (), 1):
            if citation.status is not Status.VERIFIED:
                continue
            why = self._citation_fault(citation, turn.text)
            done.n_citations += why is None
            if why is not None:
                done.faults.append(f"{named}, citation {number}: {why}.")
        if turn.receipt is None:
            done.unchecked.append(f"{named} has no receipt: it is older than receipts, or its answer was cut off.")
            return
        try:
            self._check_receipt(named, turn, receipt_from(turn.receipt))
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # one that was imported
            done.faults.append(f"{named}: its receipt cannot be read ({error!r}).")

    def _check_receipt(self, named: str, turn: Turn, receipt: Receipt) -> None:
        done = self._done
        faults = [why for sent in receipt.sources if (why := self._source_fault(sent)) is not None]
        done.n_sources += len(receipt.sources) - len(faults)
        faults += _count_faults(turn, receipt)
        if receipt.passes is not None:
            faults += self._pass_faults(receipt.passes, receipt)
        done.faults += [f"{named}: {why}." for why in faults]
        if faults:
            done.unchecked.append(
                f"{named}: its prompt was not laid out again, since what it is made of does not hold."
            )
        else:
            self._check_prompt(named, turn, receipt)

    def _pass_faults(self, passes: Mapping[str, Any], receipt: Receipt) -> list[str]:
        """What does not hold of a corpus that was read in passes: that each source was read whole and once, and that
        the words stand which show what was noted."""
        reached, faults = dict.fromkeys((sent.path for sent in receipt.sources), 0), list[str]()
        for number, each in enumerate(passes["slices"], 1):
            for piece in each["pieces"]:
                path, (start, end) = piece["path"], piece["characters"]
                if reached.get(path) != start:
                    faults.append(f"pass {number} read {path} from character {start:,} on, which is not what was left")
                reached[path] = end
            note = note_from(each["note"])
            shown = [fact.citation for fact in note.facts if fact.is_shown and fact.citation is not None]
            found = [(at, self._citation_fault(citation, note.text)) for at, citation in enumerate(shown, 1)]
            faults += [f"pass {number}, citation {at}: {why}" for at, why in found if why is not None]
            self._done.n_citations += sum(why is None for _, why in found)
            self._done.n_passes += all(why is None for _, why in found)
        there = [sent.path for sent in receipt.sources if self._source_fault(sent) is None]  # of others it is said
        texts = {path: self._sources[path].text for path in there}
        short = [path for path, text in texts.items() if reached[path] != len(text)]
        return faults + [f"{path} was read up to character {reached[path]:,} only" for path in short]

    def _source_fault(self, sent: SentSource) -> str | None:
        source = self._sources.get(sent.path)
        if source is None:
            return f"{sent.path} was sent, and is not kept with the session"
        if self._digest(source) != (source.digest if not source.pictures else sent.text_digest):
            return f"the text that is kept of {sent.path} is not the one that its digest is of"
        if source.digest != sent.digest:
            return f"{sent.path} is kept as it was read later; what was sent is another text"
        return None

    def _digest(self, source: Source) -> str:
        """Of its text as it is kept."""
        if source.path not in self._digests:
            self._digests[source.path] = source.with_text(source.text).digest
        return self._digests[source.path]

    def _citation_fault(self, citation: Citation, answer: str) -> str | None:
        start, end = citation.statement
        if not 0 <= start <= end <= len(answer):
            return "its statement is not within the answer"
        source = self._sources.get(citation.path or "")
        if source is None or citation.text_span is None:
            return f"{citation.path or 'its source'} is not kept with the session"
        if source.digest != citation.source_digest:
            return f"{citation.path} is kept as it was read later; its words are not looked for there"
        if source.path not in self._places:
            self._places[source.path] = Places([source])
        places = self._places[source.path]
        begin, behind = citation.text_span
        if not 0 <= begin < behind <= len(places.documents[0]):
            return f"{citation.path} has no bytes {begin:,} to {behind:,}"
        again = places.citation(Place(0, begin, behind), statement=citation.statement)
        if normalized(again.quote.encode()) != normalized(citation.quote.encode("utf-8", "replace")):
            return f"other words stand at bytes {begin:,} to {behind:,} of {citation.path}"
        older = citation.bytes == again.text_span  # before there were bytes of the file
        if None not in (again.bytes, citation.bytes) and again.bytes != citation.bytes and not older:
            return f"the words stand in {citation.path}, but at other bytes of the file"
        if (again.lines, again.page, again.cell) != (citation.lines, citation.page, citation.cell):
            return f"the words stand in {citation.path}, but in other lines, or on another page"
        return None

    def _check_prompt(self, named: str, turn: Turn, receipt: Receipt) -> None:
        why = "its model could not be opened"
        try:
            backend = self._backend_of(str(receipt.model.get("asked_as")))
            why = " and ".join(_differences(backend, receipt.model))
            prompt = None if why else self._prompt(turn, receipt, backend)
        except LongdeskError as error:
            prompt, why = None, f"{why}: {error}"
        if prompt is None:
            self._done.unchecked.append(f"{named}: its prompt was not laid out again; {why.rstrip('.')}.")
        elif prompt_hash(prompt) == receipt.prompt_hash:
            self._done.n_prompts += 1
        else:
            self._done.faults.append(f"{named}: its prompt, laid out again, is not the one that was sent.")

    def _prompt(self, turn: Turn, receipt: Receipt, backend: Backend) -> Prompt:
        """The prompt of a turn, from what is stored."""
        numbers = {sent.path: sent.first_image for sent in receipt.sources if sent.first_image is not None}
        passes, exchanges = receipt.passes, list[Exchange]()
        for index in (*receipt.history, turn.index):
            asked = turn if index == turn.index else self._turns[index]
            sources = [self._sources[sent.path] for sent in receipt.sources if sent.turn == index]
            if passes is not None:  # the notes, at the very beginning
                sources = [] if exchanges else [Source.written(each["path"], each["text"]) for each in passes["sent"]]
            documents = backend.documents(sources, numbers, max_tiles=receipt.settings.get("max_tiles"))
            text = passes["asked"] if passes is not None and asked is turn else asked.question
            last = Exchange(text, documents, thinking=asked_with(asked).sampling.thinking)
            exchanges.append(last if asked is turn else exchange_of(asked, documents, backend))
        return backend.lay_out(exchanges, system=receipt.system, today=date.fromisoformat(receipt.date))


def _count_faults(turn: Turn, receipt: Receipt) -> Iterator[str]:
    n_answer = len(turn.reply_ids) - (turn.thought.n_tokens if turn.thought is not None else 0)
    if turn.vocabulary != "" and receipt.reply_tokens != n_answer:  # a server tells no ids
        yield f"the receipt has {receipt.reply_tokens:,} tokens of reply, and {n_answer:,} are kept"
    if receipt.prompt_tokens != sum(receipt.tokens.values()):
        yield "the tokens of the receipt do not add up to its prompt"


def _differences(backend: Backend, model: Mapping[str, object]) -> Iterator[str]:
    """What of a model is not as it was."""
    about, origin = backend.about, backend.about.origin
    if origin is None:
        yield f"{about.name} is not a file on this machine"
    elif origin.header_digest != model.get("header_digest") or origin.n_bytes != model.get("bytes"):
        yield f"{origin.file} is another model than the one that was asked"
    elif [digest for *_, digest in origin.lora] != [each["digest"] for each in _loras(model)]:
        yield "other LoRA adapters are applied than then"
    elif origin.projector != model.get("projector"):
        yield "images would be read with another projector"
    else:
        kept = model.get("chat_template")  # receipts that are older have none
        if isinstance(kept, Mapping) and kept.get("digest") != about.template.digest:
            yield "another chat template would lay it out"


def _loras(model: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The adapters of a receipt; of one from elsewhere nobody knows what it holds."""
    kept = model.get("lora")
    return [each for each in kept if isinstance(each, Mapping) and "digest" in each] if isinstance(kept, list) else []
