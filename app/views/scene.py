"""All that one drawing of the asking page shows, read once from the store, the jobs and the model."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import streamlit as st

from app import state
from app.costs import cost_words, total_words
from app.images.albums import Album
from app.jobs import Job, Progress
from app.markdown import sentence_of
from app.pass_plans import Outlook, PassPlans
from app.previews import Budget, Preview, budget_of, key_of
from engine.backend import About, Plan, Skipped
from engine.errors import LongdeskError
from storage.records import KeptNote, Session, SessionOverview, SourceLink, Turn


@dataclass(frozen=True, slots=True)
class Scene:
    """A session, or the empty desk. about, plan and budget are None where the model cannot be used: error says why.

    turns: of the current branch. done: those that have ended and stand above what runs or was asked last. pending: the
    index of the turn that runs, or that the next question will have. resumed: the turn whose reply goes on now.
    progress: of the job, as it was before the turns were read: what it has done since, the next drawing shows.
    coming: the id of a session that is begun once its first files are read. later: the question that waits for files.
    in_passes, pass_tokens: as in Question. outlook: how the next question would be read in passes, where it
    is to be or has to be; unfinished: how the last one would go on, which was stopped while it was read so.
    narrowing: where all does not fit, the names of templates that ask about so little of it that this fits.
    """

    session: Session | None
    coming: str | None = None
    later: str | None = None
    turns: tuple[Turn, ...] = ()
    done: tuple[Turn, ...] = ()
    pending: int = 0
    resumed: Turn | None = None
    links: tuple[SourceLink, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    kept_notes: tuple[KeptNote, ...] = ()
    job: Job | None = None
    progress: Progress | None = None
    about: About | None = None
    preview: Preview | None = None
    plan: Plan | None = None
    budget: Budget | None = None
    error: LongdeskError | None = None
    in_passes: bool = False
    pass_tokens: int | None = None
    outlook: Outlook | None = None
    unfinished: Outlook | None = None
    narrowing: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether a question about all of it can be asked, as far as room goes."""
        return self.in_passes or self.plan is None or self.plan.fits

    @property
    def costs(self) -> tuple[str, ...]:
        """Sentences on what the next question costs, in passes where it is read so, and what the session has cost, its
        other branches too; none where tokens have no price."""
        ahead = self.preview.cost if self.preview is not None else None
        if self.in_passes and self.outlook is not None and self.outlook.outline is not None:
            ahead = self.outlook.outline.cost
        told = [f"{cost_words(ahead)}."] if ahead is not None else []
        if self.session is not None and any((turn.receipt or {}).get("cost") for turn in self.turns):
            spent = state.house().desk.cost(self.session.id)
            told += [f"This session so far: {total_words(spent)}."] if spent is not None else []
        return tuple(told)

    @property
    def slices(self) -> tuple[int, ...]:
        """Tokens of each, where the sources are read in passes and that is worked out."""
        outline = self.outlook.outline if self.outlook is not None and self.in_passes else None
        return tuple(each.n_tokens for each in outline.slices) if outline is not None else ()

    @property
    def sees(self) -> bool:
        """Whether the model can be shown images."""
        return self.about is not None and self.about.sees

    @property
    def albums(self) -> Mapping[str, Album]:
        """The pictures of the session's sources, by path; none where nothing was counted."""
        return self.preview.albums if self.preview else {}

    @property
    def unseen(self) -> tuple[str, ...]:
        """The paths of sources whose pictures the next question leaves out, for the model cannot see."""
        if self.error is not None or self.sees:
            return ()
        return self.preview.unseen if self.preview else ()

    @property
    def session_id(self) -> str | None:
        return self.session.id if self.session else self.coming

    @property
    def running(self) -> Turn | None:
        """The turn that has not ended, in whichever process."""
        return self.turns[-1] if self.turns and self.turns[-1].stop is None else None

    @property
    def busy(self) -> bool:
        return self.running is not None or (self.progress is not None and self.progress.running)

    @property
    def empty(self) -> bool:
        return self.session is None or not (self.turns or self.links or self.skipped or self.job)

    @property
    def blocked(self) -> str | None:
        """Why nothing can be asked now."""
        if self.busy:
            return "An answer is running. Stop it, or wait, to ask the next"
        if self.later is not None:
            return "A question waits until the files are read"
        if self.error is not None:
            return "Asking needs a model that can be used"
        if self.in_passes and self.outlook is not None:
            if self.outlook.error is not None:
                return "It cannot be read in passes: leave something out first"
            return "The passes are being worked out" if self.outlook.outline is None else None
        if not self.fits and not self.narrowing:
            return "It does not fit: leave something out first"
        return None


