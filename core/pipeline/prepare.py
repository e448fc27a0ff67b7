"""Prepare: decode a recording, identify its language where that is asked for, and plan its segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import JobKind
from core.database.tables import Peaks, Recording, Transcript
from core.errors import Busy, Code, NotFound, Rejected
from core.i18n.catalogue import clock
from core.library.recordings import Recordings
from core.media import waveform
from core.media.decode import Decoded
from core.media.waveform import Waveform
from core.pipeline.progress import seconds_reporter
from core.queue.jobs import Claim, JobQueue
from core.speech import channels, engines, language
from core.speech.channels import Channels
from core.speech.engine import Engine, refuse_unready
from core.speech.engines.whisper import WhisperEngine
from core.speech.language import AUTO, HOUSE, UNDETERMINED, DetectedLanguages
from core.speech.vad import Listener, Span
from core.storage.mirror import MirroredBlobStore
from core.transcripts import warnings
from core.transcripts.speakers import Speakers
from core.transcripts.transcripts import ByLanguage, Planned, Settlement, Transcripts
from core.transcripts.warnings import WarningCode

CUT_SHORT_S, CUT_SHORT_SHARE = 1.0, 0.03
"""A file that ends so much before its header says, in seconds and of its length, is not whole."""
UNSTAMPED = {"mp3"}
"""Formats that say their length but not the time of each packet: what was lost inside makes them shorter."""
NAMED = 3
"""So many places of damage are named."""

UPLOAD_S = 24 * 3600.0
"""The machine that took a file in may be away for so long before it has reached the object store."""

Sounds = Mapping[str, Waveform]
Spoken = Mapping[str, list[Span]]


class PrepareStage:
    """Recording → segments to transcribe."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        blobs: MirroredBlobStore,
        speakers: Speakers,
        sound: Channels,
        engines: Mapping[str, Engine],
        language_model: WhisperEngine,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._blobs = blobs
        self._speakers = speakers
        self._sound = sound
        self._engines = engines
        self._language_model = language_model

    def run(self, claim: Claim) -> None:
        """Copy the bytes to the object store, decode them, plan segments, queue the recognition.

        Where the same was transcribed before, as its language shows now, that is taken.
        """
        recording, task = self._recordings.of_task(claim.task_id)
        self._share(recording)
        transcript = self._transcripts.get(task.transcript_id)
        if not transcript.planned:
            transcript = self._plan(claim, recording, transcript)
            recording, task = self._recordings.of_task(task.id)  # perhaps with another transcript now
        if transcript.complete:
            jobs = [(JobKind.INDEX, "index")]
        else:
            engine = self._transcripts.next_engine(transcript.id) or transcript.engine
            jobs = [(JobKind.TRANSCRIBE, self._engines[engine].queue)]
        if self._speakers.missing(task, transcript) and not self._job_queue.unfinished(
            task.id, JobKind.DIARIZE
        ):
            jobs.append((JobKind.DIARIZE, "cpu"))
        self._job_queue.complete(claim, *jobs)

    def _share(self, recording: Recording) -> None:
        """Have the bytes in the object store; Busy while only the machine that took them in has them."""
        try:
            self._blobs.copy(recording.sha256)
        except NotFound:
            if self._job_queue.now() - recording.created_at > UPLOAD_S:
                raise
            raise Busy(Code.UPLOAD_ELSEWHERE) from None

    def _plan(self, claim: Claim, recording: Recording, transcript: Transcript) -> Transcript:
        decoding = seconds_reporter(self._job_queue, claim, recording.duration_s, 0, 8)
        listener = Listener()
        decoded = self._sound.decoded(recording, transcript, decoding, listener)
        sounds = channels.waveforms(decoded)
        duration_s = channels.duration_s(sounds)
        detecting = seconds_reporter(self._job_queue, claim, duration_s, 8, 14)
        spoken = channels.speech(sounds, detecting, listener)
        loudness = waveform.peaks(sounds.values())
        with self._database.write() as session:
            self._job_queue.keep(session, claim)  # or the recording may have been deleted meanwhile
            session.get_one(Recording, recording.id).duration_s = duration_s
            session.get_one(Transcript, transcript.id).duration_s = duration_s
            session.merge(Peaks(sha256=recording.sha256, peaks=loudness))
            _warn(session, recording, transcript.id, decoded)
        if transcript.language == AUTO:
            return self._settle(claim, recording, transcript, sounds, spoken)
        by_language = {transcript.language: self._engines[transcript.engine]}
        planned = segments(sounds, spoken, by_language, None, subtitles=transcript.subtitles)
        self._transcripts.plan(claim, transcript.id, list(planned))
        return transcript

    def _settle(
        self, claim: Claim, recording: Recording, transcript: Transcript, sounds: Sounds, spoken: Spoken
    ) -> Transcript:
        """Identify the language, choose engines by it, and go on with the transcript that this makes."""
        refuse_unready(self._language_model)
        detected = language.detect(self._language_model, sounds, channels.pieces(sounds, spoken))
        by_language = self._by_language(transcript, detected)
        settlement = Settlement(
            by_language,
            detected.known() if detected else None,
            list(segments(sounds, spoken, by_language, detected, subtitles=transcript.subtitles)),
            self._recordings.shared_with(recording),
        )
        winner_id = self._transcripts.settle(claim, transcript.id, settlement)
        if winner_id != transcript.id:
            self._sound.drop(transcript.id)
        return self._transcripts.get(winner_id)

    def _by_language(self, transcript: Transcript, detected: DetectedLanguages | None) -> ByLanguage:
        """Who transcribes which language; what nobody here knows is left to the engine of the main one.

        Raise Rejected where nobody knows that.
        """
        engine_name, tuning = transcript.engine, (transcript.translate, transcript.temperature)
        able = engines.able(self._engines, engine_name, translate=tuning[0], temperature=tuning[1])
        languages = detected.languages if detected else HOUSE[:1]
        usual = engines.for_language(able, engine_name, languages[0])
        if detected is None:
            return {UNDETERMINED: usual}
        by_language = {languages[0]: usual}
        for code in languages[1:]:
            try:
                by_language[code] = engines.for_language(able, engine_name, code)
            except Rejected:
                by_language[code] = usual
        return by_language


