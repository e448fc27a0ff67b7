"""Transcripts as files people take away: text, captions, tables, documents.

Every format is made from the same heard segments; captions are cut at words, in the sizes subtitle
makers use (two lines of 42 letters, up to six seconds).
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import quote
from xml.sax.saxutils import escape

from core.speech.engine import Word
from core.transcripts.transcripts import TranscribedSegment, as_json

CAPTION_LETTERS = 84
CAPTION_S = 6.0
CAPTION_PAUSE_S = 0.8
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")
"""A cell that begins so would be run by a spreadsheet."""


@dataclass(frozen=True)
class Cue:
    """One caption: seconds from the start of the recording, who, and what."""

    start_s: float
    end_s: float
    speaker: str
    text: str


@dataclass(frozen=True)
class File:
    """A transcript as a file."""

    content: bytes
    media_type: str
    name: str


def text(heard: Sequence[TranscribedSegment]) -> str:
    """What was said, without times; in a call a line for each turn, led by its channel."""
    if all(piece.channel == "mono" for piece in heard):
        return " ".join(piece.text for piece in heard)
    return "\n".join(f"{speaker}: {said}" for speaker, said in _turns(heard))


def timecodes(heard: Sequence[TranscribedSegment]) -> str:
    """One line a segment: `[HH:MM:SS - HH:MM:SS] text`."""
    return "\n".join(f"[{_clock(h.start_s)} - {_clock(h.end_s)}] {_led(h)}" for h in heard)


def srt(heard: Sequence[TranscribedSegment]) -> str:
    """SubRip captions."""
    blocks = (
        f"{n}\n{_stamp(cue.start_s, ',')} --> {_stamp(cue.end_s, ',')}\n{_named(cue)}\n"
        for n, cue in enumerate(cues(heard), 1)
    )
    return "\n".join(blocks)


def vtt(heard: Sequence[TranscribedSegment]) -> str:
    """WebVTT captions; channels are voices."""
    blocks = (
        f"{_stamp(cue.start_s, '.')} --> {_stamp(cue.end_s, '.')}\n"
        f"{f'<v {cue.speaker}>' if cue.speaker else ''}{escape(cue.text)}\n"
        for cue in cues(heard)
    )
    return "\n".join(("WEBVTT\n", *blocks))


def table(heard: Sequence[TranscribedSegment]) -> str:
    """Comma-separated values, safe to open in a spreadsheet; begins with a mark that says UTF-8."""
    out = io.StringIO()
    write = csv.writer(out).writerow
    write(("n", "start_s", "end_s", "channel", "text"))
    for h in heard:
        write((h.n, f"{h.start_s:.3f}", f"{h.end_s:.3f}", h.channel, _harmless(h.text)))
    return "\ufeff" + out.getvalue()


def document(heard: Sequence[TranscribedSegment], title: str) -> bytes:
    """A Word document: the title, then a paragraph a segment led by its time."""
    paragraphs = [_paragraph(title, bold=True)]
    paragraphs += [_paragraph(f"[{_clock(h.start_s)}] {_led(h)}") for h in heard]
    parts = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": RELATIONS,
        "word/document.xml": DOCUMENT.format(body="".join(paragraphs)),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


def file(heard: Sequence[TranscribedSegment], filename: str, kind: str) -> File:
    """The transcript of `filename` in one of FORMATS."""
    _, media_type, make = FORMATS[kind]
    content = make(heard, filename)
    return File(content.encode() if isinstance(content, str) else content, media_type, name(filename, kind))


def name(filename: str, kind: str) -> str:
    """What the transcript of `filename` is called in one of FORMATS."""
    return (PurePath(filename).stem or "transcript") + FORMATS[kind][0]


def disposition(name: str, *, inline: bool = False) -> str:
    """The Content-Disposition header for a file name (RFC 6266), with an ASCII fallback for old readers."""
    fallback = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    how = "inline" if inline else "attachment"
    return f"{how}; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"


def cues(heard: Iterable[TranscribedSegment]) -> Iterator[Cue]:
    """Captions in time order, cut at words where words are known."""
    for piece in heard:
        speaker = "" if piece.channel == "mono" else piece.channel
        for words in _captions(piece.words):
            said = _plain(" ".join(word.text for word in words))
            yield Cue(words[0].start_s, max(words[-1].end_s, words[0].start_s + 0.2), speaker, said)
        if not piece.words:
            yield Cue(piece.start_s, piece.end_s, speaker, _plain(piece.text))


def _captions(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Consecutive words that fit one caption."""
    caption: list[Word] = []
    for word in words:
        if caption and not _fits(caption, word):
            yield caption
            caption = []
        caption.append(word)
    if caption:
        yield caption


def _fits(caption: Sequence[Word], word: Word) -> bool:
    letters = sum(len(w.text) + 1 for w in caption) + len(word.text)
    paused = word.start_s - caption[-1].end_s > CAPTION_PAUSE_S
    return letters <= CAPTION_LETTERS and word.end_s - caption[0].start_s <= CAPTION_S and not paused


def _turns(heard: Iterable[TranscribedSegment]) -> Iterator[tuple[str, str]]:
    speaker, said = "", list[str]()
    for piece in heard:
        if said and piece.channel != speaker:
            yield speaker, " ".join(said)
            said = []
        speaker = piece.channel
        said.append(piece.text)
    if said:
        yield speaker, " ".join(said)


def _led(heard: TranscribedSegment) -> str:
    return heard.text if heard.channel == "mono" else f"{heard.channel}: {heard.text}"


def _named(cue: Cue) -> str:
    return f"{cue.speaker}: {cue.text}" if cue.speaker else cue.text


def _plain(said: str) -> str:
    """One line without what would end a caption."""
    return " ".join(said.replace("-->", "→").split())


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _json(heard: Sequence[TranscribedSegment], title: str) -> str:
    whole = {"filename": title, "text": text(heard), "segments": [as_json(h) for h in heard]}
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def _clock(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{s:02}"


def _stamp(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{_clock(ms // 1000)}{point}{ms % 1000:03}"


def _paragraph(said: str, *, bold: bool = False) -> str:
    style = "<w:rPr><w:b/></w:rPr>" if bold else ""
    printable = "".join(c for c in said if c.isprintable())
    return f'<w:p><w:r>{style}<w:t xml:space="preserve">{escape(printable)}</w:t></w:r></w:p>'


CONTENT_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Target="word/document.xml" Type="'
    'http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
DOCUMENT = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    "<w:body>{body}</w:body></w:document>"
)
"""The three parts of a Word document (ECMA-376, part 1)."""


FORMATS: dict[str, tuple[str, str, Callable[[Sequence[TranscribedSegment], str], str | bytes]]] = {
    "txt": (".txt", "text/plain; charset=utf-8", lambda heard, _: text(heard) + "\n"),
    "timecodes": ("_timecodes.txt", "text/plain; charset=utf-8", lambda heard, _: timecodes(heard) + "\n"),
    "srt": (".srt", "application/x-subrip; charset=utf-8", lambda heard, _: srt(heard)),
    "vtt": (".vtt", "text/vtt; charset=utf-8", lambda heard, _: vtt(heard)),
    "json": (".json", "application/json", _json),
    "csv": (".csv", "text/csv; charset=utf-8", lambda heard, _: table(heard)),
    "docx": (
        ".docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        document,
    ),
}
"""Ending, media type and maker of each format."""
