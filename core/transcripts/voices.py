"""People whose voices are known again in other recordings of the same owner.

Nothing is remembered before somebody turns it on, and turning it off forgets everybody. A voice comes from
speakers whom people named, one sample a recording; it goes with the last of those recordings. A proposal is
no fact: only a name that somebody gave or confirmed is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.audit import audited
from core.database.database import Database
from core.database.owned import Right, get_owned, owned_by, visible_to
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Recording, Voice, VoiceRejection, VoiceSample
from core.principal import Principal
from core.speech.speakers.finder import FoundSpeaker
from core.transcripts.speakers import speaking_of, voices_of

SETTING: Final = "voices"
"""The value that says whether voices are remembered: ON, OFF, or absent while nobody was asked."""
ON, OFF = "on", "off"


@dataclass(frozen=True)
class Proposal:
    """Somebody a speaker may be."""

    voice_id: str
    name: str
    certainty: str
    """`probable` or `possible`."""
    similarity: float


@dataclass(frozen=True)
class KnownVoice:
    """Somebody whose voice is remembered, and where it was heard."""

    voice_id: str
    name: str
    owner: str
    speaking_s: float
    """In recordings where people said that it is them."""
    heard_in: tuple[tuple[str, str, str], ...]
    """Recordings, newest first: id, title, and the label of the speaker there."""


class Voices:
    """Remembered voices of all owners; each sees their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def asked(self) -> bool:
        """Whether somebody has decided yet."""
        return self._database.get_value(SETTING) is not None

    @property
    def on(self) -> bool:
        """Whether voices are remembered."""
        return self._database.get_value(SETTING) == ON

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, named="voices")
    def turn(self, principal: Principal, *, on: bool) -> None:
        """Remember voices from now on, those of speakers with names too; or forget all and no more.

        Raises AdminsOnly.
        """
        principal.must_administer()
        self._database.set_value(SETTING, ON if on else OFF)
        with self._database.read() as session:
            ids = list(session.scalars(select(Recording.id).order_by(Recording.created_at)))
        with self._database.write() as session:
            if not on:
                session.execute(delete(Voice))
        for recording_id in ids if on else ():
            self.refresh(recording_id)

    def refresh(self, recording_id: str) -> None:
        """Have the samples of a recording say what its speakers are called now."""
        if not self.on:
            return
        with self._database.write() as session:
            recording = session.get(Recording, recording_id)
            if recording is not None:
                self._database.advisory_lock(session, f"voices {recording.owner}")
                _refresh(session, recording)

    def proposals(self, recording: Recording) -> dict[str, Proposal]:
        """Who the speakers without a name may be, by label; nobody whom people said it is not."""
        if not self.on:
            return {}
        with self._database.read() as session:
            names = speaking_of(session, recording.id).names
            speakers = {who: one for who, one in voices_of(session, recording.id).items() if who not in names}
            if not speakers:
                return {}
            statement = select(VoiceSample, Voice.name).join(Voice, Voice.id == VoiceSample.voice_id)
            statement = statement.where(
                Voice.owner == recording.owner, VoiceSample.recording_id != recording.id
            )
            samples = [(sample, name) for sample, name in session.execute(statement)]
            refused = select(VoiceRejection).where(VoiceRejection.recording_id == recording.id)
            rejected = {(row.label, row.voice_id) for row in session.scalars(refused)}
        return _proposals(speakers, samples, rejected, set(names.values()))

    def reject(self, recording_id: str, label: str, voice_id: str) -> None:
        """Never propose somebody for this speaker again."""
        with self._database.write() as session:
            if session.get(VoiceRejection, (recording_id, label, voice_id)) is None:
                session.add(VoiceRejection(recording_id=recording_id, label=label, voice_id=voice_id))

    def all(self, principal: Principal) -> list[KnownVoice]:
        """Everybody who is remembered, by name."""
        voices = owned_by(select(Voice).order_by(Voice.name), principal, Voice)
        with self._database.read() as session:
            return [_known(session, principal, voice) for voice in session.scalars(voices)]

    def get(self, principal: Principal, voice_id: str, right: Right = Right.READ) -> Voice:
        """Somebody who is remembered; NotFound if nobody is, or it is not theirs."""
        with self._database.read() as session:
            return get_owned(session, Voice, principal, voice_id, right=right)

    def samples(self, voice_id: str) -> list[tuple[str, str]]:
        """Recording and label of each sample."""
        statement = select(VoiceSample.recording_id, VoiceSample.label).where(
            VoiceSample.voice_id == voice_id
        )
        with self._database.read() as session:
            return [(recording_id, label) for recording_id, label in session.execute(statement)]

    @audited(AuditAction.DELETED, AuditSubject.VOICE, "voice_id")
    def forget(self, principal: Principal, voice_id: str) -> None:
        """Forget a voice; names that were given in recordings stay there. Raises NotFound."""
        self.get(principal, voice_id, Right.WRITE)
        with self._database.write() as session:
            session.execute(delete(Voice).where(Voice.id == voice_id))


