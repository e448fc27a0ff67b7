"""Every file people have: all tracks, all links, all seconds; and it is said what is missing."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from core.database.tables import Transcript
from core.errors import UnreadableMedia
from core.library.recordings import TranscriptionOptions
from core.media import decode, tracks
from core.media.decode import Decoded
from core.media.tracks import Track
from core.planning.plans import Candidate, Found
from core.principal import EVERYONE
from core.settings import ROOT
from core.transcripts import warnings
from core.transcripts.warnings import WarningCode
from pages.components import transcription_form
from tests.conftest import DATA
from tests.drive import perform_all
from tests.test_decode import SECONDS, add_picture, encode_picture, encode_sound, loudest_hz, make, tones
from tests.test_pipeline import accept

MIC_HZ, SYSTEM_HZ = 440, 1000


def decoded(path: Path, folder: Path, **more: object) -> Decoded:
    return decode.decode_tracks(path, folder / "decoded", **more)


def seconds(sound: Decoded) -> dict[str, float]:
    """How long each channel is."""
    return {channel: len(decode.waveform(file)) / 16_000 for channel, file in sound.files.items()}


def hertz(sound: Decoded) -> dict[str, int]:
    """The tone of each channel, to the nearest ten."""
    return {
        channel: 10 * round(loudest_hz(decode.waveform(file)) / 10) for channel, file in sound.files.items()
    }


# Several tracks


def several(
    path: Path, sounds: Sequence[np.ndarray], facts: Sequence[dict[str, str]], *, video: bool = False
) -> Path:
    """A Matroska file with a track for each sound (int16 [1, samples], 16 kHz)."""
    with av.open(path, "w", format="matroska") as container:
        streams = [container.add_stream("aac", rate=16_000, layout="mono") for _ in sounds]
        for stream, fact in zip(streams, facts, strict=True):
            stream.metadata.update(fact)
        video_stream = container.add_stream("libx264", rate=10) if video else None
        if video_stream:
            video_stream.width, video_stream.height, video_stream.pix_fmt = 64, 48, "yuv420p"
        for stream, sound in zip(streams, sounds, strict=True):
            encode_sound(container, stream, sound)
        if video_stream:
            encode_picture(container, video_stream)
    return path


def two_voices(path: Path, *facts: dict[str, str], **more: bool) -> Path:
    sounds = [tones(16_000, SECONDS, MIC_HZ), tones(16_000, SECONDS, SYSTEM_HZ)]
    return several(path, sounds, facts or ({"title": "Microphone"}, {"title": "System"}), **more)


def test_tracks_are_counted_with_what_their_file_says_of_them(tmp_path):
    path = two_voices(tmp_path / "a", {"language": "rus", "title": "Микрофон"}, {"language": "eng"})

    assert decode.probe(path).tracks == (
        Track(1, "ru", "Микрофон", default=True, channels=1),
        Track(2, "en", "", default=False, channels=1),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("", {"Microphone": MIC_HZ, "System": SYSTEM_HZ}),
        ("each", {"Microphone": MIC_HZ, "System": SYSTEM_HZ}),
        ("1", {"mono": MIC_HZ}),
        ("2", {"mono": SYSTEM_HZ}),
        ("7", {"Microphone": MIC_HZ, "System": SYSTEM_HZ}),
    ],
)
def test_tracks_are_heard_as_channels_or_chosen(choice, expected, tmp_path):
    result = decoded(two_voices(tmp_path / "a"), tmp_path, tracks=choice)

    assert hertz(result) == expected
    channels = {"1", "2"} if len(expected) == 2 else {choice}
    assert {str(n) for n in result.not_heard} == {"1", "2"} - channels


def test_mixed_tracks_are_one_channel_in_which_both_are_heard(tmp_path):
    result = decoded(two_voices(tmp_path / "a"), tmp_path, tracks="mix")

    assert list(result.files) == ["mono"]
    spectrum = np.abs(np.fft.rfft(decode.waveform(result.files["mono"])[: 2 * 16_000]))
    loud = {round(place / 2) for place in np.flatnonzero(spectrum > spectrum.max() / 2)}
    assert loud == {MIC_HZ, SYSTEM_HZ}


@pytest.mark.parametrize(("language", "number"), [("ru", 1), ("en", 2), ("fr", 1)])
def test_of_translations_the_one_that_is_spoken_is_heard(language, number, tmp_path):
    path = two_voices(tmp_path / "a", {"language": "rus"}, {"language": "eng"})

    result = decoded(path, tmp_path, language=language)

    assert hertz(result) == {"mono": {1: MIC_HZ, 2: SYSTEM_HZ}[number]}
    assert result.not_heard == (3 - number,)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3000, (1, 3 * 16_000)).astype(np.int16)


def test_a_track_that_is_the_others_mixed_is_not_heard_twice(tmp_path):
    mic, system = noise(1), noise(2)
    path = several(tmp_path / "a", [mic // 2 + system // 2, mic, system], [{}, {}, {}])

    assert list(decoded(path, tmp_path).files) == ["track_2", "track_3"]
    assert list(decoded(path, tmp_path, tracks="each").files) == ["track_1", "track_2", "track_3"]


def test_a_track_that_another_repeats_is_heard_once(tmp_path):
    path = several(tmp_path / "a", [noise(1), noise(1)], [{}, {}])

    result = decoded(path, tmp_path)

    assert (list(result.files), result.not_heard) == (["mono"], ())


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (("Mic", "Mic"), ["track_1", "track_2"]),
        (("left", "speaker_1"), ["track_1", "track_2"]),
        (("a\nb  c", "x" * 90), ["a b c", "x" * tracks.MAX_TITLE]),
    ],
)
def test_channels_of_tracks_have_names_that_tell_them_apart(titles, expected):
    rows = [Track(n, "", title, default=False, channels=1) for n, title in enumerate(titles, 1)]

    assert list(tracks.channels(rows).values()) == expected


def speech(name: str) -> np.ndarray:
    with av.open(DATA / name) as container:
        resampler = av.AudioResampler("s16p", "mono", 16_000)
        frames = [ready for frame in container.decode(audio=0) for ready in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def test_a_silent_first_track_hides_nothing(app, tmp_path):
    reference = speech("ru_meeting.opus")
    facts = ({"title": "System"}, {"title": "Микрофон"})
    path = several(tmp_path / "a.mkv", [np.zeros_like(reference), reference], facts)

    task = sent(app, path)

    segments = app.transcripts.segments(task.transcript_id)
    assert {segment.channel for segment in segments} == {"Микрофон"}
    alone = accept(app, "ru_meeting.opus")
    perform_all(app)
    recognised = " ".join(segment.text for segment in segments)
    expected = " ".join(segment.text for segment in app.transcripts.segments(alone.transcript_id))
    assert len(set(recognised.split()) & set(expected.split())) > 0.8 * len(set(expected.split()))


def sent(app, path: Path, options: TranscriptionOptions | None = None):
    with path.open("rb") as file:
        task = app.intake.accept(EVERYONE, file, path.name, options or TranscriptionOptions(language="ru"))
    perform_all(app)
    return app.recordings.task(EVERYONE, task.id)


def facts_by_code(app, task) -> dict[WarningCode, dict[str, str]]:
    return {one.code: dict(one.facts) for one in warnings.of(app.transcripts.get(task.transcript_id))}


def test_what_was_not_heard_is_said(app, tmp_path):
    path = two_voices(tmp_path / "a.mkv")

    all_heard = sent(app, path)
    one_heard = sent(app, path, TranscriptionOptions(language="ru", tracks="2"))

    assert facts_by_code(app, all_heard) == {}
    assert facts_by_code(app, one_heard) == {WarningCode.TRACKS_NOT_HEARD: {"tracks": "1 (Microphone)"}}
    assert all_heard.transcript_id != one_heard.transcript_id


# Joined and damaged files


def ogg(codec: str, sound: np.ndarray, rate: int) -> bytes:
    buffer = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[len(sound)]
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
        encode_sound(container, stream, sound)
    return buffer.getvalue()


CHAINS: dict[str, Callable[[], list[bytes]]] = {
    "other channels": lambda: [
        ogg("libopus", tones(48_000, 2, 440), 48_000),
        ogg("libopus", tones(48_000, 3, 1000, 1000), 48_000),
    ],
    "other rate": lambda: [
        ogg("vorbis", tones(44_100, 2, 440, 440), 44_100),
        ogg("vorbis", tones(22_050, 3, 1000, 1000), 22_050),
    ],
    "other codec": lambda: [
        ogg("libopus", tones(48_000, 2, 440), 48_000),
        ogg("flac", tones(16_000, 3, 1000), 16_000),
    ],
    "the same twice": lambda: [ogg("libopus", tones(48_000, 2, 440), 48_000)] * 2,
    "many voice notes": lambda: [ogg("libopus", tones(48_000, 1, 300 + 100 * n), 48_000) for n in range(7)],
}


@pytest.mark.parametrize("kind", CHAINS)
def test_every_link_of_a_chained_ogg_is_heard(kind, tmp_path):
    chain = CHAINS[kind]()
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(chain))
    each = [decode.probe(written(tmp_path / f"{n}.ogg", link)).duration_s for n, link in enumerate(chain)]

    media, result = decode.probe(path), decoded(path, tmp_path)

    assert seconds(result)["mono"] == pytest.approx(sum(each), abs=0.05)
    assert media.duration_s == pytest.approx(sum(each), abs=0.05)
    assert (media.estimated, media.plays, result.breaks_s) == (False, False, ())
    last_s = decode.waveform(result.files["mono"])[-8000:]
    last_hz = {"the same twice": 440, "many voice notes": 900}.get(kind, 1000)
    assert loudest_hz(last_s) == pytest.approx(last_hz, abs=20)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


DAMAGED = {
    "mp3": ("mp3", "libmp3lame"),
    "aac": ("adts", "aac"),
    "m4a": ("ipod", "aac"),
    "mkv": ("matroska", "aac"),
    "webm": ("webm", "libopus"),
    "opus": ("ogg", "libopus"),
    "ts": ("mpegts", "aac"),
    "mpg": ("mpeg", "mp2"),
    "flv": ("flv", "aac"),
    "ac3": ("ac3", "ac3"),
    "tta": ("tta", "tta"),
    "wv": ("wv", "wavpack"),
    "caf": ("caf", "alac"),
    "avi": ("avi", "libmp3lame"),
    "flac": ("flac", "flac"),
}


@cache
def noisy(kind: str) -> bytes:
    """Twenty seconds of noise as a file of this kind, which two tests break each in its way."""
    muxer, codec = DAMAGED[kind]
    with tempfile.TemporaryDirectory() as folder:
        return make(Path(folder, "a"), codec, noise20(), 48_000, muxer=muxer).read_bytes()


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_in_the_middle_is_never_taken_for_the_end(kind, tmp_path):
    """A tenth of the file is noise; what follows is heard, at its time, or it is said where it broke."""
    content = bytearray(noisy(kind))
    at, end = len(content) * 4 // 10, len(content) // 2
    content[at:end] = np.random.default_rng(4).bytes(end - at)

    result = decoded(written(tmp_path / "a", content), tmp_path)

    heard_s = seconds(result)["mono"]
    short = result.stated_s is not None and result.stated_s - heard_s > 1
    assert result.breaks_s or short or kind == "flac", result  # FLAC repeats and conceals in its parser
    assert all(6 < at_s < 12 for at_s in result.breaks_s)
    if kind != "wv":  # nothing in WavPack's demuxer finds the next block
        assert heard_s > 17


@pytest.mark.parametrize("kind", [kind for kind in DAMAGED if kind not in {"caf", "m4a"}])
def test_a_file_that_breaks_off_is_heard_up_to_there(kind, tmp_path):
    content = noisy(kind)

    result = decoded(written(tmp_path / "a", content[: len(content) * 6 // 10]), tmp_path)

    assert seconds(result)["mono"] == pytest.approx(12, abs=1.2)
    assert all(at_s > 10 for at_s in result.breaks_s)


def test_where_it_breaks_off_is_said(app, tmp_path):
    options = {"movflags": "faststart"}
    path = make(tmp_path / "a.m4a", "aac", noise20(), 48_000, muxer="ipod", options=options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    facts = facts_by_code(app, sent(app, path))

    assert facts.keys() == {WarningCode.MEDIA_CUT_SHORT}
    assert facts[WarningCode.MEDIA_CUT_SHORT]["length"] == "0:20"
    assert facts[WarningCode.MEDIA_CUT_SHORT]["at"] in {"0:09", "0:10"}


@pytest.mark.parametrize("kind", ["m4a", "mp3"])
def test_where_it_is_damaged_is_said(kind, app, tmp_path):
    muxer, codec = DAMAGED[kind]
    options = {"movflags": "faststart"} if kind == "m4a" else {}
    path = make(tmp_path / f"a.{kind}", codec, noise20(), 48_000, muxer=muxer, options=options)
    content = bytearray(path.read_bytes())
    at, end = len(content) // 2, len(content) * 6 // 10
    content[at:end] = bytes(end - at)
    path.write_bytes(content)

    facts = facts_by_code(app, sent(app, path))

    assert facts.keys() == {WarningCode.MEDIA_DAMAGED}
    assert facts[WarningCode.MEDIA_DAMAGED]["at"] in {"0:09", "0:10"}


def noise20() -> np.ndarray:
    return np.random.default_rng(5).normal(0, 3000, (1, 20 * 48_000)).astype(np.int16)


# Length and first time stamp


def quiet_then_loud(rate: int, seconds: float = 20) -> np.ndarray:
    """Most of it quiet, so that the bit rate of its beginning tells nothing of the rest."""
    sound = np.zeros((1, round(rate * seconds)), np.int16)
    sound[:, rate * 15 :] = noise20()[:, : sound.shape[1] - rate * 15]
    return sound


LENGTHS = {
    "adts": ("adts", "aac", {}),
    "mp3 without Xing": ("mp3", "libmp3lame", {"write_xing": "0"}),
    "mp3": ("mp3", "libmp3lame", {}),
    "ac3": ("ac3", "ac3", {}),
    "amr": ("amr", "libopencore_amrnb", {}),
    "webm of a stream": ("webm", "libopus", {"live": "1"}),
    "flac": ("flac", "flac", {}),
    "au": ("au", "pcm_s16be", {}),
    "opus": ("ogg", "libopus", {}),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_lengths_are_measured_where_headers_say_nothing_or_lie(kind, tmp_path):
    muxer, codec, options = LENGTHS[kind]
    rate = 8000 if codec == "libopencore_amrnb" else 48_000
    path = make(tmp_path / "a", codec, quiet_then_loud(rate), rate, muxer=muxer, options=options)

    media = decode.probe(path)

    assert media.duration_s == pytest.approx(20, abs=0.1)
    assert not media.estimated


def test_a_length_is_about_where_counting_would_take_too_long(tmp_path):
    path = make(tmp_path / "a", "aac", np.zeros((1, 16_000 * 600), np.int16), 16_000, muxer="adts")

    now = decode.probe(path)
    (before,) = decode.probe_all([(path, "")])

    assert now.estimated
    assert now.duration_s == pytest.approx(600, rel=0.05)
    assert (before.estimated, before.duration_s) == (False, pytest.approx(600, abs=0.2))


@pytest.mark.parametrize("muxer", ["matroska", "mp4", "avi", "mpegts"])
def test_sound_that_ends_before_its_picture_is_as_long_as_it_is(muxer, app, tmp_path):
    path = tmp_path / "a.video"
    with av.open(path, "w", format=muxer) as container:
        audio_stream = container.add_stream("aac", rate=48_000, layout="mono")
        video_stream = add_picture(container, "mpeg4")
        encode_sound(container, audio_stream, noise20()[:, : 5 * 48_000])
        encode_picture(container, video_stream, seconds=15)

    media, task = decode.probe(path), sent(app, path)

    assert media.estimated or media.duration_s == pytest.approx(5, abs=0.2)
    assert facts_by_code(app, task) == {}


SHIFTED = {
    "webm": ("webm", "libopus", "vp8"),
    "weba": ("webm", "libopus", ""),
    "m4a": ("mp4", "aac", ""),
    "mp4": ("mp4", "aac", "libx264"),
    "opus": ("ogg", "libopus", ""),
    "mkv": ("matroska", "aac", "libx264"),
    "ts": ("mpegts", "aac", ""),
}


def shifted(path: Path, kind: str, start_s: float) -> Path:
    """A file of this kind whose first time stamp is `start_s`."""
    muxer, codec, video = SHIFTED[kind]
    usual = make(
        path.with_suffix(".usual"), codec, tones(48_000, SECONDS, 440), 48_000, video=video, muxer=muxer
    )
    return moved(usual, path, muxer, start_s)


def moved(usual: Path, path: Path, muxer: str, start_s: float) -> Path:
    """The packets of a file, `start_s` later."""
    with av.open(usual) as source, av.open(path, "w", format=muxer) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            move = round(start_s / packet.time_base)
            packet.pts, packet.dts = packet.pts + move, packet.dts + move
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    return path


@pytest.mark.parametrize("kind", SHIFTED)
def test_a_first_time_stamp_that_is_not_zero_shifts_neither_words_nor_length(kind, tmp_path):
    path = shifted(tmp_path / "a", kind, 7.0)

    media, result = decode.probe(path), decoded(path, tmp_path)
    copy, _ = decode.playable(path, tmp_path / "copy")

    assert seconds(result)["mono"] == pytest.approx(SECONDS, abs=0.15)
    assert media.duration_s == pytest.approx(SECONDS, abs=0.3)
    assert not media.plays
    again = decode.probe(copy)
    assert (again.plays, again.duration_s) == (True, pytest.approx(SECONDS, abs=0.2))


# What browsers play


COPIED = {
    "aac": ("adts", "aac", "", "mp4"),
    "mp3": ("mp3", "libmp3lame", "", "mp4"),
    "amr": ("amr", "libopencore_amrnb", "", "webm"),
    "wma": ("asf", "wmav2", "", "webm"),
    "avi": ("avi", "mp2", "mpeg4", "webm"),
    "mpg": ("mpeg", "mp2", "", "webm"),
    "mkv": ("matroska", "ac3", "libx264", "mp4"),
    "flv": ("flv", "aac", "", "mp4"),
    "wav of a telephone": ("wav", "pcm_mulaw", "", "webm"),
    "aiff": ("aiff", "pcm_s16be", "", "webm"),
    "rf64": ("wav", "pcm_s16le", "", "webm"),
}


@pytest.mark.parametrize("kind", COPIED)
def test_a_copy_plays_everywhere_at_the_same_seconds(kind, tmp_path):
    muxer, codec, video, into = COPIED[kind]
    rate = 8000 if codec in {"libopencore_amrnb", "pcm_mulaw"} else 48_000
    sound = np.zeros((1, rate * SECONDS), np.int16)
    sound[:, rate * 2 :] = tones(rate, 1, 440)
    if kind == "mp3":
        path = make(
            tmp_path / "a", codec, quiet_then_loud(rate), rate, muxer=muxer, options={"write_xing": "0"}
        )
    else:
        options = {"rf64": "always"} if kind == "rf64" else {}
        path = make(tmp_path / "a", codec, sound, rate, muxer=muxer, video=video, options=options)
    assert kind == "mp3" or not decode.probe(path).plays
    length_s, loud_s = (20, 15) if kind == "mp3" else (SECONDS, 2)

    copy, extension = decode.playable(path, tmp_path / "copy")

    media = decode.probe(copy)
    assert (extension, media.plays) == (into, True)
    assert media.duration_s == pytest.approx(length_s, abs=0.2)
    copied = decode.waveform(next(iter(decoded(copy, tmp_path).files.values())))
    assert np.argmax(np.abs(copied) > 2000) / 16_000 == pytest.approx(loud_s, abs=0.1)
    with av.open(copy) as container:
        assert bool(container.streams.video) == (kind == "mkv")


def test_a_copy_of_several_tracks_plays_all_of_them_beside_the_picture(tmp_path):
    copy, extension = decode.playable(two_voices(tmp_path / "a", video=True), tmp_path / "copy")

    assert extension == "mp4"
    with av.open(copy) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]
        assert container.streams.video[0].frames == SECONDS * 10
    sound = decode.waveform(decoded(copy, tmp_path).files["mono"])
    spectrum = np.abs(np.fft.rfft(sound[16_000 : 2 * 16_000]))
    assert set(np.flatnonzero(spectrum > spectrum.max() / 2)) == {MIC_HZ, SYSTEM_HZ}


# Formats


FORMATS = {
    "mpg": ("mpeg", "mp2", 44_100),
    "flv": ("flv", "aac", 44_100),
    "au": ("au", "pcm_s16be", 44_100),
    "wv": ("wv", "wavpack", 44_100),
    "ac3": ("ac3", "ac3", 48_000),
    "eac3": ("eac3", "eac3", 48_000),
    "caf": ("caf", "pcm_s16le", 44_100),
    "aiff": ("aiff", "pcm_s16be", 44_100),
    "tta": ("tta", "tta", 44_100),
    "mka": ("matroska", "libopus", 48_000),
    "3gp": ("3gp", "aac", 44_100),
    "ts": ("mpegts", "aac", 48_000),
    "mp2": ("mp2", "mp2", 44_100),
    "wav g722": ("wav", "g722", 16_000),
    "wav mulaw": ("wav", "pcm_mulaw", 8000),
    "wav g726": ("wav", "g726", 8000),
    "voc": ("voc", "pcm_u8", 22_050),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_of_cameras_dictaphones_and_exchanges_give_their_sound(kind, tmp_path):
    muxer, codec, rate = FORMATS[kind]
    path = make(tmp_path / "a", codec, tones(rate, SECONDS, 440), rate, muxer=muxer)

    media, result = decode.probe(path), decoded(path, tmp_path)

    assert media.duration_s == pytest.approx(SECONDS, abs=0.2)
    assert seconds(result)["mono"] == pytest.approx(SECONDS, abs=0.15)
    assert loudest_hz(decode.waveform(result.files["mono"])) == pytest.approx(440, abs=5)


RAW = {
    "call.ulaw": ("mulaw", "pcm_mulaw", 8000),
    "call.al": ("alaw", "pcm_alaw", 8000),
    "call.g722": ("g722", "g722", 16_000),
    "call.sln": ("s16le", "pcm_s16le", 8000),
    "call.sln16": ("s16le", "pcm_s16le", 16_000),
}


@pytest.mark.parametrize("name", RAW)
def test_raw_telephone_sound_is_known_by_its_name(name, tmp_path):
    muxer, codec, rate = RAW[name]
    path = make(tmp_path / "a", codec, tones(rate, SECONDS, 440), rate, muxer=muxer)
    hint = decode.hint(name)

    media = decode.probe(path, hint)
    result = decoded(path, tmp_path, hint=media.format)

    assert (media.duration_s, media.format) == (pytest.approx(SECONDS, abs=0.1), hint)
    assert seconds(result)["mono"] == pytest.approx(SECONDS, abs=0.1)
    assert loudest_hz(decode.waveform(result.files["mono"])) == pytest.approx(440, abs=5)
    copy, _ = decode.playable(path, tmp_path / "copy", media.format)
    assert decode.probe(copy).duration_s == pytest.approx(SECONDS, abs=0.1)


def oki(sound: np.ndarray) -> bytes:
    """Dialogic's ADPCM (four bits a sample), by the algorithm of its specification."""
    sizes = [int(16 * 1.1**n) for n in range(49)]
    index, last, nibbles = 0, 0, []
    for sample in sound // 16:
        step, left = sizes[index], int(sample) - last
        code = 8 if left < 0 else 0
        left = abs(left)
        for bit, part in ((4, step), (2, step // 2), (1, step // 4)):
            if left >= part:
                code, left = code | bit, left - part
        moved = (2 * (code & 7) + 1) * step >> 3
        last = max(-2048, min(2047, last - moved if code & 8 else last + moved))
        index = max(0, min(48, index + (-1, -1, -1, -1, 2, 4, 6, 8)[code & 7]))
        nibbles.append(code)
    return bytes(16 * high + low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))


def test_vox_of_dialogic_is_heard(tmp_path):
    path = written(tmp_path / "a", oki(tones(8000, SECONDS, 440)[0]))

    media, result = decode.probe(path, "vox"), decoded(path, tmp_path, hint="vox")

    assert media.duration_s == pytest.approx(SECONDS, abs=0.1)
    assert seconds(result)["mono"] == pytest.approx(SECONDS, abs=0.1)
    assert loudest_hz(decode.waveform(result.files["mono"])) == pytest.approx(440, abs=5)


def test_a_name_is_only_a_hint(tmp_path):
    path = make(tmp_path / "a", "pcm_s16le", tones(16_000, SECONDS, 440), 16_000, muxer="wav")

    assert decode.probe(path, decode.hint("call.ulaw")).format == "wav"


@pytest.mark.parametrize("brand", [b"ftypM4A ", b"ftypisom"])
@pytest.mark.parametrize("left", [0.3, 0.9, "no box behind"])
def test_an_m4a_without_its_index_is_said_to_be_unfinished(brand, left, tmp_path):
    if left == "no box behind":
        content = (
            struct.pack(">I", 24) + brand + bytes(12) + struct.pack(">I", 0) + b"mdat" + noise(1).tobytes()
        )
    else:
        whole = make(tmp_path / "whole", "aac", noise20(), 48_000, muxer="ipod").read_bytes()
        content = whole[: whole.index(b"moov") - 4][: round(len(whole) * left)]

    with pytest.raises(UnreadableMedia, match="cut off before it was finished"):
        decode.probe(written(tmp_path / "a.m4a", content))


def test_a_recording_with_tracks_says_so_to_programs(app, tmp_path):
    task = sent(app, two_voices(tmp_path / "a.mkv"))
    row = app.recordings.get(EVERYONE, task.recording_id)

    assert [(track["number"], track["title"]) for track in row.tracks] == [(1, "Microphone"), (2, "System")]
    with app.database.read() as session:
        assert session.get_one(Transcript, task.transcript_id).tracks == ""


# Files that showed faults


CASES = ROOT.parent / "shared" / "cases" / "media"
BASE_S = [3, 13, 23]
"""When each sentence of their voice begins."""
FOUND = {
    "base.aac": (28, {"mono": BASE_S}),
    "vbr_noxing.mp3": (28, {"mono": BASE_S}),
    "chained_chan.opus": (28, {"mono": BASE_S}),
    "chained_rate.ogg": (28, {"mono": BASE_S}),
    "offset5_audio.webm": (28, {"mono": BASE_S}),
    "cut10.opus": (18, {"mono": [3, 13]}),
    "two_tracks.mkv": (28, {"track_1": [3], "track_2": [13]}),
    "crosstalk.opus": (18.5, {"left": [0.3, 6.9, 12.8], "right": [5.0]}),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the files that showed faults are not in ../shared/cases")
def test_what_showed_a_fault_is_heard_whole_and_in_time(tmp_path):
    assert {file.name for file in CASES.iterdir()} == FOUND.keys()
    for name, (length_s, sentences) in FOUND.items():
        media, result = decode.probe(CASES / name), decoded(CASES / name, tmp_path, split_channels=True)

        beginnings = {channel: beginnings_s(decode.waveform(file)) for channel, file in result.files.items()}
        assert beginnings == {
            channel: pytest.approx(at_s, abs=0.11) for channel, at_s in sentences.items()
        }, name
        assert (media.estimated, media.duration_s) == (False, pytest.approx(length_s, abs=0.1)), name
        assert result.breaks_s == (), name


def beginnings_s(sound: np.ndarray) -> list[float]:
    """When somebody begins to speak after 1.5 s of quiet, by tenths of a second."""
    tenths = np.abs(sound[: len(sound) // 1600 * 1600].astype(int)).reshape(-1, 1600).max(axis=1) > 1500
    return [n / 10 for n in np.flatnonzero(tenths) if not tenths[max(0, n - 15) : n].any()]


def test_a_length_that_is_guessed_is_called_so_before_the_upload():
    texts = [
        transcription_form._length(Found(Candidate("a.ts", 1, None, None), 61.0, guessed))
        for guessed in (True, False)
    ]

    assert texts[0] == f"about {texts[1]}"
