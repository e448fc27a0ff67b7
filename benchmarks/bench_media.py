"""Every kind of file people have, through the whole tool: heard whole, in time, and played in two browsers.

The files are made here, by ffmpeg (a development tool) and the FFmpeg inside av, of three seconds of silence
and eleven of a voice, which Whisper `base` transcribes. `python -m benchmarks.bench_media [kinds…]`
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av
import jiwer
import numpy as np
from playwright.sync_api import Error

from core.errors import StenogramError
from core.library.recordings import TranscriptionOptions
from core.media import decode
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE
from tests import voices
from tests.conftest import DATA
from tests.drive import perform_all
from tests.installation import generous
from tests.listening import BROWSERS, LOUD, Listen, Played
from tests.serve import Served, serve
from tests.test_media import oki

ENGINE = "whisper-base"
SAMPLE = DATA / "en_meeting.opus"
SILENCE_S, SPOKEN_S, SOUGHT_S = 3, 11, 1.5
PICTURE = ("-f", "lavfi", "-i", "color=c=blue:s=64x48:r=25")
SHIFT = ("-output_ts_offset", "5")

BY_FFMPEG: dict[str, tuple[str, tuple[str, ...]]] = {
    "wav": ("a.wav", ()),
    "wav, G.711": ("a.wav", ("-ar", "8000", "-c:a", "pcm_mulaw")),
    "wav, GSM": ("a.wav", ("-ar", "8000", "-c:a", "libgsm_ms")),
    "rf64": ("a.wav", ("-rf64", "always")),
    "w64": ("a.w64", ()),
    "mp3": ("a.mp3", ()),
    "mp3 without Xing, VBR": ("a.mp3", ("-q:a", "5", "-write_xing", "0")),
    "mp3 of 44.1 kHz": ("a.mp3", ("-ar", "44100")),
    "m4a": ("a.m4a", ()),
    "m4a in fragments": ("a.m4a", ("-movflags", "frag_keyframe+empty_moov")),
    "m4a from 5 s": ("a.m4a", SHIFT),
    "mov": ("a.mov", ()),
    "aac (ADTS)": ("a.aac", ()),
    "flac": ("a.flac", ()),
    "ogg vorbis": ("a.ogg", ("-c:a", "libvorbis")),
    "opus": ("a.opus", ("-c:a", "libopus")),
    "opus from 5 s": ("a.opus", ("-c:a", "libopus", *SHIFT)),
    "webm": ("a.webm", ("-c:a", "libopus")),
    "webm of a stream": ("a.webm", ("-c:a", "libopus", "-live", "1")),
    "webm from 5 s": ("a.webm", ("-c:a", "libopus", *SHIFT)),
    "mka": ("a.mka", ("-c:a", "libopus")),
    "wma": ("a.wma", ()),
    "aiff": ("a.aiff", ()),
    "caf": ("a.caf", ()),
    "au": ("a.au", ()),
    "wv": ("a.wv", ()),
    "tta": ("a.tta", ()),
    "ac3": ("a.ac3", ()),
    "gsm": ("a.gsm", ("-ar", "8000", "-c:a", "libgsm")),
    "raw µ-law (.ulaw)": ("a.ulaw", ("-ar", "8000", "-c:a", "pcm_mulaw", "-f", "mulaw")),
    "raw A-law (.al)": ("a.al", ("-ar", "8000", "-c:a", "pcm_alaw", "-f", "alaw")),
    "raw G.722 (.g722)": ("a.g722", ("-ar", "16000", "-c:a", "g722", "-f", "g722")),
    "mp4": ("a.mp4", (*PICTURE, "-shortest", "-pix_fmt", "yuv420p")),
    "mp4 from 5 s": ("a.mp4", (*PICTURE, "-shortest", "-pix_fmt", "yuv420p", *SHIFT)),
    "mkv, H.264 and AC-3": ("a.mkv", (*PICTURE, "-shortest", "-pix_fmt", "yuv420p", "-c:a", "ac3")),
    "avi": ("a.avi", (*PICTURE, "-shortest", "-c:a", "mp3")),
    "mpg": ("a.mpg", (*PICTURE, "-shortest", "-c:a", "mp2")),
    "mts": ("a.mts", (*PICTURE, "-shortest", "-c:a", "ac3", "-f", "mpegts")),
    "flv": ("a.flv", (*PICTURE, "-shortest", "-ar", "44100")),
    "3gp": ("a.3gp", ("-c:a", "aac")),
    "mkv, silent first track": (
        "a.mkv",
        ("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-map", "1:a", "-map", "0:a", "-shortest"),
    ),
}
"""File name and ffmpeg's options, behind those that read the sound."""


def joined(folder: Path, source: Path) -> Path:
    """Two Opus files in one, the second in stereo."""
    parts = [folder / "one.opus", folder / "two.opus"]
    ffmpeg("-i", source, "-t", "10", "-c:a", "libopus", parts[0])
    ffmpeg("-ss", "10", "-i", source, "-ac", "2", "-c:a", "libopus", parts[1])
    path = folder / "a.opus"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def amr(folder: Path, source: Path) -> Path:
    """As phones record: Debian's ffmpeg has no encoder of it, ours has."""
    path = folder / "a.amr"
    with av.open(source) as container, av.open(path, "w", format="amr") as out:
        stream = out.add_stream("libopencore_amrnb", rate=8000, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 8000, 160)
        for frame in container.decode(audio=0):
            for ready in resampler.resample(frame):
                out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    return path


def unfinished(folder: Path, source: Path) -> Path:
    """An M4A whose index was never written."""
    ffmpeg("-i", source, folder / "whole.m4a")
    content = (folder / "whole.m4a").read_bytes()
    path = folder / "a.m4a"
    path.write_bytes(content[: content.index(b"moov") - 4])
    return path


