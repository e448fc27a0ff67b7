"""The text of a recording as people work with it: corrected, cut, compared with what was heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.audit import audited
from core.database.database import Database
from core.database.owned import Right
from core.database.states import AuditAction, AuditSubject, EditSubject
from core.database.tables import EditRow, Recording, Task, Transcript, utc
from core.errors import Code, Conflict, NotFound, Rejected
from core.library.recordings import Recordings
from core.principal import Principal
from core.queue.jobs import JobQueue
from core.search.embedding_jobs import index_again
from core.speech.engine import Word
from core.transcripts import corrections, edit_log, speakers
from core.transcripts.corrections import Change, How, TextStep, Whole
from core.transcripts.edit_log import Step
from core.transcripts.segments import TranscribedSegment
from core.transcripts.speaker_edits import LABEL, Move
from core.transcripts.transcripts import Transcripts, segments_of, text_steps
from core.transcripts.voices import Voices

Replacement = tuple[str, Sequence[tuple[int, int, str]]]
"""The version of an utterance, and what stands there from which letter to which."""
Turn = Callable[[Session, str], list[EditRow]]
SHOWN = 200
"""Letters of a text that a refusal repeats."""


@dataclass(frozen=True)
class DatedChange:
    """A correction: what was heard, what it reads now, who wrote it, and when."""

    start_s: float
    end_s: float
    heard: str
    now: str
    who: str
    at: datetime


@dataclass(frozen=True)
class Earlier:
    """Corrections of an earlier transcript, which the present one does not have."""

    transcript_id: str
    fitting: int
    """Whose words were heard again."""
    left: list[DatedChange]
    """Whose words were heard otherwise: they have to be looked at by hand."""


@dataclass(frozen=True)
class LastStep:
    """What can be taken back next: of the text or of speakers."""

    action_id: str
    who: str
    at: datetime


@dataclass(frozen=True)
class TextView:
    """What was corrected in a recording."""

    changes: list[DatedChange]
    can_undo: bool
    can_redo: bool
    earlier: Earlier | None
    last: LastStep | None = None


@dataclass(frozen=True)
class _Text:
    """A recording's text within a transaction: segments before and after they are cut by speakers."""

    recording_id: str
    transcript_id: str
    whole: Whole
    pieces: Sequence[TranscribedSegment]


