"""Trying an engine over HTTP: what it says of itself, in words and as JSON; what is wrong comes as an error."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

from app.connections.keeping import entered
from app.connections.named import NamedEngine, prices_words
from app.verdicts import room_on_server
from engine.backend import About, Capacity, Prompt, Wanted
from engine.corpus.formats.reader import draw
from engine.remote.servers import look_at

_MOST_NAMED = 20  # models that are listed in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What an engine said of itself. name: that it has here, '' for none. model, models: the one that is asked, and all
    that it lists. capacity: what it has room for now, None where it does not say. seconds: that saying it took."""

    name: str
    about: About
    model: str
    models: tuple[str, ...]
    capacity: Capacity | None
    room: str
    seconds: float

    def rows(self) -> tuple[tuple[str, str], ...]:
        """A name and what it is, each in words."""
        about, n_more = self.about, len(self.models) - _MOST_NAMED
        more = f" and {n_more:,} more" if n_more > 0 else ""
        return (
            ("Engine", about.server),
            ("Model", self.model),
            ("Window", _window_words(about)),
            ("Images", "it sees them" if about.sees else "it does not see them"),
            ("Counts", f"~ {about.how_counted}" if about.how_counted else "exact, by its own count"),
            ("Room now", self.room or "it does not say"),
            ("Price", prices_words(about.prices) if about.prices else "none is known"),
            ("Models", ", ".join(self.models[:_MOST_NAMED]) + more),
            ("Told in", f"{self.seconds:.1f} s"),
        )

    def to_json(self) -> dict[str, Any]:
        about, capacity = self.about, self.capacity
        return {
            "name": self.name or None,
            "server": about.server,
            "model": self.model,
            "models": list(self.models),
            "window": about.window,
            "window_is_assumed": about.window_is_assumed,
            "sees": about.sees,
            "counts_exactly": about.counts_exactly,
            "how_counted": about.how_counted or None,
            "capacity": capacity
            and {
                "total": capacity.total,
                "used": capacity.used,
                "running": capacity.running,
                "waiting": capacity.waiting,
            },
            "prices": about.prices and about.prices.to_json(),
            "seconds": round(self.seconds, 3),
        }


def _window_words(about: About) -> str:
    if about.window_is_assumed:
        return f"~ it does not say: {about.window:,} tokens are assumed, until the connection has a window of its own"
    return f"{about.window:,} tokens"


def try_engine(engine: NamedEngine) -> Trial:
    """Asks an engine what it is; no model is asked anything. Raises UsageError, ModelRefused or EngineFailed."""
    begun = perf_counter()
    backend = look_at(engine.address, entered(engine), draw)
    try:
        plan = backend.plan(Prompt(()), Wanted())
        return Trial(
            name=engine.name,
            about=backend.about,
            model=backend.model,
            models=backend.models(),
            capacity=plan.capacity,
            room=room_on_server(plan),
            seconds=perf_counter() - begun,
        )
    finally:
        backend.close()