def segments(
    sounds: Sounds,
    spoken: Spoken,
    by_language: ByLanguage,
    detected: DetectedLanguages | None,
    *,
    subtitles: bool,
) -> Iterator[Planned]:
    """What each engine is to be given, channel by channel and stretch by stretch of one language."""
    main, usual = next(iter(by_language.items()))
    for channel, spans in spoken.items():
        for part, code in _parts(spans, channel, detected if len(by_language) > 1 else None, main):
            engine = by_language[code]
            for span in channels.cuts(sounds[channel], part, engine, subtitles=subtitles):
                yield Planned(
                    channel,
                    span,
                    None if code == main else code,
                    None if engine is usual else engine.name,
                )


def _parts(
    spans: Sequence[Span], channel: str, detected: DetectedLanguages | None, main: str
) -> list[tuple[Sequence[Span], str]]:
    """Speech of a channel by its language."""
    if detected is None:
        return [(spans, main)]
    return [(channels.within(spans, stretch), code) for stretch, code in detected.stretches.get(channel, ())]


def _warn(session: Session, recording: Recording, transcript_id: str, decoded: Decoded) -> None:
    """Keep what a reader should know of the file: what was not heard, where it breaks off or is damaged."""
    if decoded.not_heard:
        called = {track["number"]: track["title"] or track["language"] for track in recording.tracks}
        named = [f"{n} ({called[n]})" if called.get(n) else str(n) for n in decoded.not_heard]
        warnings.add(session, transcript_id, WarningCode.TRACKS_NOT_HEARD, tracks=", ".join(named))
    breaks_s, stated_s = decoded.breaks_s, decoded.stated_s or 0.0
    if stated_s - decoded.ended_s > max(CUT_SHORT_S, CUT_SHORT_SHARE * stated_s):
        breaks_s = tuple(at_s for at_s in breaks_s if at_s < decoded.ended_s - CUT_SHORT_S)
        if not breaks_s or recording.format not in UNSTAMPED:
            at, length = clock(decoded.ended_s), clock(stated_s)
            warnings.add(session, transcript_id, WarningCode.MEDIA_CUT_SHORT, at=at, length=length)
    if breaks_s:
        at = ", ".join(clock(at_s) for at_s in breaks_s[:NAMED]) + (" …" if len(breaks_s) > NAMED else "")
        warnings.add(session, transcript_id, WarningCode.MEDIA_DAMAGED, at=at)
