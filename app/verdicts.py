"""What is said of a plan: the verdict, how much is over or missing, what would make it fit, and what cannot be seen.
Also how long reading takes, for the first time and again.

Worded once, for the page, the command line and exceptions alike. The figures, and which advice there is, are
engine.memory's.
"""

from collections.abc import Callable, Sequence

from app.sizes import show_bytes
from engine.backend import Advice, Device, Plan, Verdict, Weight
from engine.corpus.wording import counted, listed
from engine.errors import DoesNotFit

CANNOT_SEE = "the model cannot see"
NOT_SENT = f"not sent: {CANNOT_SEE}"

_VERDICTS = {
    Verdict.FITS: "It fits.",
    Verdict.SLOW: "It fits, but slowly: the weights do not fit into free memory and are read from disk again and "
    "again.",
    Verdict.OVER_WINDOW: "It does not fit into the window.",
    Verdict.OVER_MEMORY: "It does not fit into memory.",
}
_KV_WORDS = {"q8_0": "in 8 bits", "q4_0": "in 4 bits, which some models feel"}
_MOST_NAMED = 12  # sources that an advice names
_OFFERED = 3  # advice that a refusal names; reading in passes is always among it
_WORTH_SAYING_S = 2.0  # of reading again
_WORTH_SAYING_TOKENS = 1_000  # where the speed is not known


def verdict(plan: Plan) -> str:
    """Whether it fits, in a sentence; of a server that says what it has room for, when."""
    capacity = plan.capacity
    if capacity is None:
        return _VERDICTS[plan.verdict]
    if capacity.never(plan.needed_tokens):
        return f"It never fits: the server's KV cache holds {capacity.total or 0:,} tokens."
    if plan.verdict is not Verdict.FITS:
        return _VERDICTS[plan.verdict]
    n_before = capacity.before(plan.needed_tokens)
    if not n_before:
        return "It fits now."
    return f"It fits when {counted(n_before, 'other is', 'others are')} done."


def room_on_server(plan: Plan) -> str:
    """What a server has room for, as far as it says; "" where it says nothing."""
    capacity = plan.capacity
    if capacity is None:
        return ""
    words = []
    if capacity.total is not None:
        free = max(0, capacity.total - capacity.used)
        words.append(f"KV cache {capacity.total:,} tokens, {free:,} free")
    if capacity.slots is not None:
        words.append(f"{capacity.running:,} of {counted(capacity.slots, 'slot')} busy")
    elif capacity.running:
        words.append(f"{capacity.running:,} running")
    if capacity.waiting:
        words.append(f"{capacity.waiting:,} waiting")
    return ", ".join(words) or "idle"


def tokens_over(plan: Plan) -> str:
    """By how much a plan is over the window, without a full stop; ~ marks an estimate."""
    if plan.over_tokens:
        return f"{'~' if 'prompt_tokens' in plan.estimated else ''}{counted(plan.over_tokens, 'token')} over"
    return f"A context of {plan.context_tokens:,} tokens is more than the model's window"


def memory_missing(plan: Plan, *, exact: bool = False) -> str:
    """What is missing on each device that has too little, without a full stop. exact: to the byte."""
    size, unit = ("{:,}".format, " bytes") if exact else (show_bytes, "")
    return "; ".join(
        f"{size(need.short_bytes)}{unit} of memory are missing on {need.device.name}, where KV cache and buffers need "
        f"{size(need.needed_bytes - need.mapped_bytes)} and {size(need.device.free_bytes)} are free"
        f"{_promised(need.device, size, unit)}"
        for need in plan.needs
        if need.short_bytes
    )


def _promised(device: Device, size: Callable[[int], str], unit: str) -> str:
    """That other processes were promised some of it."""
    if not device.promised_bytes:
        return ""
    return f"; {size(device.promised_bytes)}{unit} more wait for an engine of another Longdesk"


def refuse_misfit(plan: Plan) -> None:
    """Raises DoesNotFit, with how much is over and the best advice, unless the plan fits."""
    if plan.fits:
        return
    others = (advice for advice in plan.advice[_OFFERED:] if advice.in_passes or advice.rope_scaling is not None)
    offered = (*plan.advice[:_OFFERED], *others)
    remedy = " Or: ".join(change(plan, advice) for advice in offered)
    if plan.verdict is Verdict.OVER_MEMORY:
        if any(need.short_bytes and need.device.promised_bytes for need in plan.needs):
            remedy = " Or: ".join(filter(None, ("Wait until the other Longdesk is done, or end it.", remedy)))
        raise DoesNotFit(f"{memory_missing(plan, exact=True)}. Nothing was loaded.", remedy)
    if not plan.over_tokens:
        raise DoesNotFit(f"{tokens_over(plan)}.", remedy)
    done = "loaded" if plan.placement is not None else "sent"
    about = "~" if "prompt_tokens" in plan.estimated else ""
    thoughts = f", thoughts before it {plan.thinking_tokens:,}" if plan.thinking_tokens else ""
    raise DoesNotFit(
        f"{tokens_over(plan)}: the prompt has {about}{plan.prompt_tokens:,} and the reply keeps "
        f"{plan.reply_tokens:,}{thoughts}, of {plan.room:,}. Nothing was {done} and nothing was cut.",
        remedy,
    )


