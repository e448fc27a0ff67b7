"""Collections of moments as files: a document, a table, clips in a ZIP, one reel, and its subtitles."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.audit import audited
from core.database.states import AuditAction, AuditSubject
from core.database.tables import utc
from core.errors import BadRequest, Code
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.kept_moments import Kept, KeptMoments, citation, page_link, source
from core.media import encode
from core.principal import Principal
from core.spreadsheets import without_formulas
from core.transcripts import export
from core.transcripts.export.document import Quotation, quotations
from core.transcripts.export.plain import clock
from core.transcripts.export.subtitles import srt_of
from core.transcripts.segments import TranscribedSegment

RATE = 48_000
"""Of a reel."""
PAUSE_S = 0.4
"""Between two moments of a reel."""
MOST_S = 3600.0
"""Of sound in one file: it is made in memory, 96 kB a second."""

FORMATS = {
    "docx": N_("Word document"),
    "csv": N_("Table (CSV)"),
    "zip": N_("Clips (ZIP)"),
    "m4a": N_("One reel (M4A)"),
    "srt": N_("Subtitles of the reel (SRT)"),
}
MEDIA_TYPES = {
    "docx": export.FORMATS["docx"][1],
    "csv": "text/csv; charset=utf-8",
    "zip": "application/zip",
    "m4a": "audio/mp4",
    "srt": "application/x-subrip; charset=utf-8",
}


@dataclass(frozen=True)
class MomentFile:
    """Moments as a file."""

    content: bytes
    media_type: str
    name: str


@audited(AuditAction.EXPORTED, AuditSubject.MOMENT, lambda given: [one.moment.id for one in given["moments"]])
def exported(
    principal: Principal,  # noqa: ARG001 - of whom it is recorded
    service: KeptMoments,
    moments: Sequence[Kept],
    title: str,
    form: str,
    language: str,
) -> MomentFile:
    """Moments in their order as one of FORMATS.

    Raises BadRequest for more than MOST_S of sound, and what cutting clips raises.
    """
    if form in ("zip", "m4a") and sum(_length_s(kept_moment) for kept_moment in moments) > MOST_S:
        raise BadRequest(Code.REEL_LENGTH, most=round(MOST_S / 60))
    match form:
        case "docx":
            content = _document(moments, title, language)
        case "csv":
            content = _table(moments, language)
        case "zip":
            content = _clips(service, moments)
        case "m4a":
            content = _concatenated(service, moments)
        case _:
            content = _subtitles(moments, language)
    name = export.NOT_IN_NAMES.sub("_", title).strip(" ._")[: export.NAME_LETTERS] or "moments"
    return MomentFile(content, MEDIA_TYPES[form], f"{name}.{form}")


def _document(moments: Sequence[Kept], title: str, language: str) -> bytes:
    return quotations(title, [_quotation(kept_moment, language) for kept_moment in moments])


def _quotation(kept_moment: Kept, language: str) -> Quotation:
    moment = kept_moment.moment
    deleted_note = "" if kept_moment.recording else catalogue.gettext("The recording is deleted.", language)
    return Quotation(
        moment.title,
        moment.text,
        source(kept_moment, language),
        tuple(note for note in (moment.note, deleted_note) if note),
    )


def _table(moments: Sequence[Kept], language: str) -> bytes:
    out = io.StringIO()
    write = csv.writer(out).writerow
    head = "title recording date start_s end_s speaker text note tags citation link recording_deleted"
    write(head.split())
    for kept_moment in moments:
        moment = kept_moment.moment
        cells = (
            moment.title,
            kept_moment.title,
            utc(moment.recorded_at).date().isoformat(),
            f"{moment.start_s:.3f}",
            f"{moment.end_s:.3f}",
            moment.speaker,
            moment.text,
            moment.note,
            ", ".join(moment.tags),
            citation(kept_moment, language),
            page_link(moment.id),
            str(kept_moment.recording is None).lower(),
        )
        write(without_formulas(cell) for cell in cells)
    return ("\ufeff" + out.getvalue()).encode()


def _clips(service: KeptMoments, moments: Sequence[Kept]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for n, kept_moment in enumerate(moments, 1):
            if kept_moment.recording is None or not kept_moment.has_sound:
                continue
            called = export.NOT_IN_NAMES.sub("_", kept_moment.moment.title).strip(" ._")[:60]
            sound = service.cut(kept_moment.recording, kept_moment.moment, "m4a")
            archive.writestr(f"{n:02} {called}.m4a", sound)
    return out.getvalue()


def _concatenated(service: KeptMoments, moments: Sequence[Kept]) -> bytes:
    pause = np.zeros(round(PAUSE_S * RATE), np.int16)
    pieces: list[np.ndarray] = []
    for kept_moment in _with_sound(moments):
        if kept_moment.recording is not None:
            sound = np.frombuffer(
                service.cut(kept_moment.recording, kept_moment.moment, "pcm", RATE), np.int16
            )
            pieces += [pause, sound] if pieces else [sound]
    return encode.m4a(np.concatenate(pieces) if pieces else pause, RATE)


def _subtitles(moments: Sequence[Kept], language: str) -> bytes:
    cues: list[export.Cue] = []
    at_s = 0.0
    for n, kept_moment in enumerate(_with_sound(moments)):
        moment = kept_moment.moment
        length_s = _length_s(kept_moment)
        channel = moment.speaker or "mono"
        segment = TranscribedSegment(n, channel, at_s, at_s + length_s, moment.text, ())
        cues += export.cues([segment], language) if moment.text else []
        at_s += length_s + PAUSE_S
    return srt_of(cues).encode()


def _length_s(kept_moment: Kept) -> float:
    return kept_moment.moment.end_s - kept_moment.moment.start_s


def _with_sound(moments: Sequence[Kept]) -> list[Kept]:
    """Those that have sound: what a reel is made of."""
    return [kept_moment for kept_moment in moments if kept_moment.has_sound]


def times(kept_moment: Kept) -> str:
    """From when to when, for people."""
    return f"{clock(kept_moment.moment.start_s)}–{clock(kept_moment.moment.end_s)}"
