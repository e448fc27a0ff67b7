"""A file opened as a container, so that nothing else ever is. Only the child process comes here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from typing import Final, NoReturn, cast

import av
from av import AudioStream
from av.container import InputContainer

from core.media import tracks
from core.media.tracks import Track

FORMATS: Final = (
    "mov,mp3,wav,w64,flac,ogg,matroska,webm,aac,asf,avi,mpegts,mpeg,flv,aiff,caf,amr,amrnb,amrwb,au,ac3,"
    "eac3,dts,ape,tta,wv,gsm,dss,voc"
)
"""FFmpeg's names of the formats that are read; playlists and the like are not among them."""
CHANNELS, TRACKS = 8, 32
"""The most that a track and a file may have."""
DATED: Final = ("com.apple.quicktime.creationdate", "creation_time", "date_recorded", "date")
"""FFmpeg's names of tags; ID3's TDRC is `date`, too."""
DATE_LETTERS: Final = 40
_IN_A_ROW_BYTES = 64 * 1024**2
"""The index of a day of video is about so long; nothing else is read for so long before the first sound."""
_JUMPS = 20_000
_BYTES_A_JUMP = 8
"""Fragmented files jump about once in 150 bytes of their headers; junk in chunks of nothing twice a byte."""
_OGG_PAGES = 200_000
"""So many pages of a file (some 800 MB) are looked at for where one recording ends and the next begins."""
_OGG_PAGE = 27
_LINKS = 2000
_BOXES = 10_000


class Refused(Exception):
    """The file cannot be read; the argument is the word for it."""


@dataclass(frozen=True)
class HeaderlessFormat:
    """Sound without any header: only the ending of its name tells what it is."""

    demuxer: str
    rate: int
    decoder: str = ""
    """Where FFmpeg has no demuxer: what its bytes are, read as bytes of `demuxer`."""


RAW: Final = {
    "mulaw": HeaderlessFormat("mulaw", 8000),
    "alaw": HeaderlessFormat("alaw", 8000),
    "g722": HeaderlessFormat("g722", 16_000),
    "g729": HeaderlessFormat("g729", 8000),
    "sln": HeaderlessFormat("s16le", 8000),
    "sln16": HeaderlessFormat("s16le", 16_000),
    "vox": HeaderlessFormat("u8", 4000, "adpcm_ima_oki"),  # Dialogic's ADPCM: two samples a byte
}
"""Telephone sound by our own names."""
_SIGNED = (b"RIFF", b"RF64", b"riff", b"ID3", b"OggS", b"fLaC", b".snd", b"FORM", b"caff", b"#!AMR")
"""Beginnings of files that say what they are, whatever their name is."""


class Header(FileIO):
    """A file that ends early while its header is sought without end. `opened` lifts that, `endless` tells.

    `first` and `end` make it a part of the file, of which nothing else is seen.
    """

    def __init__(self, descriptor: int, first: int = 0, end: int | None = None) -> None:
        super().__init__(descriptor)
        self.opened = self.endless = False
        self.jumps = self.read_bytes = 0
        self._in_a_row_bytes = 0
        self._first = first
        self._end = os.fstat(descriptor).st_size if end is None else end
        super().seek(first)

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; none any more when too many were read."""
        if not self.opened:
            busy = self.jumps > _JUMPS + self.read_bytes // _BYTES_A_JUMP
            self.endless = self.endless or busy or self._in_a_row_bytes > _IN_A_ROW_BYTES
        left = max(0, self._end - super().tell())
        length = left if size is None or size < 0 else min(size, left)
        block = b"" if self.endless else super().read(length) or b""
        self.read_bytes += len(block)
        self._in_a_row_bytes += len(block)
        return block

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Jump, which is counted."""
        self.jumps += 1
        self._in_a_row_bytes = 0
        if whence == os.SEEK_CUR:
            return super().seek(offset, whence) - self._first
        base = self._first if whence == os.SEEK_SET else self._end
        return super().seek(max(self._first, base + offset)) - self._first

    def tell(self) -> int:
        """Where the next byte is read."""
        return super().tell() - self._first


def open_file(descriptor: int, hint: str = "") -> InputContainer:
    """The file, opened. `hint` is the name of a raw format, or anything. Raises Refused."""
    if hint in RAW and not os.pread(descriptor, 4, 0).startswith(_SIGNED):
        return opened(Header(os.dup(descriptor)), RAW[hint])
    container = opened(Header(os.dup(descriptor)))
    if not set(container.format.name.split(",")) & set(FORMATS.split(",")):
        raise Refused("not_media")
    return container


def opened(file: Header, raw: HeaderlessFormat | None = None) -> InputContainer:
    """The container in a file. Raises Refused."""
    whitelists = {"protocol_whitelist": "file", "format_whitelist": raw.demuxer if raw else FORMATS}
    rate = {"sample_rate": str(raw.rate)} if raw and raw.demuxer not in {"g722", "g729"} else {}
    try:
        container = av.open(
            file,
            format=raw.demuxer if raw else None,
            io_open=_deny,
            container_options=whitelists | {"probesize": "5000000", "analyzeduration": "10000000"} | rate,
            metadata_errors="replace",
            buffer_size=256 * 1024,
            timeout=(10, 30),
        )
    except (av.FFmpegError, ValueError) as error:
        raise Refused(_why(file)) from error
    if file.endless:
        raise Refused("slow")
    file.opened = True
    return cast("InputContainer", container)