def cut_off(folder: Path, source: Path) -> Path:
    """An M4A with its index first, of which half was copied."""
    ffmpeg("-i", source, "-movflags", "faststart", folder / "whole.m4a")
    content = (folder / "whole.m4a").read_bytes()
    path = folder / "a.m4a"
    path.write_bytes(content[: len(content) // 2])
    return path


def vox(folder: Path, source: Path) -> Path:
    """Dialogic's ADPCM, of which nobody has an encoder."""
    sound = decode.waveform(decode.decode(source, folder)[0])
    path = folder / "a.vox"
    path.write_bytes(oki(sound[::2]))
    return path


MADE: dict[str, Callable[[Path, Path], Path]] = {
    "amr": amr,
    "vox": vox,
    "ogg, two joined": joined,
    "m4a, cut in half": cut_off,
    "m4a without index": unfinished,
}


HEAD = """\
| kind | accepted | length: said → measured | tracks | words not as in wav | \
first word, after wav's | sound, ours − Chromium's · Firefox's | length there, sought to 1.5 s |
|---|---|---|---|---|---|---|---|"""


def ffmpeg(*arguments: object) -> None:
    """Run the development tool."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def original(folder: Path) -> Path:
    """Silence, and then a voice, as 16 kHz mono: a real one where it is, else a sample."""
    voice = voices.FOLDER / "jfk.flac"
    original_sound = decode.waveform(decode.decode(voice if voice.is_file() else SAMPLE, folder)[0])
    path = folder / "original.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
        sound = np.asarray(original_sound[: SPOKEN_S * SAMPLE_RATE])
        out.writeframes(bytes(2 * SILENCE_S * SAMPLE_RATE) + sound.tobytes())
    return path


def make_sample(kind: str, folder: Path, source: Path) -> Path:
    """A file of this kind."""
    folder.mkdir()
    if kind in MADE:
        return MADE[kind](folder, source)
    name, options = BY_FFMPEG[kind]
    ffmpeg("-i", source, *options, folder / name)
    return folder / name


@dataclass
class Row:
    """What became of one kind."""

    kind: str
    accepted: str
    length: str = "–"
    tracks: str = "–"
    text: str = "–"
    word: str = "–"
    sound: str = "–"
    plays: str = "–"

    def __str__(self) -> str:
        cells = (
            self.kind, self.accepted, self.length, self.tracks, self.text, self.word, self.sound, self.plays,
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Measurement:
    """What was transcribed of a file."""

    text: str = ""
    first_word_s: float = 0.0


def measured(
    kind: str, path: Path, served: Served, browsers: Sequence[Listen], as_wav: Measurement | None
) -> tuple[Row, Measurement]:
    """One line of the matrix."""
    app, hint = served.app, decode.hint(path.name)
    try:
        media = decode.probe(path, hint)
        with path.open("rb") as file:
            options = TranscriptionOptions(language="en", engine=ENGINE)
            task = app.intake.accept(EVERYONE, file, path.name, options)
    except StenogramError as error:
        return Row(kind, str(error).split(":", 1)[-1].split(".")[0].strip()), Measurement()
    perform_all(app)
    recording = app.recordings.get(EVERYONE, task.recording_id)
    segments = app.transcripts.segments(recording.transcript_id or "")
    words = [word for segment in segments for word in segment.words]
    measurement = Measurement(
        voices.normalise(" ".join(word.text for word in words)), words[0].start_s if words else math.nan
    )
    as_wav = as_wav or measurement
    address = f"{served.url}/sound/{recording.id}?ticket={app.keys.sound_ticket(EVERYONE, recording.id)}"
    played = [played_by(listen, address) for listen in browsers]
    ours_s = loud_s(path, hint)
    about = "about " if media.estimated else ""
    return Row(
        kind,
        "yes",
        f"{about}{media.duration_s:.1f} → {recording.duration_s:.1f} s",
        str(len(media.tracks)),
        f"{100 * jiwer.wer(as_wav.text, measurement.text):.0f} %",
        f"{measurement.first_word_s - as_wav.first_word_s:+.2f} s",
        " · ".join(f"{ours_s - one.loud:+.2f} s" if one and one.loud else "silent" for one in played),
        " · ".join(f"{one.duration:.1f} s, {one.landed:.2f} s" if one else "does not play" for one in played)
        + ("" if media.plays else ", a copy"),
    ), measurement


def played_by(listen: Listen, address: str) -> Played | None:
    """What a browser made of it; None where it does not play."""
    try:
        return listen(address, SOUGHT_S)
    except (AssertionError, Error):
        return None


def loud_s(path: Path, hint: str) -> float:
    """At which second of the sound that we transcribe it becomes loud, by the measure of the browsers."""
    with tempfile.TemporaryDirectory() as folder:
        decoded = decode.decode_tracks(path, Path(folder), hint=hint, tracks="mix")
        (file,) = decoded.files.values()
        return float(np.argmax(np.abs(decode.waveform(file)) > LOUD * 32_768)) / SAMPLE_RATE


def main(chosen_kinds: list[str]) -> None:
    """Print the matrix."""
    kinds = [
        kind for kind in (*BY_FFMPEG, *MADE) if not chosen_kinds or kind in chosen_kinds or kind == "wav"
    ]
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder, as_wav = Path(scratch), None
        source = original(folder)
        served = stack.enter_context(serve(generous(folder / "home")))
        browsers = [stack.enter_context(start(served.url)) for start in BROWSERS.values()]
        print(HEAD)
        for n, kind in enumerate(kinds):
            row, measurement = measured(
                kind, make_sample(kind, folder / str(n), source), served, browsers, as_wav
            )
            as_wav = as_wav or measurement
            print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