def delete_unused_voices(session: Session) -> None:
    """A voice goes with the last recording it comes from."""
    session.execute(delete(Voice).where(Voice.id.not_in(select(VoiceSample.voice_id))))


def _refresh(session: Session, recording: Recording) -> None:
    from core.speech.speakers.voices import MIN_ALONE_S  # noqa: PLC0415 - scipy

    names = speaking_of(session, recording.id).names
    enough = {
        who: one
        for who, one in voices_of(session, recording.id).items()
        if who in names and one.alone_s >= MIN_ALONE_S
    }
    statement = select(VoiceSample).where(VoiceSample.recording_id == recording.id)
    for sample in session.scalars(statement).all():
        if sample.label not in enough:
            session.delete(sample)
    for who, one in enough.items():
        voice = _voice(session, recording.owner, names[who])
        existing = session.get(VoiceSample, (recording.id, who))
        if existing is None:
            session.add(
                VoiceSample(
                    recording_id=recording.id,
                    label=who,
                    voice_id=voice.id,
                    vector=one.vector,
                    alone_s=one.alone_s,
                )
            )
        else:
            existing.voice_id = voice.id
    session.flush()
    delete_unused_voices(session)


def _voice(session: Session, owner: str, name: str) -> Voice:
    """Somebody of this name, in whatever letters; else a new one."""
    voices_of_owner = session.scalars(select(Voice).where(Voice.owner == owner))
    found = next((voice for voice in voices_of_owner if voice.name.casefold() == name.casefold()), None)
    if found is None:
        found = Voice(owner=owner, name=name)
        session.add(found)
        session.flush()
    return found


def _proposals(
    speakers: dict[str, FoundSpeaker],
    samples: Sequence[tuple[VoiceSample, str]],
    rejected: Iterable[tuple[str, str]],
    used_names: set[str],
) -> dict[str, Proposal]:
    """The nearest known voices; who speaks under a name here already is nobody else."""
    from core.speech.speakers import voices  # noqa: PLC0415 - scipy

    voices_of_name: dict[str, list[voices.Voice]] = {}
    names: dict[str, str] = {}
    for sample, name in samples:
        if name not in used_names:
            voices_of_name.setdefault(sample.voice_id, []).append(voices.from_bytes(sample.vector))
            names[sample.voice_id] = name
    labels = list(speakers)
    vectors = {n: voices.from_bytes(speakers[who].vector) for n, who in enumerate(labels)}
    refused = {(labels.index(who), voice_id) for who, voice_id in rejected if who in speakers}
    proposals = voices.propose(vectors, voices_of_name, refused)
    return {
        labels[n]: Proposal(match.key, names[match.key], match.certainty, round(match.similarity, 3))
        for n, match in proposals.items()
    }


def _known(session: Session, principal: Principal, voice: Voice) -> KnownVoice:
    statement = select(VoiceSample, Recording.title).join(Recording, Recording.id == VoiceSample.recording_id)
    statement = statement.where(VoiceSample.voice_id == voice.id).order_by(Recording.created_at.desc())
    statement = visible_to(statement, principal, Recording)
    rows = session.execute(statement).all()
    return KnownVoice(
        voice.id,
        voice.name,
        voice.owner,
        round(sum(sample.alone_s for sample, _ in rows), 1),
        tuple((sample.recording_id, title, sample.label) for sample, title in rows),
    )