def _why(file: Header) -> str:
    """The word for what cannot be opened."""
    if file.endless:
        return "slow"
    if os.pread(file.fileno(), 4, 0) in {b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf"}:
        return "archive"
    return "unfinished" if _unfinished(file.fileno()) else "not_media"


def _unfinished(descriptor: int) -> bool:
    """Whether it is a file of MP4's kind, or Apple's CAF, whose index was never written."""
    at, size = 0, os.fstat(descriptor).st_size
    if os.pread(descriptor, 4, 0) == b"caff":
        return True
    if os.pread(descriptor, 4, 4) not in {b"ftyp", b"mdat", b"wide"}:
        return False
    for _ in range(_BOXES):
        head = os.pread(descriptor, 16, at)
        if len(head) < 8 or head[4:8] == b"moov":
            return len(head) < 8
        length = int.from_bytes(head[:4])
        length = int.from_bytes(head[8:16]) if length == 1 else length
        if length < 8 or at + length > size:
            return True  # a box of no length, or of more than there is: it was being written
        at += length
    return False


def _deny(*_request: object) -> NoReturn:
    """A file that wants another file opened gets nothing."""
    raise Refused("refers")


def sounds(container: InputContainer) -> list[AudioStream]:
    """Every track of sound that may be heard, the one first that a player would play. Raises Refused."""
    if len(container.streams) > TRACKS:
        raise Refused("streams")
    best = container.streams.best("audio")
    if not isinstance(best, AudioStream):
        raise Refused("no_sound")
    if best.channels > CHANNELS:
        raise Refused("channels")
    if not 4000 <= best.rate <= 192_000:
        raise Refused("rate")
    others = [each for each in container.streams.audio if each.index != best.index and _fits(each)]
    for stream in (best, *others):
        stream.codec_context.thread_count = 1
    return [best, *others]


def _fits(stream: AudioStream) -> bool:
    return 0 < stream.channels <= CHANNELS and 4000 <= (stream.rate or 0) <= 192_000


def described(container: InputContainer, streams: Sequence[AudioStream]) -> list[tuple[Track, AudioStream]]:
    """What the file says of its tracks, in its own order."""
    indexes = {stream.index for stream in streams}
    best = streams[0].index
    found = []
    for number, stream in enumerate(container.streams.audio, 1):
        if stream.index in indexes:
            default = stream.index == best
            title = _title(stream)
            track = tracks.track(number, stream.language, title, default=default, channels=stream.channels)
            found.append((track, stream))
    return found


def _title(stream: AudioStream) -> str:
    """As Matroska and MP4 keep it; the handler's name only where a person has chosen it."""
    title = stream.metadata.get("title") or stream.metadata.get("handler_name", "")
    usual = not title.isprintable() or title.lower().replace(" ", "") in {"soundhandler", "soundmediahandler"}
    return "" if usual or "core media" in title.lower() or "iso media" in title.lower() else title


def dated(container: InputContainer, stream: AudioStream) -> list[str]:
    """What tags say of when it was recorded, the most trusted first: Apple's has a zone, MP4's is in UTC."""
    found = {name.lower(): value for name, value in (*stream.metadata.items(), *container.metadata.items())}
    if found.get("creation_time", "")[2:3] == ":":  # a broadcaster's WAV has the day and the time apart
        found["creation_time"] = f"{found.get('date', '')} {found['creation_time']}"
    return [found[name][:DATE_LETTERS] for name in DATED if name in found]


def parts(descriptor: int, container: InputContainer) -> Iterator[InputContainer]:
    """The container, or one after another where several Ogg files were joined into one."""
    chained = links(descriptor) if container.format.name == "ogg" else []
    if len(chained) < 2:
        yield container
        return
    for first, end in chained:
        with suppress(Refused), opened(Header(os.dup(descriptor), first, end)) as link:
            yield link


def links(descriptor: int) -> list[tuple[int, int]]:
    """Where the recordings lie that are chained in an Ogg file: first byte and end of each (RFC 3533)."""
    size, starts = os.fstat(descriptor).st_size, [0]
    at, began = 0, True
    for _ in range(_OGG_PAGES):
        head = os.pread(descriptor, _OGG_PAGE + 255, at)
        if len(head) < _OGG_PAGE:
            break
        if not head.startswith(b"OggS"):
            at = _next_page(descriptor, at)
            continue
        begins = bool(head[5] & 2)
        if begins and not began and len(starts) < _LINKS:
            starts.append(at)
        began = begins
        lengths = head[_OGG_PAGE : _OGG_PAGE + head[26]]
        at += _OGG_PAGE + len(lengths) + sum(lengths)
    return list(zip(starts, [*starts[1:], size], strict=True))


def _next_page(descriptor: int, at: int) -> int:
    """Where the next page begins behind damage; the end of the file if none does."""
    while block := os.pread(descriptor, 65536, at):
        if (position := block.find(b"OggS", 1)) >= 0:
            return at + position
        at += max(1, len(block) - 3)
    return at