def change(plan: Plan, advice: Advice, *, options: bool = True) -> str:
    """What to do, in a sentence. options: with the command line's; a page has a click in their place."""
    if advice.in_passes:
        and_context = f"; use a context of {advice.n_ctx:,} tokens" if advice.n_ctx is not None else ""
        flags = "--pass-tokens auto" + (f" --ctx {advice.n_ctx}" if advice.n_ctx is not None else "")
        passes = "Read the files in passes, slice by slice, with nothing left out"
        return f"{passes}{_named(f'ask {flags}', options) or and_context}."
    if advice.without_turns:
        oldest = counted(advice.without_turns, "oldest question", "oldest questions")
        flags = _named(f"sessions fork ID --last {advice.keeps_turns}", options)
        less = f"{counted(advice.saves_tokens, 'token')} less"
        return f"Go on in a copy of the session without its {oldest}, {less}{flags}; this session stays as it is."
    if advice.max_tiles is not None or advice.fewer_pages is not None or advice.sources:
        return _less_to_read(advice, options)
    if advice.rope_scaling is not None:
        flags = f"--rope-scaling {advice.rope_scaling} --ctx {advice.n_ctx}"
        where = _named(flags, options) or f"; longdesk up {flags}, or rope_scaling and n_ctx in config.toml"
        return f"Stretch the model's window to {advice.n_ctx:,} tokens, at the cost of worse answers{where}."
    if advice.n_ctx is not None:
        return _another_context(plan, advice, advice.n_ctx, options)
    if advice.kv_type is not None:
        return f"Store the KV cache {_kv_words(advice.kv_type)}{_named(f'--kv {advice.kv_type}', options)}."
    if advice.reply_tokens is not None:
        shorter = advice.reply_tokens
        flags = _named(f"--max-tokens {shorter}, with plan --reply {shorter}", options)
        return f"Keep {counted(shorter, 'token')} for the reply instead of {plan.reply_tokens:,}{flags}."
    if advice.thinking is not None:
        return _fewer_thoughts(plan, advice.thinking, options)
    if advice.n_ubatch is not None:
        return f"Compute fewer tokens at once, which is slower{_named(f'--ubatch {advice.n_ubatch}', options)}."
    if advice.kv_device is not None:
        return f"Let Longdesk place the KV cache{_named(f'--kv-device {advice.kv_device}', options)}."
    if advice.swa_full is not None:
        leave = "Leave --swa-full out" if options else "Let windowed layers keep only what they see"
        return f"{leave}: answers stay the same."
    if advice.other_window is not None:
        return f"Use a model with a window of at least {advice.other_window:,} tokens; this one has {plan.window:,}."
    short = ", ".join(
        f"{need.short_bytes / (1 << 30):,.1f} GiB of {need.device.name}" for need in plan.needs if need.short_bytes
    )
    return f"Free {short}: close other programs, or use a smaller model or quantization."


def _fewer_thoughts(plan: Plan, thinking: str, options: bool) -> str:
    flags = _named(f"--thinking {thinking}", options)
    if thinking == "off":
        return f"Let the model answer without thinking, {counted(plan.thinking_tokens, 'token')} less{flags}."
    most = counted(int(thinking), "token")
    return f"Let the model think for {most} at most instead of {plan.thinking_tokens:,}{flags}."


def _kv_words(kv_type: str) -> str:
    return _KV_WORDS.get(kv_type, f"as {kv_type}")


def _named(flags: str, options: bool) -> str:
    return f" ({flags})" if options else ""


def _another_context(plan: Plan, advice: Advice, n_ctx: int, options: bool) -> str:
    kv_type = advice.kv_type
    flags = _named(f"--kv {kv_type} --ctx {n_ctx}" if kv_type is not None else f"--ctx {n_ctx}", options)
    if plan.verdict is not Verdict.OVER_WINDOW:
        with_kv = f" with the KV cache {_kv_words(kv_type)}" if kv_type is not None and not options else ""
        return f"Use a context of {n_ctx:,} tokens{with_kv}{flags}."
    if n_ctx > plan.context_tokens:
        return f"Use a larger context{flags}; the model's window is {plan.window:,} tokens."
    return f"Use a context of at most {n_ctx:,} tokens, the model's window{flags}."


