"""What a session and a turn keep of how they were asked, typed: one way to and from the JSON that the store has."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.settings import KV_TYPES, Settings
from engine.corpus.source import Cause, Skipped
from engine.errors import UsageError
from engine.memory.lora import Lora, in_words
from engine.prompt.choice import OwnTemplate, TemplateUse
from engine.runtime.events import Sampling, Stop
from engine.tokens.tiles import MOST_TILES
from storage.records import Session, Turn

if TYPE_CHECKING:
    from engine.backend import About
    from engine.prompt.makers import Makers

_IN_SAMPLING = {"reply_tokens": "max_tokens"}  # what Sampling calls them
_MAKERS_TOO = sorted(Settings.OWN - {"reply_tokens", "seed", "stops"})  # what a model's makers may say as well
_OLDEST = ("max_tokens", "temperature", "top_p", "min_p", "seed")  # that every turn has
_OFF = ("off", "0")  # values of thinking
_WARMTH = 0.7  # the temperature at which a question is asked again whose reply would otherwise be the same


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """A session keeps what it was begun with until it is changed: it stays as it was read, whatever is set later.

    max_tiles: that an image has at most. draw_pages: see Rules. emptied: the paths of sources that draw_pages left
    nothing of. untitled: the title that nobody chose, '' where somebody did. in_passes, pass_tokens: see Question.
    chat_template: in place of the model's, None for that one. lora: the adapters that it is asked with. date_set: its
    date was chosen, or a question was asked with it: no other takes its place by itself. kv_type: of the KV cache, as
    the last question was asked or as this run was told; kv_note: a sentence where the settings, or the session, had
    another.
    """

    max_tiles: int
    draw_pages: str
    emptied: frozenset[str] = frozenset()
    untitled: str = ""
    in_passes: bool = False
    pass_tokens: int | None = None
    chat_template: OwnTemplate | None = None
    lora: tuple[Lora, ...] = ()
    date_set: bool = False
    kv_type: str = ""
    kv_note: str | None = None

    def with_kv_of(self, turns: Sequence[Turn], settings: Settings) -> "SessionSettings":
        """With the KV type that this model was asked the last of these turns with, which what was saved of them has;
        with that of the settings where it was chosen for this run, or no turn says one that is known here. What another
        model was asked with, this one may not be able to have."""
        ours = (turn.settings for turn in reversed(turns) if turn.settings.get("model") in (None, "", settings.model))
        types = (asked.get("kv_type") for asked in ours)
        before = next((each for each in types if each in KV_TYPES), settings.kv_type)
        if before == settings.kv_type:
            return replace(self, kv_type=before)
        if settings.kv_named:
            note = f"The KV cache is {settings.kv_type} from now on: what was kept in {before} is not used."
            return replace(self, kv_type=settings.kv_type, kv_note=note)
        note = f"The KV cache stays {before}, as the session was asked with; the settings say {settings.kv_type}."
        return replace(self, kv_type=before, kv_note=note)

    def to_json(self, *only: str) -> dict[str, Any]:
        """As the store keeps it; only: of these fields, so that nobody else's change of others is undone."""
        values: dict[str, tuple[str, Any]] = {
            "max_tiles": ("max_tiles", self.max_tiles),
            "draw_pages": ("draw_pages", self.draw_pages),
            "emptied": ("without_pages", sorted(self.emptied)),
            "untitled": ("untitled", self.untitled),
            "in_passes": ("passes", {"tokens": self.pass_tokens} if self.in_passes else None),
            "chat_template": ("chat_template", self.chat_template and self.chat_template.to_json()),
            "lora": ("lora", [(str(each.path), each.scale, each.model) for each in self.lora]),
            "date_set": ("date_set", self.date_set),
        }
        return dict(values[name] for name in only or values)


def begun_with(settings: Settings, *, untitled: str = "") -> SessionSettings:
    """Those of a session that is begun now."""
    return SessionSettings(
        max_tiles=settings.max_tiles,
        draw_pages=settings.draw_pages,
        untitled=untitled,
        chat_template=settings.own_template,
        lora=bound(settings.lora_for(settings.model), settings.model),
    )


def settings_of(session: Session | None, settings: Settings) -> SessionSettings:
    """A session's own; what one has not that is older than a setting, or not begun yet, is the settings'."""
    kept = session.settings if session is not None else {}
    max_tiles, draw_pages, passes = kept.get("max_tiles"), kept.get("draw_pages"), kept.get("passes")
    return SessionSettings(
        max_tiles=max_tiles if isinstance(max_tiles, int) and 1 <= max_tiles <= MOST_TILES else settings.max_tiles,
        draw_pages=draw_pages if isinstance(draw_pages, str) else settings.draw_pages,
        emptied=frozenset(kept.get("without_pages") or ()),
        untitled=str(kept.get("untitled") or ""),
        in_passes=passes is not None,
        pass_tokens=passes["tokens"] if passes is not None else None,
        chat_template=settings.own_template if session is None else kept_template(session, settings.model),
        lora=kept_lora(session, settings, settings.model),
        date_set=bool(kept.get("date_set")),
    )


