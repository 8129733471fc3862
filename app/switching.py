"""Words of a question, or of a standing instruction, that turn thinking on and off as the model's makers have it: what
the next question is asked with. Which words these are is engine.prompt's to know."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.session_settings import asked_with
from app.settings import Settings
from engine.backend import About
from storage.records import Turn

_OFF = ("off", "0")


@dataclass(frozen=True, slots=True)
class Switching:
    """thinking: see Sampling. notice: a sentence where words decided it."""

    thinking: str
    notice: str | None = None


def switching(question: str, system: str, turns: Sequence[Turn], *, about: About, settings: Settings) -> Switching:
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


def _held(turns: Sequence[Turn], about: About) -> Switching:
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
