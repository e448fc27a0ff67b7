"""An archive before it is uploaded: which files are new, how long they are, how much of them is speech.

Only headers are read, and bytes only where two files have the same size: then their hashes tell
whether one was meant twice, or is here already.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Protocol

from sqlalchemy import select

from core.database.database import Database
from core.database.recycle_bin import WITH_BIN
from core.database.tables import Recording
from core.errors import Code, NotFound, StenogramError
from core.library.archives import Member
from core.media import decode, stereo
from core.media.decode import Media
from core.media.waveform import SAMPLE_RATE
from core.speech import vad
from core.storage.blobs import folder_files
from core.storage.resumable import HeldFile
from core.transcripts import importing

SAMPLE_FILES = 12
"""So many files, spread over the archive, are listened to for the share of speech."""


class Held(Protocol):
    """A file in memory, as an uploader gives it."""

    name: str
    size: int

    def getbuffer(self) -> memoryview:
        """Its bytes."""


@dataclass(frozen=True)
class Candidate:
    """A file that may become a recording; `open_path` gives it as a file of this disk for a while."""

    name: str
    size_bytes: int
    open_path: Callable[[], AbstractContextManager[Path]]
    source: object
    """What `views.accept_file` or `views.take_path` takes."""


@dataclass(frozen=True)
class Found:
    """What became known of a file. `why` it is left out: repeated, known, refused; or nothing."""

    candidate: Candidate
    duration_s: float | None = None
    estimated: bool = False
    why: str = ""
    error: StenogramError | None = None
    sha256: str = ""
    """Of a file that is known."""
    channels: int = 1


@dataclass
class Archive:
    """The files of a plan, as far as they were looked at."""

    found: list[Found] = field(default_factory=list)
    calls: list[Found] | None = None
    """New files with different voices on two channels; None while nobody has listened."""

    def left_out(self, why: str) -> list[Found]:
        """Files that are not taken, by reason."""
        return [each for each in self.found if each.why == why]

    @property
    def fresh(self) -> list[Found]:
        """Files that are new here and can be read."""
        return self.left_out("")

    @property
    def estimated(self) -> int:
        """How many lengths no header says, so that they are worked out from size and bit rate."""
        return sum(each.estimated for each in self.fresh)

    def durations_s(self, unknown_s: float) -> list[float]:
        """Lengths of the new files; where nobody knows one, so much."""
        return [each.duration_s or unknown_s for each in self.fresh]


def in_folder(folder: str, allowed: Sequence[Path]) -> list[Candidate]:
    """Media under a folder of this server; transcripts cost nothing, so they are left out.

    Raise BadRequest where it may not be read, or is not there.
    """
    files = folder_files(Path(folder), allowed)
    return list(on_disk(file for file in files if not importing.is_transcript(file.name)))


def on_disk(paths: Iterable[Path]) -> Iterator[Candidate]:
    """Files of this server; one that went away meanwhile is left out."""
    for path in paths:
        with suppress(OSError):
            yield Candidate(path.name, path.lstat().st_size, _reader(path), path)


def dropped(files: Iterable[Held | Member | HeldFile]) -> list[Candidate]:
    """Media that a browser sent, or of an archive; each is on disk only while it is looked at.

    Transcripts cost nothing, so they are left out.
    """
    return [
        Candidate(
            file.name,
            file.size,
            file.open_path if isinstance(file, Member | HeldFile) else _temporary_file(file),
            file,
        )
        for file in files
        if not importing.is_transcript(file.name)
    ]


def look(candidates: Sequence[Candidate], database: Database) -> Iterator[Found]:
    """Each file once, as it becomes known; stop asking to cancel."""
    rest: list[Candidate] = []
    for candidate, why, digest in _sorted_out(candidates, _known(database)):
        if why:
            yield Found(candidate, why=why, sha256=digest)
        else:
            rest.append(candidate)
    for candidate, media in zip(rest, decode.probe_all(_as_paths(rest)), strict=True):
        yield _found(candidate, media)


def measure_speech(fresh: Sequence[Found]) -> Iterator[tuple[float, float]]:
    """Seconds of speech and of sound in each of some files, by the voice detector; decodes them."""
    for each in sample(fresh):
        with each.candidate.open_path() as path, tempfile.TemporaryDirectory(prefix="stenogram-") as folder:
            try:
                hint = decode.hint(each.candidate.name)
                decoded = decode.decode_tracks(path, Path(folder), hint=hint)
                sound = decode.waveform(next(iter(decoded.files.values())))
            except StenogramError:  # the header was right, the rest is not: nothing to learn
                continue
            spoken_s = sum(span.duration_s for span in vad.speech(sound))
            yield min(spoken_s, len(sound) / SAMPLE_RATE), len(sound) / SAMPLE_RATE


def calls(fresh: Sequence[Found]) -> Iterator[Found]:
    """Of some of these files those whose two channels carry different voices; listens to their beginnings."""
    for each in sample([decoded for decoded in fresh if decoded.channels == 2]):
        with each.candidate.open_path() as path, tempfile.TemporaryDirectory(prefix="stenogram-") as folder:
            hint = decode.hint(each.candidate.name)
            with suppress(StenogramError):
                decoded = decode.decode_tracks(
                    path, Path(folder), split_channels=True, hint=hint, first_s=stereo.LISTENED_S
                )
                if len(decoded.files) == 2 and stereo.apart(*map(decode.waveform, decoded.files.values())):
                    yield each


def sample(fresh: Sequence[Found], most: int = SAMPLE_FILES) -> list[Found]:
    """Some files, spread evenly over all."""
    step = max(1.0, len(fresh) / most)
    return [fresh[int(n * step)] for n in range(min(most, len(fresh)))]


def _sorted_out(
    candidates: Sequence[Candidate], known_files: Collection[tuple[int, str]]
) -> Iterator[tuple[Candidate, str, str]]:
    """Whether a file was meant twice or is here already, and its hash; only files of one size are read."""
    sizes = Counter(candidate.size_bytes for candidate in candidates)
    app = {size_bytes for size_bytes, _ in known_files}
    digests: set[str] = set()
    for candidate in candidates:
        if sizes[candidate.size_bytes] == 1 and candidate.size_bytes not in app:
            yield candidate, "", ""
            continue
        digest = _hash(candidate)
        yield candidate, _why(digest, candidate.size_bytes, digests, known_files), digest
        digests.add(digest)


def _why(
    digest: str, size_bytes: int, digests: Collection[str], known_files: Collection[tuple[int, str]]
) -> str:
    if digest and digest in digests:
        return "repeated"
    return "known" if (size_bytes, digest) in known_files else ""


def _hash(candidate: Candidate) -> str:
    """SHA-256 in hex; nothing where the file went away, which the look into it will tell."""
    try:
        with candidate.open_path() as path, FileIO(path, opener=_unfollowed) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _unfollowed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _known(database: Database) -> set[tuple[int, str]]:
    with database.read() as session:
        rows = session.execute(
            select(Recording.size_bytes, Recording.sha256).distinct().execution_options(**WITH_BIN)
        )
        return {(size_bytes, sha256) for size_bytes, sha256 in rows}


def _found(candidate: Candidate, media: Media | StenogramError) -> Found:
    if isinstance(media, StenogramError):
        error = NotFound(Code.FILE_GONE) if isinstance(media, NotFound) else media
        return Found(candidate, why="refused", error=error)
    unsure = media.estimated or media.duration_s is None
    return Found(candidate, media.duration_s, unsure, channels=media.channels)


def _as_paths(candidates: Iterable[Candidate]) -> Iterator[tuple[Path, str]]:
    """Each file as a path, good until the next is asked for, with what its name tells of it."""
    for candidate in candidates:
        with candidate.open_path() as path:
            yield path, decode.hint(candidate.name)


def _reader(path: Path) -> Callable[[], AbstractContextManager[Path]]:
    return lambda: nullcontext(path)


def _temporary_file(file: Held) -> Callable[[], AbstractContextManager[Path]]:
    @contextmanager
    def spooled() -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(prefix="stenogram-") as copy:
            copy.write(file.getbuffer())
            copy.flush()
            yield Path(copy.name)

    return spooled