class RecordingText:
    """What a principal may do with a text. Every method raises NotFound for others' recordings.

    Corrections name utterances by their numbers and their `version`, and raise Conflict where one reads
    otherwise by now; Rejected where nothing would change by cutting.
    """

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        voices: Voices,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._voices = voices

    @audited(AuditAction.SAW, AuditSubject.RECORDING, "recording_id")
    def utterances(self, principal: Principal, recording_id: str) -> list[TranscribedSegment]:
        """The text as it reads now. Raises Conflict while there is none."""
        transcript_id = self._transcript(principal, recording_id)
        return self._transcripts.segments(transcript_id, recording_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def rewrite(
        self, principal: Principal, recording_id: str, n: int, versions: Sequence[str], text: str
    ) -> None:
        """Utterances from `n` on, one a version, read as `text`; an empty one takes them out."""
        with self._database.write() as session:
            now = self._open(session, principal, recording_id)
            steps = corrections.rewrite(now.whole, _checked(now, n, versions), text, How.REWRITE)
            self._keep(session, principal, now, steps)
        self._after(recording_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def apply_retranscription(
        self, principal: Principal, recording_id: str, n: int, versions: Sequence[str], heard: Sequence[Word]
    ) -> None:
        """Utterances from `n` on, one a version, consist of words that another engine heard there."""
        with self._database.write() as session:
            now = self._open(session, principal, recording_id)
            pieces = _checked(now, n, versions)
            words_of_pieces = list(zip(pieces, corrections.merged(pieces, heard), strict=True))
            steps = corrections.reworded_steps(now.whole, words_of_pieces, How.RETRANSCRIBE)
            self._keep(session, principal, now, steps)
        self._after(recording_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def split(self, principal: Principal, recording_id: str, n: int, version: str, word: int) -> None:
        """A new utterance, and paragraph, begins with word number `word` of utterance `n`."""
        with self._database.write() as session:
            now = self._open(session, principal, recording_id)
            (piece,) = _checked(now, n, [version])
            self._cut(session, principal, now, corrections.split(now.whole, piece, word))
        self._after(recording_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def join(self, principal: Principal, recording_id: str, n: int, versions: Sequence[str]) -> None:
        """Utterance `n` becomes a part of the one before it, and is said by whoever says that.

        `versions` are those of both, and of all that go on in the paragraph.
        """
        with self._database.write() as session:
            now = self._open(session, principal, recording_id)
            pieces = _checked(now, n - 1, versions)
            if len(pieces) < 2:
                raise Rejected(Code.UTTERANCE_STEP)
            moved = [
                (piece.label, pieces[0].label, piece.start_s, piece.end_s)
                for piece in pieces[1:]
                if piece.label != pieces[0].label
            ]
            self._cut(session, principal, now, corrections.join(now.whole, pieces), moved)
        self._after(recording_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def move(
        self, principal: Principal, recording_id: str, n: int, versions: Sequence[str], words: int
    ) -> None:
        """The first `words` of utterance `n` are the last of the one before; fewer than 0: the other way.

        `versions` are those of the one before and of `n`.
        """
        with self._database.write() as session:
            now = self._open(session, principal, recording_id)
            if len(versions) != 2:
                raise Rejected(Code.UTTERANCE_STEP)
            before, after = _checked(now, n - 1, versions)
            step, spoken = corrections.move(now.whole, before, after, words)
            if not spoken:
                raise Rejected(Code.UTTERANCE_STEP)
            source, target = (after, before) if words > 0 else (before, after)
            moved = [(source.label, target.label, spoken[0].start_s, spoken[-1].end_s)]
            self._cut(session, principal, now, step, moved if source.label != target.label else [])
        self._after(recording_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def replace(
        self, principal: Principal, recording_id: str, texts: Mapping[int, Replacement], action_id: str
    ) -> set[int]:
        """Parts of utterances read otherwise, as a part of an action; the numbers of those that do now.

        Utterances that are others by now are left.
        """
        with self._database.write() as session:
            now = self._open(session, principal, recording_id)
            fitting = {one.n: one for one in now.pieces if one.n in texts and texts[one.n][0] == one.version}
            replacements = []
            for n, piece in fitting.items():
                text = " ".join(piece.text.split())
                for first, end, new in sorted(texts[n][1], reverse=True):
                    text = text[:first] + new + text[end:]
                words = corrections.aligned(corrections.timed(piece), text.split())
                replacements.append((piece, [word for word, _ in words]))
            steps = corrections.reworded_steps(now.whole, replacements, How.REPLACE)
            self._keep(session, principal, now, steps, action_id=action_id)
        if steps:
            self._after(recording_id)
        changed = {id_ for step in steps for id_ in step.of}
        return {n for n, piece in fitting.items() if piece.segment_id in changed}

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def undo_replacement(self, principal: Principal, recording_id: str, action_id: str) -> bool:
        """Take an action out of the middle; False where a later correction is built on it."""
        transcript_id = self._transcript(principal, recording_id, Right.WRITE)
        with self._database.write() as session:
            self._database.advisory_lock(session, recording_id)
            rows = edit_log.steps(session, recording_id, EditSubject.TEXT, transcript_id)
            own_rows = [row for row in rows if row.action_id == action_id]
            later = [corrections.from_json(row.edit) for row in rows if row.action_id != action_id]
            if not own_rows or any(
                corrections.built_on(corrections.from_json(row.edit), later) for row in own_rows
            ):
                return False
            edit_log.take_out(session, own_rows)
        self._after(recording_id)
        return True

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def undo(self, principal: Principal, recording_id: str, action_id: str = "") -> bool:
        """Take the last correction back, of the text or of speakers; whether there was one.

        Raises Conflict where somebody else made it, unless it is named by its `action_id`.
        """

        def undo(session: Session, id_: str) -> list[EditRow]:
            return edit_log.undo(session, id_, principal.owner, action_id=action_id)

        return self._turn(principal, recording_id, undo)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def redo(self, principal: Principal, recording_id: str) -> bool:
        """Take the correction again that was taken back last; whether there was one."""
        return self._turn(principal, recording_id, edit_log.redo)

    @audited(AuditAction.SAW, AuditSubject.RECORDING, "recording_id")
    def view(self, principal: Principal, recording_id: str) -> TextView:
        """All that was corrected, and what an earlier transcript has of it."""
        transcript_id = self._transcript(principal, recording_id)
        with self._database.read() as session:
            rows = edit_log.steps(session, recording_id, EditSubject.TEXT, transcript_id)
            segments = segments_of(session, transcript_id) if rows else []
            last, can_redo = edit_log.last(session, recording_id), edit_log.can_redo(session, recording_id)
            earlier = self._earlier(session, recording_id, transcript_id)
        last_step = LastStep(last.action_id, last.who, utc(last.created_at)) if last else None
        return TextView(
            _dated(segments, rows), bool(last), can_redo, earlier[0] if earlier else None, last_step
        )

    def correction_count(self, recording: Recording) -> int:
        """How many times the present text was corrected."""
        with self._database.read() as session:
            rows = edit_log.steps(session, recording.id, EditSubject.TEXT, recording.transcript_id or "")
        return len({row.action_id for row in rows})

    def carry_over_corrections(self, task: Task) -> None:
        """Correct a new transcript as the present one is, where its words were heard again, if so wished.

        To be called before it becomes the present one, as often as need be. Where some do not fit, all are
        offered on, so that none is lost.
        """
        with self._database.write() as session:
            recording = session.get_one(Recording, task.recording_id)
            if not task.keep_corrections or recording.transcript_id in {None, task.transcript_id}:
                return
            self._database.advisory_lock(session, recording.id)
            earlier_text = self._earlier(session, recording.id, task.transcript_id)
            if earlier_text is None:
                return
            earlier, steps = earlier_text
            steps += [] if earlier.left else [TextStep(How.DECIDED)]
            kept_steps = [
                Step(EditSubject.TEXT, corrections.to_json(one), task.transcript_id) for one in steps
            ]
            edit_log.add(session, recording.id, kept_steps, task.owner)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def take_over(self, principal: Principal, recording_id: str, *, apply: bool = True) -> Earlier:
        """Correct the text as the earlier transcript was, where it fits; or only note that nobody wants it.

        Returns what was there to take. Raises NotFound where nothing is. Taken back like any correction.
        """
        with self._database.write() as session:
            now = self._open(session, principal, recording_id)
            earlier_text = self._earlier(session, recording_id, now.transcript_id)
            if earlier_text is None:
                raise NotFound
            earlier, steps = earlier_text
            decided = TextStep(How.DECIDED)
            all_steps = [*steps, decided] if apply else [decided]
            edit_log.add(session, recording_id, [_step(now, step) for step in all_steps], principal.owner)
        self._after(recording_id)
        return earlier

    def _earlier(
        self, session: Session, recording_id: str, transcript_id: str
    ) -> tuple[Earlier, list[TextStep]] | None:
        """The newest other transcript with corrections, unless somebody has decided about it already."""
        steps = text_steps(session, recording_id, transcript_id)
        if any(step.how == How.DECIDED for step in steps):
            return None
        others = select(EditRow.transcript_id).where(
            EditRow.recording_id == recording_id,
            EditRow.subject == EditSubject.TEXT,
            EditRow.transcript_id != transcript_id,
            EditRow.undone.is_(False),
        )
        other = session.scalars(others.order_by(EditRow.n.desc()).limit(1)).first()
        if other is None or session.get(Transcript, other) is None:
            return None
        rows = edit_log.steps(session, recording_id, EditSubject.TEXT, other)
        segments = segments_of(session, other)
        changes = corrections.changes(segments, [corrections.from_json(row.edit) for row in rows])
        now = corrections.replay(segments_of(session, transcript_id), steps)
        taken, fitting, left = corrections.taken_over(now, changes)
        if not changes:
            return None
        dated = [one for one, change in zip(_dated(segments, rows), changes, strict=True) if change in left]
        return Earlier(other, len(fitting), dated), taken

    def _transcript(self, principal: Principal, recording_id: str, right: Right = Right.READ) -> str:
        recording = self._recordings.get(principal, recording_id, right)
        if not recording.transcript_id:
            raise Conflict(Code.NOT_TRANSCRIBED)
        return recording.transcript_id

    def _open(self, session: Session, principal: Principal, recording_id: str) -> _Text:
        """The text as it is now, and stays until the transaction ends."""
        transcript_id = self._transcript(principal, recording_id, Right.WRITE)
        self._database.advisory_lock(session, recording_id)
        segments = segments_of(session, transcript_id)
        now = corrections.replay(segments, text_steps(session, recording_id, transcript_id))
        pieces = speakers.by_speaker(now, speakers.speaking_of(session, recording_id))
        return _Text(recording_id, transcript_id, {one.segment_id: one for one in now}, pieces)

    def _cut(
        self,
        session: Session,
        principal: Principal,
        now: _Text,
        step: TextStep | None,
        moved: Iterable[tuple[str, str, float, float]] = (),
    ) -> None:
        """Keep a step, with the speakers that change by it: from whom, to whom, between which seconds."""
        between = [(a, b, start_s, end_s) for a, b, start_s, end_s in moved if _speaks(a) and _speaks(b)]
        if step is None and not between:
            raise Rejected(Code.UTTERANCE_STEP)
        moves = [Move(a, b, start_s, max(end_s, start_s + 0.01)) for a, b, start_s, end_s in between]
        self._keep(session, principal, now, [step] if step else [], [speakers.step(one) for one in moves])

    def _keep(
        self,
        session: Session,
        principal: Principal,
        now: _Text,
        steps: Iterable[TextStep],
        also: Sequence[Step] = (),
        action_id: str = "",
    ) -> None:
        all_steps = [*(_step(now, step) for step in steps), *also]
        if all_steps:
            edit_log.add(session, now.recording_id, all_steps, principal.owner, action_id)

    def _turn(self, principal: Principal, recording_id: str, turn: Turn) -> bool:
        self._recordings.get(principal, recording_id, Right.WRITE)
        with self._database.write() as session:
            self._database.advisory_lock(session, recording_id)
            rows = turn(session, recording_id)
        if rows:
            self._after(recording_id)
        return bool(rows)

    def _after(self, recording_id: str) -> None:
        """Search, exports and voices say it, too."""
        self._voices.refresh(recording_id)
        index_again(self._database, self._job_queue, recording_id)


def _step(now: _Text, step: TextStep) -> Step:
    return Step(EditSubject.TEXT, corrections.to_json(step), now.transcript_id)


def _checked(now: _Text, n: int, versions: Sequence[str]) -> list[TranscribedSegment]:
    """The utterances from `n` on, one a version. Raises NotFound, or Conflict where one reads otherwise."""
    found = list(now.pieces[n : n + len(versions)]) if n >= 0 else []
    if len(found) < max(1, len(versions)):
        raise NotFound
    if [one.version for one in found] != list(versions):
        raise Conflict(Code.UTTERANCE_CHANGED, text=" ".join(one.text for one in found)[:SHOWN])
    return found


def _dated(segments: Sequence[TranscribedSegment], rows: Sequence[EditRow]) -> list[DatedChange]:
    """Every change, with the last who wrote in its segments."""
    steps = [corrections.from_json(row.edit) for row in rows]
    row_of_segment = {one.segment_id: row for row, step in zip(rows, steps, strict=True) for one in step.into}
    last = rows[-1] if rows else None
    found = []
    for change in corrections.changes(segments, steps):
        row = max(
            (row_of_segment[id_] for id_ in change.segments if id_ in row_of_segment),
            key=_number,
            default=last,
        )
        found.append(_dated_change(change, row))
    return found


def _speaks(label: str) -> bool:
    """Whether a label is of somebody who was found, and not of a channel."""
    return label.startswith(LABEL)


def _number(row: EditRow) -> int:
    return row.n


def _dated_change(change: Change, row: EditRow | None) -> DatedChange:
    return DatedChange(
        change.start_s,
        change.end_s,
        " ".join(change.old),
        " ".join(change.new),
        row.who if row else "",
        utc(row.created_at if row else 0.0),
    )