def kept_template(session: Session, model: str) -> OwnTemplate | None:
    """The chat template that a session goes on with, where this model is asked: its own, where that was chosen for this
    one."""
    kept = session.settings.get("chat_template")
    if not kept or kept["model"] not in ("", model):
        return None
    return OwnTemplate(kept["name"], kept["source"], kept["model"])


def bound(lora: Sequence[Lora], model: str) -> tuple[Lora, ...]:
    """Adapters that go with this model alone."""
    return tuple(replace(each, model=model) for each in lora)


def kept_lora(session: Session | None, settings: Settings, model: str) -> tuple[Lora, ...]:
    """The adapters that a session goes on with, where this model is asked: those that were chosen for this one. The
    settings' own for one that is older than that, and without one."""
    kept = session.settings.get("lora") if session is not None else None
    if kept is None:
        return bound(settings.lora_for(model), model)
    named = (Lora(Path(path), float(scale), of) for path, scale, of in kept)
    return tuple(each for each in named if each.model in ("", model))


def unused_lora(session: Session, model: str) -> str | None:
    """A sentence where a session has adapters that this model is not asked with."""
    kept = session.settings.get("lora") or ()
    named = [Lora(Path(path), float(scale)) for path, scale, of in kept if of not in ("", model)]
    if not named:
        return None
    return f"The session's {in_words(named)} goes with another model, and is left out."


def unused_template(session: Session, model: str) -> str | None:
    """A sentence where a session has a chat template that this model is not asked with."""
    kept = session.settings.get("chat_template")
    if not kept or kept_template(session, model) is not None:
        return None
    return f"The session's chat template {kept['name']} was chosen for another model: this one's own is used."


