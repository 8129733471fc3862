"""Which kept KV state a prompt may start from, and what of a running engine's is worth keeping.

Files are found by what they hold, whoever made them. The running engine itself is `engines`', room on the disk is
`snapshots`'.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import LongdeskError
from engine.memory.content import Contents, is_read
from engine.runtime.binding import Binding, binding_from
from engine.runtime.chain import BLOCK, blocks_in, chain, tokens_in
from engine.runtime.checkpoint import Speeds
from engine.runtime.state_file import is_loss
from engine.runtime.worker_model import SavedState
from engine.tokens.encode import Ids
from storage.snapshots import Match, Snapshot
from storage.store import Store

_MOST_TRIED = 8  # states that share most are looked at more closely by the engine
_PARTS = 4
_BYTES_PER_S = 500 << 20  # of writing a state, until it was measured
_MEASURABLE_S = 0.05
_SMALL_BYTES = 64 << 20  # written in a moment
_TOKENS_PER_S = 100.0  # of prefill, likewise


@dataclass(frozen=True, slots=True)
class Found:
    """States that may hold a beginning of a prompt, best first, and how many tokens of it the best one shares.

    unproved_tokens: what the best one shares that may or may not be this model's: its files were not read yet.
    """

    paths: tuple[Path, ...] = ()
    n_tokens: int = 0
    remark: str | None = None  # why a better one is not used
    unproved_tokens: int = 0


class States:
    """The KV states of a home, for one running engine. Not thread-safe, but for `find`.

    speeds: in place of what is measured; None to measure.
    """

    def __init__(self, store: Store, contents: Contents, speeds: Speeds | None = None) -> None:
        self._store, self._contents, self._speeds = store, contents, speeds
        self._tokens_per_s, self._bytes_per_s = _TOKENS_PER_S, float(_BYTES_PER_S)

    def find(self, ids: Ids, binding: Binding) -> Found:
        """What of a prompt is on disk, made with the same model and settings."""
        usable: list[Path] = []
        shared, unproved, unusable = 0, 0, (0, "")
        for match in self._store.snapshots.matches(chain(ids)):
            made_with = self._binding(match)
            other = "another version of Longdesk" if made_with is None else binding.mismatch(made_with)
            if made_with is not None and other is None:
                doubts = _doubts(binding, made_with)
                if doubts and all(is_read(content) for content, _ in doubts):
                    unproved = max(unproved, _shared(match, len(ids)))
                    continue
                other = next(
                    (f"{what} that was changed or moved since" for kept, what in doubts if not is_read(kept)), None
                )
            if other is None:
                usable.append(match.snapshot.path)
                if (n_tokens := _shared(match, len(ids))) > shared:
                    shared = n_tokens
            else:
                unusable = max(unusable, (tokens_in(match.n_blocks), other), key=lambda each: each[0])
        n_tokens, other = unusable
        remark = None
        if is_loss(n_tokens - shared, n_prompt=len(ids)):
            remark = f"A KV state of {n_tokens:,} of these tokens is kept, but it was made with {other}."
        return Found(tuple(usable[:_MOST_TRIED]), shared, remark, unproved)

    def measured(self, *, n_tokens: int, seconds: float) -> None:
        """So many tokens were read in so much time."""
        if n_tokens >= BLOCK and seconds > 0:
            self._tokens_per_s = n_tokens / seconds

    @property
    def tokens_per_s(self) -> float:
        return self._speeds.tokens_per_s if self._speeds else self._tokens_per_s

    @property
    def bytes_per_s(self) -> float:
        return self._speeds.bytes_per_s if self._speeds else self._bytes_per_s

    def gain(self, held: Ids, binding: Binding) -> int:
        """Tokens of what an engine holds that no state on disk holds."""
        return len(held) - self.find(held, binding).n_tokens

    def is_worth(self, gain: int, n_bytes: int) -> bool:
        """Whether reading so many tokens again would take longer than half of writing n_bytes does."""
        costs_nothing = n_bytes <= _SMALL_BYTES
        return gain > 0 and (costs_nothing or gain / self.tokens_per_s >= 0.5 * n_bytes / self.bytes_per_s)

    def record(
        self,
        saved: SavedState,
        binding: Binding,
        session_id: str,
        *,
        model_name: str,
        seconds: float = 0.0,
        can_go_back: bool = True,
    ) -> tuple[Path, ...]:
        """Enters a state that was written; the files that it makes needless, for the caller to unlink.

        Needless are the session's own states that this one continues; where it cannot go back into its corpus, as with
        sliding windows, some of them at a distance stay. Raises UsageError without such a session.
        """
        blocks = chain(saved.ids)
        self._store.snapshots.record(
            path=saved.path,
            binding=binding.fields(),
            n_tokens=len(saved.ids),
            n_bytes=saved.n_bytes,
            blocks=blocks,
            session_id=session_id,
            model_name=model_name,
        )
        if seconds > _MEASURABLE_S:
            self._bytes_per_s = saved.n_bytes / seconds
        continued = [
            match.snapshot
            for match in self._store.snapshots.matches(blocks)
            if match.snapshot.path != saved.path
            and match.n_blocks == blocks_in(match.snapshot.n_tokens)
            and match.snapshot.n_tokens <= len(saved.ids)
            and self._binding(match) == binding
            and set(match.snapshot.session_ids) <= {session_id}
        ]
        staying = () if can_go_back else _at_a_distance(continued, len(saved.ids))
        needless = tuple(snapshot.path for snapshot in continued if snapshot.path not in staying)
        for path in needless:
            self._store.snapshots.forget(path)
        return needless

    def _binding(self, match: Match) -> Binding | None:
        """What a state was made with, as well as it is known now; None for one that another version entered."""
        with suppress(TypeError, KeyError):
            made_with = binding_from(match.snapshot.binding)
            return self.known(made_with) if made_with.content else None
        return None

    def known(self, binding: Binding) -> Binding:
        """What a state was made with, as well as it is known now: files may have been read since."""
        content, projector = map(self._contents.resolve, (binding.content, binding.projector))
        return replace(binding, content=content, projector=projector)

    def used(self, paths: Sequence[Path], session_id: str) -> None:
        """The best of these was handed to the engine."""
        for path in paths[:1]:
            with suppress(LongdeskError):
                self._store.snapshots.touch(path, session_id=session_id)


def _doubts(binding: Binding, made_with: Binding) -> list[tuple[str, str]]:
    """What a state was made with that may or may not be what is there now: what its file held, and what to call it."""
    files = [(binding.content, made_with.content, "a model file")]
    if binding.projector and made_with.projector:
        files.append((binding.projector, made_with.projector, "a vision projector"))
    return [(kept, what) for ours, kept, what in files if ours != kept]


def _at_a_distance(snapshots: Iterable[Snapshot], n_tokens: int) -> tuple[Path, ...]:
    """States from which an edit of a prompt of n_tokens can go on: a quarter of it apart, and from its end."""
    staying, last = [], 0
    for snapshot in sorted(snapshots, key=lambda each: each.n_tokens):
        if last + n_tokens / _PARTS <= snapshot.n_tokens <= n_tokens - n_tokens / _PARTS / 2:
            staying.append(snapshot.path)
            last = snapshot.n_tokens
    return tuple(staying)


def _shared(match: Match, n_tokens: int) -> int:
    """Tokens that a state shares with a prompt of so many: all of its own where all its whole blocks are shared."""
    snapshot = match.snapshot
    is_whole = match.n_blocks == blocks_in(snapshot.n_tokens)
    return min(snapshot.n_tokens, n_tokens) if is_whole else tokens_in(match.n_blocks)
