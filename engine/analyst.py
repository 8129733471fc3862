"""Asking a corpus a question: the whole way from sources to events, in one place.

Sessions, settings and the choice of an engine are left to app.desk.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from threading import Event as Flag

from engine.corpus.source import Source
from engine.errors import DoesNotFit, ModelRefused
from engine.memory.budget import Plan, Verdict, Wanted, Weight
from engine.memory.hardware import Hardware
from engine.memory.planner import Measure, make_plan
from engine.opened import OpenModel
from engine.prompt.layout import Exchange, Prompt
from engine.runtime.model import Event, Model, Sampling
from engine.tokens.documents import Document, IdCache

_PIXEL_BYTES = 12  # of an image on its way to the encoder: decoded, as bytes, in llama.cpp, and some
_NAME_TOKENS = 4  # the fewest that a line such as "[image 2]" takes


@dataclass(frozen=True, slots=True)
class Case:
    """A question that has been laid out and planned, but not asked yet."""

    prompt: Prompt
    plan: Plan


def ask(
    question: str,
    sources: Sequence[Source],
    *,
    opened: OpenModel,
    engine: Callable[[Case], Model],
    hardware: Hardware,
    measure: Measure,
    wanted: Wanted,
    sampling: Sampling,
    system: str = "",
    history: Sequence[Exchange] = (),
    numbers: Mapping[str, int] | None = None,
    today: date,
    cache: IdCache,
    cancel: Flag,
) -> Generator[Event, None, None]:
    """Answers a question about sources. Raises DoesNotFit before an engine is asked for, EngineFailed when it breaks.

    history: earlier exchanges with their documents and replies. numbers: what the sources' pictures are called, see
    encode_documents. engine: gives a model with room for the case.
    """
    documents = opened.documents(sources, cache, numbers)
    case = prepare(
        [*history, Exchange(question, documents)],
        opened=opened,
        hardware=hardware,
        measure=measure,
        wanted=wanted,
        system=system,
        today=today,
    )
    refuse_misfit(case.plan)
    refuse_unreadable(case.prompt, opened)
    yield from engine(case).generate(case.prompt, sampling, cancel=cancel)


def prepare(
    exchanges: Sequence[Exchange],
    *,
    opened: OpenModel,
    hardware: Hardware,
    measure: Measure,
    wanted: Wanted,
    system: str,
    today: date,
) -> Case:
    """Lays the prompt out and plans it. Nothing is loaded."""
    prompt = opened.prompt(exchanges, system=system, today=today)
    plan = make_plan(
        opened.card,
        prompt_tokens=prompt.n_tokens,
        wanted=with_pictures(wanted, prompt, opened),
        hardware=hardware,
        measure=measure,
        sources=weights(exchanges, opened),
    )
    return Case(prompt, plan)


def with_pictures(wanted: Wanted, prompt: Prompt, opened: OpenModel) -> Wanted:
    """What is asked of a plan, and what the prompt's pictures need beside it."""
    if not prompt.shown or opened.projector is None:
        return wanted
    most_pixels = max(shown.picture.width * shown.picture.height for shown in prompt.shown)
    most_cells = max(shown.view.n_cells for shown in prompt.shown)
    vision_bytes = opened.projector.memory_bytes(most_cells) + _PIXEL_BYTES * most_pixels
    return replace(wanted, vision_bytes=vision_bytes, at_once=prompt.n_at_once)


def weights(exchanges: Sequence[Exchange], opened: OpenModel) -> tuple[Weight, ...]:
    """Every document of the exchanges with its tokens, for advice on what to leave out or to send smaller."""
    return tuple(
        Weight(
            path=document.path,
            n_tokens=document.n_tokens,
            pages=_pages(document),
            n_pages=document.n_pages or 0,
            within=partial(opened.tokens_within, document) if document.shown else None,
        )
        for exchange in exchanges
        for document in exchange.documents
    )


def _pages(document: Document) -> dict[int, int]:
    """Tokens that each page that is drawn takes at least, by its number."""
    drawn = [shown for shown in document.shown if shown.is_page]
    return {shown.picture.number: shown.view.n_tokens + _NAME_TOKENS for shown in drawn}


def refuse_unreadable(prompt: Prompt, opened: OpenModel) -> None:
    """Raises ModelRefused for pictures whose positions in the prompt follow a rule that is not known here."""
    if any(shown.view.grids is None for shown in prompt.shown):
        raise ModelRefused(
            f"Longdesk cannot show images to {opened.card.name} yet: {opened.card.architecture} models give them "
            "positions in several dimensions (M-RoPE), by a rule of their own.",
            "Leave the images out, or ask a model such as Llama 4, Gemma 3 or Qwen 3 VL.",
        )


def refuse_misfit(plan: Plan) -> None:
    """Raises DoesNotFit, with how much is over and the best advice, unless the plan fits."""
    if plan.fits:
        return
    remedy = " Or: ".join(advice.change for advice in plan.advice[:3])
    if plan.verdict is Verdict.OVER_WINDOW:
        if not plan.over_tokens:
            raise DoesNotFit(f"A context of {plan.context_tokens:,} tokens is more than the model's window.", remedy)
        raise DoesNotFit(
            f"{plan.over_tokens:,} tokens over: the prompt has {plan.prompt_tokens:,} and the reply keeps "
            f"{plan.reply_tokens:,}, of {plan.context_tokens:,}. Nothing was loaded and nothing was cut.",
            remedy,
        )
    short = "; ".join(
        f"{need.short_bytes:,} bytes of memory are missing on {need.device.name}, where KV cache and buffers need "
        f"{need.needed_bytes - need.mapped_bytes:,} and {need.device.free_bytes:,} are free"
        for need in plan.needs
        if need.short_bytes
    )
    raise DoesNotFit(f"{short}. Nothing was loaded.", remedy)
