"""Decode: every format gives the same sound, hostile files give a sentence and reach nothing."""

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from core.errors import NoSound, NoSpace, NotFound, TooLarge, Unavailable, UnreadableMedia
from core.media import container as containers
from core.media.decode import Media, decode, probe, waveform
from core.media.tracks import Track

ROOT = Path(__file__).parent.parent
SECONDS = 3
LEFT_HZ, RIGHT_HZ = 440, 1000


def tones(rate: int, seconds: float = SECONDS, *hertz: int) -> np.ndarray:
    """One tone a channel, int16, shape [channels, samples]."""
    moments = np.arange(round(rate * seconds)) / rate
    return np.stack([8000 * np.sin(2 * np.pi * hz * moments) for hz in hertz]).astype(np.int16)


def blocks(sound: np.ndarray, rate: int, layout: str, start_s: float = 0.0) -> Iterator[av.AudioFrame]:
    """Tenths of a second, as encoders take them."""
    for start in range(0, sound.shape[1], rate // 10):
        block = np.ascontiguousarray(sound[:, start : start + rate // 10])
        frame = av.AudioFrame.from_ndarray(block, format="s16p", layout=layout)
        frame.rate, frame.pts = rate, round(start_s * rate) + start
        yield frame


def encode_sound(container, stream, sound: np.ndarray, start_s: float = 0.0, gap=(0.0, 0.0)) -> None:
    """Encode a sound; `gap` = (at, for) seconds where the timestamps jump ahead."""
    rate, layout = stream.rate, stream.layout.name
    resampler = av.AudioResampler(stream.format or "s16", layout, rate)
    for frame in blocks(sound, rate, layout, start_s):
        for ready in resampler.resample(frame):
            if gap[1] and ready.pts >= gap[0] * rate:
                ready.pts += round(gap[1] * rate)
            container.mux(stream.encode(ready))
    container.mux(stream.encode(None))


def encode_picture(container, stream, seconds: int = SECONDS) -> None:
    for number in range(seconds * 10):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), format="rgb24")
        frame.pts = number
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def add_picture(container, codec: str):
    stream = container.add_stream(codec, rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def make(
    path: Path, codec: str, sound: np.ndarray, rate: int, *, video="", options=None, muxer=None, **more
) -> Path:
    """A media file made with the FFmpeg inside av; streams come before packets, or libavformat crashes."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    with av.open(path, "w", format=muxer, options=options or {}) as container:
        audio_stream = container.add_stream(
            codec, rate=rate, layout=layout, options={"strict": "experimental"}
        )
        if codec == "wmav2":
            audio_stream.bit_rate = 128_000
        video_stream = add_picture(container, video) if video else None
        encode_sound(container, audio_stream, sound, **more)
        if video_stream:
            encode_picture(container, video_stream)
    return path


def wav(path: Path, sound: np.ndarray, rate: int = 16_000) -> Path:
    return make(path, "pcm_s16le", sound, rate, muxer="wav")


def loudest_hz(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound))
    return float(np.fft.rfftfreq(len(sound), 1 / 16_000)[spectrum.argmax()])


def loudness(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(sound.astype(float)))))


@pytest.fixture
def work(tmp_path):
    """The folder that a job decodes into."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


FORMATS = {
    "mp3": ("mp3", "libmp3lame", 44_100, ""),
    "wav": ("wav", "pcm_s16le", 44_100, ""),
    "m4a": ("ipod", "aac", 44_100, ""),
    "mp4": ("mp4", "aac", 48_000, "mpeg4"),
    "avi": ("avi", "libmp3lame", 44_100, "mpeg4"),
    "mov": ("mov", "aac", 48_000, "mpeg4"),
    "mkv": ("matroska", "ac3", 48_000, "libx264"),
    "webm": ("webm", "libopus", 48_000, "libvpx"),
    "flac": ("flac", "flac", 44_100, ""),
    "ogg": ("ogg", "vorbis", 44_100, ""),
    "wma": ("asf", "wmav2", 44_100, ""),
    "opus": ("ogg", "libopus", 48_000, ""),
    "aac": ("adts", "aac", 44_100, ""),
}
"""Container, encoder, sampling rate and encoder of the picture, by the ending people know."""


def encoder(name: str) -> str:
    """An encoder of the bundled FFmpeg; a test whose encoder was not built in says so and is skipped."""
    if name and name not in av.codecs_available:
        pytest.skip(f"this FFmpeg was built without the encoder {name}")
    return name


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_its_sound(suffix, tmp_path, work):
    container, codec, rate, video = FORMATS[suffix]
    sound = tones(rate, SECONDS, LEFT_HZ, RIGHT_HZ)
    path = make(tmp_path / "blob", encoder(codec), sound, rate, video=encoder(video), muxer=container)

    media = probe(path)
    left, right = (waveform(pcm) for pcm in decode(path, work, split_channels=True))

    assert (media.channels, media.sample_rate) == (2, rate)
    assert media.duration_s == pytest.approx(SECONDS, abs=0.2) or media.estimated
    assert len(left) / 16_000 == pytest.approx(SECONDS, abs=0.15)
    assert loudest_hz(left) == pytest.approx(LEFT_HZ, abs=15)
    assert loudest_hz(right) == pytest.approx(RIGHT_HZ, abs=15)


def test_amr_of_old_phones_gives_its_sound(tmp_path, work):
    path = make(tmp_path / "blob", encoder("libopencore_amrnb"), tones(8000, SECONDS, 300), 8000, muxer="amr")

    assert probe(path).sample_rate == 8000
    (pcm,) = decode(path, work)
    assert loudest_hz(waveform(pcm)) == pytest.approx(300, abs=5)


def test_sixteen_bits_at_sixteen_kilohertz_pass_unchanged(tmp_path, work):
    sound = tones(16_000, SECONDS, LEFT_HZ)

    (pcm,) = decode(wav(tmp_path / "blob", sound), work)

    assert pcm == work / "mono.pcm"
    assert waveform(pcm).dtype == np.int16
    assert np.array_equal(waveform(pcm), sound[0])


def test_stereo_becomes_the_mean_of_its_channels(tmp_path, work):
    sound = tones(16_000, SECONDS, LEFT_HZ, RIGHT_HZ)

    (pcm,) = decode(wav(tmp_path / "blob", sound), work)

    assert np.abs(waveform(pcm) - sound.mean(axis=0)).max() <= 1


def test_stereo_with_one_side_turned_over_is_not_cancelled_to_silence(tmp_path, work):
    tone = tones(16_000, SECONDS, LEFT_HZ)

    (pcm,) = decode(wav(tmp_path / "blob", np.vstack([tone, -tone])), work)

    assert loudness(waveform(pcm)) == pytest.approx(loudness(tone), rel=0.01)


def test_sound_on_one_side_only_is_heard(tmp_path, work):
    tone = tones(16_000, SECONDS, LEFT_HZ)

    (pcm,) = decode(wav(tmp_path / "blob", np.vstack([np.zeros_like(tone), tone])), work)

    assert loudness(waveform(pcm)) > loudness(tone) / 3


def test_surround_becomes_one_channel_even_when_a_split_is_asked_for(tmp_path, work):
    sound = tones(48_000, SECONDS, 300, 300, 500, 60, 300, 300)
    path = make(tmp_path / "blob", "flac", sound, 48_000, muxer="flac")

    (pcm,) = decode(path, work, split_channels=True)

    assert pcm.name == "mono.pcm"
    assert loudness(waveform(pcm)) > 1000


def test_a_split_of_mono_is_one_channel(tmp_path, work):
    assert [
        pcm.name for pcm in decode(wav(tmp_path / "blob", tones(16_000, 1, 440)), work, split_channels=True)
    ] == ["mono.pcm"]


def test_sound_that_begins_late_or_pauses_stays_where_a_player_plays_it(tmp_path, work):
    sound = tones(16_000, SECONDS, LEFT_HZ)
    late = {"start_s": 2.0, "gap": (3.0, 5.0)}
    path = make(tmp_path / "blob", "flac", sound, 16_000, video="mpeg4", muxer="matroska", **late)

    (pcm,) = decode(path, work)

    loud = [loudness(second) > 1000 for second in waveform(pcm)[: 10 * 16_000].reshape(10, 16_000)]
    assert loud == [False, False, True, False, False, False, False, False, True, True]


def test_timestamps_that_lie_wildly_do_not_make_hours_of_silence(tmp_path, work):
    path = make(
        tmp_path / "blob",
        "flac",
        tones(16_000, SECONDS, LEFT_HZ),
        16_000,
        muxer="matroska",
        gap=(1.0, 10**6),
    )

    (pcm,) = decode(path, work)

    assert len(waveform(pcm)) / 16_000 == pytest.approx(SECONDS, abs=0.3)


def test_progress_is_heard_in_seconds_and_ends_at_the_end(tmp_path, work):
    reported_s: list[float] = []

    decode(wav(tmp_path / "blob", tones(16_000, SECONDS, LEFT_HZ)), work, on_progress=reported_s.append)

    assert reported_s == sorted(reported_s)
    assert reported_s[-1] == pytest.approx(SECONDS, abs=0.01)


def test_decoding_stops_when_progress_is_refused(tmp_path, work):
    def withdraw(_seconds: float) -> None:
        raise KeyError("withdrawn")

    with pytest.raises(KeyError, match="withdrawn"):
        decode(wav(tmp_path / "blob", tones(16_000, SECONDS, LEFT_HZ)), work, on_progress=withdraw)
    assert list(work.iterdir()) == []


# What is no recording


def refused(path: Path, work: Path) -> str:
    """The sentence with which both doors refuse a file; nothing is left behind."""
    with pytest.raises(UnreadableMedia) as at_the_door:
        probe(path)
    with pytest.raises(UnreadableMedia) as later:
        decode(path, work)
    assert str(at_the_door.value) == str(later.value)
    assert str(path.parent) not in str(later.value)
    assert list(work.iterdir()) == []
    return str(later.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"not a sound at all\n" * 5000,
        b"%PDF-1.7\n",
    ],
    ids=["empty", "one byte", "header only", "text", "pdf"],
)
def test_what_is_no_media_is_refused_with_a_reason(content, tmp_path, work):
    path = tmp_path / "recording.wav"
    path.write_bytes(content)

    assert "it is neither sound nor video" in refused(path, work)


@pytest.mark.parametrize("mark", [b"PK\x03\x04", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c"])
def test_an_archive_is_called_one(mark, tmp_path, work):
    path = tmp_path / "calls.zip"
    path.write_bytes(mark + bytes(5000))

    assert "it is an archive" in refused(path, work)


def test_a_header_without_end_is_given_up_soon(tmp_path, work):
    """Chunks of nothing, eight bytes each: counted and not timed, because this machine may be busy."""
    path = tmp_path / "endless.wav"
    path.write_bytes(b"RIFF" + (300_000_000 - 8).to_bytes(4, "little") + b"WAVE")
    os.truncate(path, 300_000_000)

    with pytest.raises(UnreadableMedia, match="reading it takes too long"):
        probe(path)

    header = containers.Header(os.open(path, os.O_RDONLY))
    with header, pytest.raises(containers.Refused, match="slow"):
        containers.opened(header)
    assert header.read_bytes < 1_000_000
    assert header.jumps < 1_000_000


def test_a_header_read_in_a_row_has_an_end_and_a_sound_has_none(tmp_path):
    path = tmp_path / "long.avi"
    path.touch()
    os.truncate(path, 100_000_000)

    def whole(header):
        return sum(len(block) for block in iter(lambda: header.read(1 << 20), b""))

    with containers.Header(os.open(path, os.O_RDONLY)) as header:
        assert whole(header) < 70_000_000
        assert header.endless
    with containers.Header(os.open(path, os.O_RDONLY)) as header:
        header.opened = True
        assert whole(header) == 100_000_000


def test_a_long_recording_in_many_small_pieces_is_none_without_end(tmp_path):
    """Live recorders write a little header for each moment, and reading those takes many jumps."""
    options = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}
    path = make(tmp_path / "live.mp4", "aac", tones(16_000, 120, LEFT_HZ), 16_000, options=options)

    assert probe(path).duration_s == pytest.approx(120, abs=0.5)


def test_video_without_sound_says_so(tmp_path, work):
    path = tmp_path / "blob"
    with av.open(path, "w", format="mp4") as container:
        encode_picture(container, add_picture(container, "mpeg4"))

    assert refused(path, work).startswith("This file has no sound.")
    with pytest.raises(NoSound):
        probe(path)


def test_an_mp4_cut_before_its_index_is_refused(tmp_path, work):
    path = make(tmp_path / "blob", "aac", tones(48_000, SECONDS, 440), 48_000, muxer="mp4")
    path.write_bytes(path.read_bytes()[:-3000])

    assert "the recording was cut off before it was finished" in refused(path, work)


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libmp3lame", "mp3", {}),
        ("libopus", "ogg", {}),
        ("aac", "mp4", {"movflags": "faststart"}),
        ("flac", "flac", {}),
    ],
)
def test_a_file_cut_in_half_gives_its_first_half(codec, container, options, tmp_path, work):
    sound = tones(48_000, 20, LEFT_HZ)
    path = make(tmp_path / "blob", encoder(codec), sound, 48_000, muxer=container, options=options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    (pcm,) = decode(path, work)

    assert 6 < len(waveform(pcm)) / 16_000 < 14
    assert loudest_hz(waveform(pcm)) == pytest.approx(LEFT_HZ, abs=3)


def test_flipped_bits_in_the_middle_lose_a_moment_and_not_the_rest(tmp_path, work):
    path = make(tmp_path / "blob", encoder("libmp3lame"), tones(44_100, 20, LEFT_HZ), 44_100, muxer="mp3")
    content = bytearray(path.read_bytes())
    for place in np.random.default_rng(1).integers(2000, len(content), len(content) // 300):
        content[place] ^= 0xFF
    path.write_bytes(content)

    (pcm,) = decode(path, work)

    assert len(waveform(pcm)) / 16_000 > 10


def test_too_many_channels_are_refused(tmp_path, work):
    import wave

    path = tmp_path / "blob"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(16)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(16 * 2 * 48_000))

    assert "it has more than 8 channels" in refused(path, work)


def test_too_many_tracks_are_refused(tmp_path, work):
    path = tmp_path / "blob"
    with av.open(path, "w", format="matroska") as container:
        for _ in range(40):
            container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for stream in container.streams:
            frame = next(blocks(tones(8000, 0.1, 440), 8000, "mono"))
            frame = av.AudioResampler("s16", "mono", 8000).resample(frame)[0]
            container.mux(stream.encode(frame))

    assert "it has more than 32 tracks" in refused(path, work)


def test_a_file_that_is_gone_or_a_link_is_not_opened(tmp_path, work):
    real = wav(tmp_path / "real", tones(16_000, 1, 440))
    (tmp_path / "link").symlink_to(real)

    for path in (tmp_path / "gone", tmp_path / "link"):
        with pytest.raises(NotFound):
            decode(path, work)


def test_names_cannot_hurt(tmp_path, work):
    path = wav(tmp_path / "-i %00;rm -rf ~ \u202e 🎙️ \n.m3u8", tones(16_000, 1, 440))

    track = Track(1, "", "", default=True, channels=1)
    assert probe(path) == Media("wav", 1.0, 1, 16_000, estimated=False, tracks=(track,), plays=True)
    assert len(decode(path, work)) == 1


# What reaches out


@pytest.fixture
def canary():
    """A server on this machine that counts who calls."""
    calls: list[str] = []

    class Canary(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_error(404)

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canary) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, calls
        server.shutdown()


HOSTILE = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "hls to a file": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n",
    "ffconcat to a sibling": "ffconcat version 1.0\nfile secret.wav\n",
    "ffconcat to a server": "ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.wav\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>http://127.0.0.1:{port}/a.mp4</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "address": "http://127.0.0.1:{port}/a.wav\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_playlists_reach_neither_the_network_nor_other_files(kind, canary, tmp_path, work):
    """Whatever a file is called: the child is told of its name only which raw format it hints at."""
    port, calls = canary
    secret = wav(tmp_path / "secret.wav", tones(16_000, 1, 440))
    path = tmp_path / "upload.m3u8"
    path.write_text(HOSTILE[kind].format(port=port, secret=secret))

    assert "it is neither sound nor video" in refused(path, work)
    assert calls == []


def test_the_canary_does_sing_for_a_careless_reader(canary, tmp_path):
    """Proves that the test above can fail: the same playlist, opened as a plain file object."""
    port, calls = canary
    path = tmp_path / "upload.m3u8"
    path.write_text(HOSTILE["hls"].format(port=port))

    with path.open("rb") as file, pytest.raises(av.FFmpegError):
        av.open(file).decode(audio=0)

    assert calls


def test_the_child_knows_no_secrets(monkeypatch, tmp_path, work):
    """What a broken decoder could read of its own environment."""
    monkeypatch.setenv("GEMINI_API_KEY", "canary-key")
    path = wav(tmp_path / "blob", tones(16_000, 60, 440))
    environments: list[bytes] = []

    def measure(_seconds: float) -> None:
        environments.extend((child / "environ").read_bytes() for child in children())

    decode(path, work, on_progress=measure)

    assert environments
    assert not any(b"canary" in environment for environment in environments)


# What is too much


def silence(path: Path, hours: float) -> Path:
    """Hours of silence in few bytes: one encoded packet, again and again."""
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        encoded = [
            packet
            for frame in blocks(np.zeros((1, 8000), np.int16), 8000, "mono")
            for packet in stream.encode(frame)
        ]
        for number in range(round(hours * 3600 * 8000 / 1024)):
            packet = av.Packet(bytes(encoded[-1]))
            packet.stream, packet.pts, packet.dts, packet.duration = (
                stream,
                number * 1024,
                number * 1024,
                1024,
            )
            container.mux(packet)
    return path


def children() -> list[Path]:
    """What /proc knows of the decoders this process has started; servers of other tests may run beside."""
    if not Path("/proc/self/task").exists():
        pytest.skip("needs /proc")
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    started = [Path("/proc", pid) for each in lists for pid in each.read_text().split()]
    return [each for each in started if b"core.media.sandbox" in (each / "cmdline").read_bytes()]


def test_hours_of_silence_in_a_small_file_take_little_memory_and_end_at_the_limit(tmp_path, work):
    path = silence(tmp_path / "blob", hours=5)
    peaks_kib: list[int] = []

    def measure(_seconds: float) -> None:
        for child in children():
            peaks_kib.extend(
                int(peak) for peak in re.findall(r"VmHWM:\s+(\d+)", (child / "status").read_text())
            )

    assert path.stat().st_size < 2_500_000
    with pytest.raises(TooLarge, match="longer than 4 h"):
        decode(path, work, max_s=4 * 3600, on_progress=measure)

    assert list(work.iterdir()) == []
    assert 0 < max(peaks_kib) < 150_000


def test_the_limit_counts_decoded_seconds_and_not_what_the_header_says(tmp_path, work):
    path = wav(tmp_path / "blob", tones(16_000, SECONDS, 440))

    assert len(decode(path, work, max_s=SECONDS)) == 1
    with pytest.raises(TooLarge):
        decode(path, work, max_s=SECONDS - 0.01)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_says_so(tmp_path, work):
    path = wav(tmp_path / "blob", tones(16_000, 60, 440))
    (work / "mono.pcm.tmp").symlink_to("/dev/full")

    with pytest.raises(NoSpace, match="free"):
        decode(path, work)
    assert list(work.iterdir()) == []


def test_the_child_dies_with_its_parent(tmp_path, work):
    """Whoever decodes is killed in the middle; nothing goes on writing."""
    path = silence(tmp_path / "blob", hours=2)
    program = (
        "import sys, os\nfrom pathlib import Path\nfrom core.media.decode import decode\n"
        "children = f'/proc/{os.getpid()}/task/{os.getpid()}/children'\n"
        "tell = lambda _: print(open(children).read(), flush=True)\n"
        "decode(Path(sys.argv[1]), Path(sys.argv[2]), on_progress=tell)\n"
    )
    if not Path("/proc/self/task").exists():
        pytest.skip("needs /proc")
    parent = subprocess.Popen(
        [sys.executable, "-c", program, path, work], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    decoders = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate()

    assert decoders
    deadline = time.monotonic() + 5
    while any(map(is_running, decoders)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not any(map(is_running, decoders))


def is_running(pid: int) -> bool:
    """False also for the dead whom nobody has buried yet, as in containers without an init."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def test_limits_are_set_before_the_file_is_read(tmp_path):
    """Seen from inside: a child that is asked for its own limits right after `ready`."""
    program = (
        "import resource, json\nfrom core.media import sandbox\nsandbox._set_limits(30, 1000)\n"
        "names = ('CPU', 'FSIZE', 'NOFILE', 'CORE', 'AS')\n"
        "print(json.dumps({n: resource.getrlimit(getattr(resource, 'RLIMIT_' + n))[0] for n in names}))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    limits = json.loads(ran.stdout)
    assert (limits["CPU"], limits["FSIZE"], limits["NOFILE"], limits["CORE"]) == (30, 1000, 96, 0)
    assert limits["AS"] in (2 * 1024**3, -1 if sys.platform != "linux" else None)


def test_a_child_killed_from_outside_is_no_fault_of_the_file(tmp_path, work):
    def kill(_seconds: float) -> None:
        for child in children():
            os.kill(int(child.name), signal.SIGKILL)

    with pytest.raises(Unavailable, match="stopped from outside"):
        decode(silence(tmp_path / "blob", hours=2), work, on_progress=kill)