@dataclass(frozen=True, slots=True)
class Joined:
    """The pictures of one source, as they were sent first. digest: of the source as it was then."""

    path: str
    digest: str
    first_number: int
    n_pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSettings:
    """What a turn was asked with.

    model: the --model value. joined: the pictures that it was the first to send, None for a turn that is older than
    that. refused: files that were attached to it and could not be read. only: the paths that it was asked about, None
    for all that the session has. in_passes, pass_tokens: see Question. template: the name of the one that made the
    question, "" for none. own: see Question. chat_template: which one laid its prompt out, None for a turn that is
    older than that. makers: names of those fields of sampling that are as the model's makers say.
    """

    model: str
    kv_type: str = ""
    sampling: Sampling = Sampling()
    joined: tuple[Joined, ...] | None = None
    refused: tuple[Skipped, ...] = ()
    only: frozenset[str] | None = None
    in_passes: bool = False
    pass_tokens: int | None = None
    template: str = ""
    own: frozenset[str] = frozenset()
    chat_template: TemplateUse | None = None
    makers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the store keeps it."""
        values: dict[str, Any] = {"model": self.model, "kv_type": self.kv_type}
        values |= sampling_json(self.sampling, keep=self.own)
        if self.makers:
            values["makers"] = list(self.makers)
        if self.joined is not None:
            values["joined"] = [astuple(each) for each in self.joined]
        if self.refused:
            values["refused"] = [(one.path, str(one.cause), one.reason) for one in self.refused]
        if self.only is not None:
            values["only"] = sorted(self.only)
        if self.in_passes:
            values["passes"] = {"tokens": self.pass_tokens}
        if self.template:
            values["template"] = self.template
        if self.own or self.template:
            values["own"] = sorted(self.own)
        if self.chat_template is not None:
            values["chat_template"] = asdict(self.chat_template)
        return values


def asked_with(turn: Turn) -> TurnSettings:
    """What a turn was asked with, as far as it was kept."""
    kept, joined, only = turn.settings, turn.settings.get("joined"), turn.settings.get("only")
    passes = kept.get("passes")
    return TurnSettings(
        model=str(kept.get("model") or ""),
        kv_type=str(kept.get("kv_type") or ""),
        sampling=_sampling(kept),
        joined=None if joined is None else tuple(Joined(*each) for each in joined),
        refused=tuple(Skipped(path, Cause(cause), reason) for path, cause, reason in kept.get("refused") or ()),
        only=None if only is None else frozenset(only),
        in_passes=passes is not None,
        pass_tokens=passes["tokens"] if passes is not None else None,
        template=str(kept.get("template") or ""),
        # of a turn that is older than this nobody knows what its template set
        own=frozenset(kept.get("own", Settings.OWN if kept.get("template") else ())),
        chat_template=TemplateUse(**kept["chat_template"]) if kept.get("chat_template") else None,
        makers=tuple(kept.get("makers") or ()),
    )


def sampling_json(sampling: Sampling, keep: Collection[str] = _MAKERS_TOO) -> dict[str, Any]:
    """Its fields, without those that hardly anything sets, where nothing did. keep: those that stay whatever they are,
    of the ones that turns had not before."""
    values, plain = {**asdict(sampling), "stops": list(sampling.stops)}, {**asdict(Sampling()), "stops": []}
    return {name: v for name, v in values.items() if name in _OLDEST or name in keep or v != plain[name]}


def _sampling(kept: Mapping[str, Any]) -> Sampling:
    known = {each.name: kept[each.name] for each in fields(Sampling) if each.name in kept and each.name != "stops"}
    return Sampling(**known, stops=tuple(kept.get("stops") or ()))


def sampling_of(settings: Settings, makers: "Makers | None" = None) -> tuple[Sampling, tuple[str, ...]]:
    """The sampling that the settings ask for, else the model's makers, and which of its fields are as they say. Whoever
    cuts tokens off gets no mirostat, which would take the place of that."""
    here = {name: value for name in _MAKERS_TOO if (value := getattr(settings, name)) is not None}
    theirs = {name: value for name, value in (makers.used if makers else {}).items() if name not in here}
    if not {"top_k", "top_p", "min_p"}.isdisjoint(here):
        theirs = {name: value for name, value in theirs.items() if not name.startswith("mirostat")}
    told: dict[str, Any] = {**theirs, **here}
    told |= {"stops": settings.stops, "thinking": settings.thinking or ""}
    sampling = Sampling(max_tokens=settings.reply_tokens, seed=settings.seed, **told)
    holds = sampling.temperature > 0  # when greedy, only penalties and the temperature say anything
    return sampling, tuple(name for name in theirs if holds or name == "temperature" or name.startswith("repeat"))


def as_asked(settings: Settings, turn: Turn, *, but: Collection[str] = (), goes_on: bool = False) -> Settings:
    """The settings with those that a turn was asked with by itself, be it by a template or by options: it is asked so
    again. goes_on: its reply goes on, which stays as it began, however long it may become. but: names of settings that
    are given anew."""
    asked, kept = asked_with(turn), {*turn.settings, "stops", "thinking"}
    stays = ({*asked.own, *(settings.OWN - {"reply_tokens"} if goes_on else ())} & settings.OWN) - {*but}
    named = {name: it for name in stays if (it := _IN_SAMPLING.get(name, name)) in kept}
    values = {name: getattr(asked.sampling, it) for name, it in named.items()}
    with suppress(UsageError, TypeError):  # a stranger's session may say anything
        return replace(settings, **values)
    return settings


def varied_from(
    before: Sequence[Turn], sampling: Sampling, question: str, prompt_tokens: int
) -> tuple[Sampling, tuple[str, ...]]:
    """The sampling; another where the reply of one of these turns is bound to come again, and a sentence on that."""

    def comes_again(turn: Turn) -> bool:
        return (
            turn.stop in (Stop.END, Stop.LENGTH)
            and turn.question == question
            and turn.prompt_tokens == prompt_tokens
            and replace(asked_with(turn).sampling, max_tokens=sampling.max_tokens) == sampling
        )

    settled = sampling.temperature == 0 or sampling.seed is not None
    if not settled or not any(map(comes_again, before)):
        return sampling, ()
    varied = replace(sampling, temperature=sampling.temperature or _WARMTH, seed=None)
    how = f"at temperature {varied.temperature:g}" if sampling.temperature == 0 else "with another seed"
    return varied, (f"Asked again {how}: as before, it would give the same reply.",)


@dataclass(frozen=True, slots=True)
class Switching:
    """thinking: see Sampling. notice: a sentence where words decided it."""

    thinking: str
    notice: str | None = None


def switching(question: str, system: str, turns: Sequence[Turn], *, about: "About", settings: Settings) -> Switching:
    """How the question is asked to be thought about: by its own words, else by the settings, else by what an earlier
    one has said, where that holds. turns: those before, on its branch."""
    words, wish = about.typed, settings.thinking or ""
    if not words.both:
        return Switching(wish)
    whose = "The standing instruction" if words.role == "system" else "The question"
    text = system if words.role == "system" else question
    if word := words.typed_in(text):
        return _as_said(words.told_in(text), wish, f"{whose} says {word}")
    if not wish and words.holds:
        return _held(turns, about)
    return Switching(wish)


def _as_said(told: str, wish: str, who: str) -> Switching:
    thinking = wish if told == "on" and wish.isdigit() and wish not in _OFF else told
    return Switching(thinking, f"{who}: it is asked with thinking {told}.")


def _held(turns: Sequence[Turn], about: "About") -> Switching:
    """What the last question has said that said anything, unless an option was given since."""
    for turn in reversed(turns):
        told, asked = about.typed.told_in(turn.question), asked_with(turn).sampling.thinking
        if told:
            return _as_said(told, "", f"An earlier question says {about.typed.typed_in(turn.question)}, which holds")
        if asked:
            since = [about.typed.told_in(each.question) for each in turns if each.index < turn.index]
            last = next((each for each in reversed(since) if each), "")
            if not last or (last == "off") != (asked in _OFF):
                return Switching("")
    return Switching("")