def look() -> Scene:
    """The scene of this tab. An address that names no session leads to the empty desk, and says so."""
    house = state.house()
    wanted = state.session_id()
    if wanted is None:
        return _counted(Scene(None))
    additions = house.additions
    later = next((each.standing.question for each in additions.of(wanted) if each.standing.question), None)
    if additions.is_coming(wanted):
        return _counted(Scene(None, coming=wanted, later=later))
    try:
        seen, job, progress = _seen_with_job(wanted)
        scene = Scene(
            seen.session,
            turns=seen.turns,
            links=seen.links,
            skipped=seen.skipped,
            kept_notes=seen.kept_notes,
            job=job,
            progress=progress,
            later=later,
        )
        scene = _going_on(scene, seen.next_index)
    except LongdeskError as error:
        state.say(sentence_of(error))
        state.go_to(None)
        scene = Scene(None)
    return _counted(scene)


def _seen_with_job(wanted: str) -> tuple[SessionOverview, Job | None, Progress | None]:
    """A session by its id, or what that begins with; how far its job was before. Raises UsageError as Desk.session."""
    house = state.house()
    job = house.jobs.of(wanted)
    progress = job.progress if job is not None else None
    seen = house.desk.session(wanted)
    return (seen, job, progress) if seen.session.id == wanted else _seen_with_job(seen.session.id)


def _going_on(scene: Scene, next_index: int) -> Scene:
    """The scene with what stands above the turn that runs, be it in another one's place or one that goes on."""
    done = tuple(turn for turn in scene.turns if turn.stop is not None)
    if scene.running is not None:
        return replace(scene, done=done, pending=scene.running.index)
    if scene.job is None or not scene.busy:
        return replace(scene, done=done, pending=next_index)
    question = scene.job.question
    at = question.goes_on if question.goes_on is not None else question.beside
    if at is not None and scene.session is not None:
        done = state.house().desk.turns_before(scene.session.id, at)
    if question.goes_on is None:
        return replace(scene, done=done, pending=next_index)
    resumed = next((turn for turn in scene.turns if turn.index == at), None)
    return replace(scene, done=done, pending=question.goes_on, resumed=resumed)


def _counted(scene: Scene) -> Scene:
    """The scene with what its next question costs, where the model can be used."""
    house = state.house()
    try:
        about = house.desk.about(scene.session)
        preview = None
        if scene.session is not None:
            with st.spinner("Counting tokens"):
                preview = house.previews.of(scene.session, scene.links, scene.turns, asked_of=about)
        plan = preview.plan if preview else house.desk.plan()
    except LongdeskError as error:
        return replace(scene, error=error)
    own = house.desk.settings_of(scene.session)
    scene = replace(
        scene,
        about=about,
        preview=preview,
        plan=plan,
        budget=budget_of(preview, plan, about.window, house.desk.settings.n_ctx),
        in_passes=own.in_passes,
        pass_tokens=own.pass_tokens,
    )
    scene = _narrowed(scene) if not scene.fits else scene
    return _in_passes(scene, house.pass_plans) if scene.links and preview is not None else scene


def _narrowed(scene: Scene) -> Scene:
    """The scene with the templates that ask about some of the sources alone, and fit."""
    house, found = state.house(), list[str]()
    sent = [link for link in scene.links if link.enabled]
    for each in house.desk.templates.all():
        only = frozenset(link.path for link in sent if link.kind in each.sources)
        if scene.session is None or not 0 < len(only) < len(sent):
            continue
        with suppress(LongdeskError):  # then it cannot be asked so either
            preview = house.previews.of(scene.session, scene.links, scene.turns, asked_of=scene.about, only=only)
            found += [each.name] if preview.plan.fits else []
    return replace(scene, narrowing=tuple(found))


def _in_passes(scene: Scene, plans: PassPlans) -> Scene:
    """The scene with how it would be read in passes; nothing is worked out for that while an answer runs."""
    assert scene.session is not None and scene.plan is not None
    if not scene.in_passes and scene.plan.fits:
        return _unfinished(scene, plans)
    if scene.busy:
        return replace(scene, outlook=plans.last(scene.session.id))
    key = key_of(scene.session, scene.links, scene.turns, asked_of=scene.about)
    return _unfinished(replace(scene, outlook=plans.of(scene.session.id, key)), plans)


def _unfinished(scene: Scene, plans: PassPlans) -> Scene:
    last = scene.done[-1] if scene.done and not scene.busy else None
    if last is None or scene.session is None or last.text or "passes" not in last.settings or last.stop == "end":
        return scene
    key = key_of(scene.session, scene.links, scene.turns, asked_of=scene.about)
    return replace(scene, unfinished=plans.of(scene.session.id, key, resumed=last.index))