def _less_to_read(advice: Advice, options: bool) -> str:
    saved, fewer = f"{counted(advice.saves_tokens, 'token')} less", advice.fewer_pages
    if advice.max_tiles is not None:
        tiles = counted(advice.max_tiles, "tile")
        less = f"Scale images down to {tiles} at most, {saved}{_named(f'--max-tiles {advice.max_tiles}', options)}"
    elif fewer is not None:
        fit = "fits: send that one alone" if fewer.n_left == 1 else "fit: send those alone"
        where = fewer.paths[0] if len(fewer.paths) == 1 else f"{len(fewer.paths):,} files"
        less = f"{fewer.n_left:,} of the {fewer.n_drawn:,} drawn pages of {where} {fit}, {saved}"
        less += _named(f"--draw-pages {fewer.pages}", options)
    else:
        less = _leave_out(advice.sources, options)
    if advice.n_ctx is None:
        return f"{less}."
    return f"{less}, and use " + (f"--ctx {advice.n_ctx}." if options else f"a context of {advice.n_ctx:,} tokens.")


def _leave_out(sources: Sequence[Weight], options: bool) -> str:
    shown = ", ".join(f"{source.path} ({source.n_tokens:,})" for source in sources[:_MOST_NAMED])
    n_more = len(sources) - _MOST_NAMED
    more = f" and {n_more:,} more{_named('--json names all', options)}" if n_more > 0 else ""
    return f"Leave out {shown}{more}"


def unseen_notice(paths: Sequence[str], model_name: str, unfit: Sequence[str]) -> str:
    """Which sources' images a question leaves out. unfit: sentences on projectors that lie there and do not serve."""
    not_sent = f"{model_name} cannot see: the images of {listed(paths)} are not sent."
    stay = "They stay in the session, for a model that sees or this one with its mmproj file."
    return " ".join((not_sent, *unfit, stay))


def unseen_markdown(paths: Sequence[str], model_name: str, unfit: Sequence[str], *, plain: Callable[[str], str]) -> str:
    """The same before anything is asked, as Markdown. plain: makes Markdown of text that comes from files."""
    images = "The image is" if len(paths) == 1 else f"The images of {len(paths):,} files are"
    return " ".join(
        (
            f"**{plain(listed(paths))}: {plain(model_name)} cannot see.** {images} not sent.",
            *map(plain, unfit),
            "Choose a model with a vision projector, put this model's mmproj file beside it, or name it: "
            "`longdesk up --model FILE.gguf --mmproj FILE.gguf`.",
            "They stay here and are sent as soon as the model can see.",
        )
    )


def why_unseen(n_pages: int, unfit: Sequence[str], nature: str = "") -> str:
    """Why a source that is nothing but pictures is skipped. n_pages: of a scan, 0 for an image. unfit: as above.
    nature: see Source."""
    what = f": {nature}" if nature else ""
    pages = f"{counted(n_pages, 'page')} without text{what}, and " if n_pages else ""
    remedy = "choose one with a vision projector, or put its mmproj file beside it"
    return f"{pages}{CANNOT_SEE}; {' '.join((*unfit, remedy.capitalize())) if unfit else remedy}"


def rereading(
    prompt_tokens: int, reused_tokens: int | None, tokens_per_s: float | None, *, read_tokens: int
) -> str | None:
    """ "Re-reading 61,200 tokens, about 6 min"; None where next to nothing is lost.

    reused_tokens: of the prompt, what need not be read again; None where nobody can tell. tokens_per_s: None where it
    was not measured. read_tokens: what the session's last question had read, its reply included; 0 for none: what is
    read for the first time is not lost.
    """
    if reused_tokens is None:
        return None
    lost = min(read_tokens, prompt_tokens) - reused_tokens
    if tokens_per_s is None:
        return f"Re-reading {lost:,} tokens" if lost >= _WORTH_SAYING_TOKENS else None
    seconds = lost / tokens_per_s
    return f"Re-reading {lost:,} tokens, about {_about(seconds)}" if seconds >= _WORTH_SAYING_S else None


def first_reading(n_tokens: int, seconds: float | None, *, is_guess: bool = False, is_first: bool = True) -> str:
    """ "The first question reads 3,412 tokens, about 25 s on this machine. Later ones read only what is new."

    n_tokens: that are to be read. seconds: None where nobody can tell. is_guess: they were not measured, and are
    rounded to one figure. is_first: of the session; else of those that this model is asked.
    """
    which = "first" if is_first else "next"
    took = ""
    if seconds is not None and is_guess:
        about = _about(_to_one_figure(max(seconds, 1.0)))
        took = f", ~{about} on this machine (a guess: this model read nothing here yet)"
    elif seconds is not None:
        took = f", about {_about(max(seconds, 1.0))} on this machine"
    return f"The {which} question reads {counted(n_tokens, 'token')}{took}. Later ones read only what is new."


def about_time(seconds: float, *, is_guess: bool = False) -> str:
    """ "about 12 min"; "~10 min" where it was not measured, in one figure."""
    return f"~{_about(_to_one_figure(max(seconds, 1.0)))}" if is_guess else f"about {_about(max(seconds, 1.0))}"


def _to_one_figure(seconds: float) -> float:
    """Of the unit that it is said in: 40 s, 2 min."""
    unit = 1.0 if seconds < 90 else 60.0 if seconds < 90 * 60 else 3600.0
    return float(f"{seconds / unit:.0e}") * unit


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
