"""Review: look at a finished transcript as a whole, and warn where nobody could have said that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.tables import Recording, Segment, Transcript
from core.speech import channels, language
from core.speech.channels import Channels
from core.speech.engine import Engine
from core.speech.engines.whisper import WhisperEngine
from core.speech.language import AUTO, DetectedLanguages
from core.speech.vad import Span
from core.transcripts import warnings
from core.transcripts.doubts import DOUBTFUL, HEARD, MOSTLY, Evidence, evidence
from core.transcripts.warnings import GET_GIGAAM, OTHER_ENGINE, TranscriptWarning, WarningCode

WINDOWS = 4
"""So many pieces are listened to, where the language is in doubt."""


class Review:
    """Warnings of transcripts."""

    def __init__(
        self,
        database: Database,
        sound: Channels,
        engines: Mapping[str, Engine],
        language_model: WhisperEngine,
    ) -> None:
        self._database = database
        self._sound = sound
        self._engines = engines
        self._language_model = language_model

    def of(self, recording: Recording, transcript: Transcript) -> Callable[[Session], None]:
        """What a finished transcript has to say about itself, as a write."""
        spoken = select(Segment).where(Segment.transcript_id == transcript.id, Segment.text != "")
        with self._database.read() as session:
            rows = list(session.scalars(spoken.order_by(Segment.n)))
        if transcript.translate:  # its words are English, and tell nothing of the language that was spoken
            rows = []
        doubtful = {row.n for row in rows if evidence([row], transcript.language).doubtful}
        warning = self._warning(recording, transcript, rows, doubtful) if rows else None
        if warning and warning.code != WarningCode.PARTS_NOT_UNDERSTOOD:
            doubtful = {row.n for row in rows}

        def keep(session: Session) -> None:
            if warning:
                warnings.add(session, transcript.id, warning.code, **warning.facts)
            for row in session.scalars(spoken):
                row.doubtful = row.n in doubtful

        return keep

    def _warning(
        self, recording: Recording, transcript: Transcript, rows: Sequence[Segment], doubtful: set[int]
    ) -> TranscriptWarning | None:
        """What is wrong with the whole, the most telling first; None where nothing is."""
        if lacking := self._lacking(transcript, rows):
            return lacking
        whole = evidence(rows, transcript.language)
        detected = self._transcribed(recording, transcript, rows, whole)
        if detected and detected.main.code != transcript.language and detected.main.probability >= HEARD:
            main = detected.main
            facts = {"heard": main.code, "probability": str(main.probability)}
            return TranscriptWarning(WarningCode.OTHER_LANGUAGE, {**facts, "spoken": transcript.language})
        advice = GET_GIGAAM if self._lacks_gigaam(transcript) else OTHER_ENGINE
        share = _seconds(row for row in rows if row.n in doubtful) / (_seconds(rows) or 1.0)
        if not whole.understood or share >= MOSTLY:
            title = self._engines[transcript.engine].title
            return TranscriptWarning(
                WarningCode.ENGINE_DOES_NOT_UNDERSTAND, {"engine": title, "advice": advice}
            )
        if share < DOUBTFUL:
            return None
        facts = {"share": str(round(share, 2)), "advice": advice}
        return TranscriptWarning(WarningCode.PARTS_NOT_UNDERSTOOD, facts)

    def _lacking(self, transcript: Transcript, rows: Sequence[Segment]) -> TranscriptWarning | None:
        """Of an engine that was named for a language that it does not know."""
        for row in rows:
            engine = self._engines[row.engine or transcript.engine]
            code = row.language or transcript.language
            if code not in engine.languages:
                facts = {"engine": engine.title, "heard": code}
                return TranscriptWarning(WarningCode.ENGINE_LACKS_LANGUAGE, facts)
        return None

    def _lacks_gigaam(self, transcript: Transcript) -> bool:
        """Whether the engine that understands Russian best could be had."""
        best = next(engine for name, engine in self._engines.items() if name.startswith("gigaam"))
        return transcript.language in best.languages and not best.readiness().ready

    def _transcribed(
        self, recording: Recording, transcript: Transcript, rows: Sequence[Segment], whole: Evidence
    ) -> DetectedLanguages | None:
        """The language that is heard, where it was named by somebody and the words do not bear it out."""
        if transcript.identified or transcript.language == AUTO or whole.is_conclusive:
            return None
        if not self._language_model.readiness().ready:
            return None
        sounds = self._sound.of(recording, transcript)
        spans = {
            channel: [Span(row.start_s, row.end_s) for row in rows if row.channel == channel]
            for channel in sounds
        }
        pieces = {
            channel: language.sample(channel_pieces, WINDOWS)
            for channel, channel_pieces in channels.pieces(sounds, spans).items()
        }
        return language.detect(self._language_model, sounds, pieces)


def _seconds(rows: Iterable[Segment]) -> float:
    return sum(row.end_s - row.start_s for row in rows)
