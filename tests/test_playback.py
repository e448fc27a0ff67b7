"""What players are given: the bytes, or a copy that is made once and kept while there is room."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from core.errors import NotFound
from core.library.recordings import TranscriptionOptions
from core.media import decode
from core.media.playback import Playback
from core.principal import EVERYONE
from tests.conftest import DATA
from tests.installation import generous
from tests.listening import chromium
from tests.serve import Served, serve
from tests.test_decode import make
from tests.test_media import moved, ogg

LENGTH_S, LOUD_S, LOUD_UNTIL_S = 9.0, 6.0, 6.5
RATE = 48_000


def beep(rate: int = RATE) -> np.ndarray:
    """Silence with half a second of a tone, int16 [1, samples]."""
    sound = np.zeros((1, round(rate * LENGTH_S)), np.int16)
    at = np.arange(round(rate * LOUD_S), round(rate * LOUD_UNTIL_S))
    sound[0, at] = 12_000 * np.sin(2 * np.pi * 440 * at / rate)
    return sound


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with serve(generous(tmp_path_factory.mktemp("playback") / "home")) as running:
        yield running


def sound_of(served: Served, path: Path) -> str:
    """The address from which the recording page plays a file."""
    with path.open("rb") as file:
        task = served.app.intake.accept(EVERYONE, file, path.name, TranscriptionOptions(language="ru"))
    ticket = served.app.keys.sound_ticket(EVERYONE, task.recording_id)
    return f"{served.url}/sound/{task.recording_id}?ticket={ticket}"


@pytest.fixture
def adts(tmp_path) -> Path:
    return make(tmp_path / "a.aac", "aac", beep(), RATE, muxer="adts")


def test_a_copy_is_made_once_however_many_ask(adts, tmp_path, monkeypatch):
    copies: list[str] = []
    usual = decode.playable
    monkeypatch.setattr(
        decode, "playable", lambda *about: copies.append(threading.current_thread().name) or usual(*about)
    )
    playback = Playback(tmp_path / "copies", lambda _sha256: adts)

    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _n: playback.file("ab", "aac"), range(4)))

    assert paths == {(tmp_path / "copies" / "ab.mp4", "video/mp4")}
    assert len(copies) == 1
    assert [file.name for file in (tmp_path / "copies").iterdir()] == ["ab.mp4"]


def test_what_browsers_play_is_given_as_it_is(tmp_path):
    path = make(tmp_path / "a.opus", "libopus", beep(), RATE, muxer="ogg")
    playback = Playback(tmp_path / "copies", lambda _sha256: path)

    assert playback.file("ab", "ogg") == (path, "audio/ogg")
    assert not (tmp_path / "copies").exists()


def test_joined_voice_notes_are_copied_whole(tmp_path):
    path = tmp_path / "a.ogg"
    path.write_bytes(ogg("libopus", beep(), RATE) * 2)
    copy, kind = Playback(tmp_path / "copies", lambda _sha256: path).file("ab", "ogg")

    assert kind == "video/webm"
    assert decode.probe(copy).duration_s == pytest.approx(2 * LENGTH_S, abs=0.1)


def test_the_cache_has_an_end_and_what_was_heard_last_stays(adts, tmp_path):
    size = Playback(tmp_path / "once", lambda _sha256: adts).file("ab", "aac")[0].stat().st_size
    playback = Playback(tmp_path / "copies", lambda _sha256: adts, most_bytes=2 * size + 10)
    for n, name in enumerate(("one", "two")):
        os.utime(playback.file(name, "aac")[0], (n, n))
    playback.file("one", "aac")

    playback.file("three", "aac")

    assert {file.stem for file in (tmp_path / "copies").iterdir()} == {"one", "three"}


def test_the_copy_of_a_deleted_recording_goes_with_it(app, adts):
    with adts.open("rb") as file:
        task = app.intake.accept(EVERYONE, file, "a.aac", TranscriptionOptions(language="ru"))
    row = app.recordings.get(EVERYONE, task.recording_id)
    copy, _ = app.playback.file(row.sha256, row.format)
    assert copy.is_file()

    app.deletion.delete_recording(EVERYONE, row.id)

    assert not copy.exists()


def test_a_recording_that_is_deleted_while_it_is_copied_leaves_none(adts, tmp_path):
    requests: list[str] = []

    def place(sha256: str) -> Path:
        requests.append(sha256)
        if len(requests) > 2:
            raise NotFound
        return adts

    with pytest.raises(NotFound):
        Playback(tmp_path / "copies", place).file("ab", "aac")
    assert list((tmp_path / "copies").iterdir()) == []


def test_ranges_of_a_copy_are_served(served, adts):
    address = sound_of(served, adts)

    part = httpx.get(address, headers={"Range": "bytes=0-99"})

    assert (part.status_code, len(part.content), part.headers["content-type"]) == (206, 100, "video/mp4")


def test_a_sample_is_played_as_it_was_sent(served):
    assert (
        httpx.get(sound_of(served, DATA / "ru_meeting.opus")).content
        == (DATA / "ru_meeting.opus").read_bytes()
    )


IN_A_BROWSER = {
    "wav": ("wav", "pcm_s16le", RATE, True),
    "mp3": ("mp3", "libmp3lame", 16_000, False),
    "adts": ("adts", "aac", RATE, False),
    "amr": ("amr", "libopencore_amrnb", 8000, False),
    "opus from 5 s": ("ogg", "libopus", RATE, False),
}
"""Container, codec, rate, and whether the bytes are given as they are: one kind for each way to a player.
All kinds, and Firefox: `make bench-media`."""


@pytest.mark.browser
def test_a_browser_plays_what_was_said_at_the_second_that_we_say(served, tmp_path):
    with chromium(served.url) as listen:
        for kind, (muxer, codec, rate, as_it_is) in IN_A_BROWSER.items():
            path = make(tmp_path / f"{kind[:4]}.bin", codec, beep(rate), rate, muxer=muxer)
            if "from" in kind:
                path = moved(path, tmp_path / "moved.bin", muxer, 5.0)
            sound = decode.waveform(decode.decode(path, tmp_path / "decoded")[0])
            ours_s = np.argmax(np.abs(sound) > 3000) / 16_000

            browser_sound = listen(sound_of(served, path), LOUD_S - 1)

            assert decode.probe(path).plays == as_it_is, kind
            assert ours_s == pytest.approx(LOUD_S, abs=0.15), kind
            assert browser_sound.landed == pytest.approx(LOUD_S - 1, abs=0.2), kind
            assert browser_sound.loud == pytest.approx(ours_s, abs=0.35), kind  # who listens may be late
            assert browser_sound.duration == pytest.approx(len(sound) / 16_000, abs=0.2), kind
