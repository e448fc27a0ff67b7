"""Whisper's models arrive whole or not at all: joined from packages, or downloaded and checked."""

import hashlib
import threading

import httpx
import pytest

from core.errors import BadRequest
from core.speech.engines import whisper_models
from core.speech.engines.whisper import LANGUAGES, WhisperEngine
from core.speech.engines.whisper_models import Damaged, File, Model, NotFetched

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def published(monkeypatch):
    """A model of two small files, and a publisher that notes what it was asked for."""
    files = (File("config.json", len(CONTENT)), File("model.bin", len(CONTENT), _sum(CONTENT)))
    monkeypatch.setitem(whisper_models.MODELS, "small", Model("them/small", "c0ffee", files))


def _sum(content):
    return hashlib.sha256(content).hexdigest()


def publisher(content=CONTENT, breaks_at=None):
    requests = []

    def answer(request):
        byte_range = request.headers.get("range")
        requests.append((request.url.path, byte_range))
        start = int(byte_range.removeprefix("bytes=").removesuffix("-")) if byte_range else 0
        if start >= len(content):
            return httpx.Response(416)
        return httpx.Response(206 if start else 200, stream=Broken(content[start:], breaks_at))

    return httpx.Client(transport=httpx.MockTransport(answer)), requests


class Broken(httpx.SyncByteStream):
    """A body whose connection may be lost on the way."""

    def __init__(self, content, breaks_at):
        self.content, self.breaks_at = content, breaks_at

    def __iter__(self):
        yield self.content[: self.breaks_at]
        if self.breaks_at is not None:
            raise httpx.ReadError("connection lost")


def quiet(*_):
    """Progress that nobody asked for."""


def test_the_packaged_model_is_joined_once_and_is_what_was_published(tmp_path):
    assert whisper_models.is_here(tmp_path, "base")

    folder = whisper_models.prepare(tmp_path, "base")

    weights = folder / "model.bin"
    assert _sum(weights.read_bytes()) == whisper_models.MODELS["base"].files[-1].sha256
    modified_ns = weights.stat().st_mtime_ns
    assert whisper_models.prepare(tmp_path, "base") == folder
    assert weights.stat().st_mtime_ns == modified_ns
    assert not list(folder.glob("*.part"))


def test_halves_that_do_not_add_up_are_refused_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(whisper_models, "PARTS", whisper_models.PARTS[::-1])
    monkeypatch.setattr(whisper_models, "PACKAGED_FILES", ())
    monkeypatch.setitem(
        whisper_models.MODELS, "base", Model("", "", whisper_models.MODELS["base"].files[-1:])
    )
    with pytest.raises(Damaged, match=r"model\.bin"):
        whisper_models.prepare(tmp_path, "base")
    assert not list((tmp_path / "whisper-base").iterdir())


def test_two_that_join_at_the_same_time_both_have_the_model(tmp_path):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(whisper_models.prepare(tmp_path, "base")))
        for _ in "ab"
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(results) == 2
    assert (results[0] / "model.bin").stat().st_size == 145_217_532


def test_a_model_arrives_from_its_pinned_revision_and_tells_its_progress(tmp_path, published):
    client, requests = publisher()
    progress = []

    paths = whisper_models.fetch("small", tmp_path, lambda *step: progress.append(step), client)

    assert [path.name for path in paths] == ["config.json", "model.bin"]
    assert [path for path, _ in requests] == [
        "/them/small/resolve/c0ffee/config.json",
        "/them/small/resolve/c0ffee/model.bin",
    ]
    assert progress[-1] == ("model.bin", len(CONTENT), len(CONTENT))
    assert whisper_models.is_here(tmp_path, "small")


def test_a_broken_download_goes_on_where_it_ended(tmp_path, published):
    client, _ = publisher(breaks_at=1_500_000)
    with pytest.raises(NotFetched, match="whisper-small"):
        whisper_models.fetch("small", tmp_path, quiet, client)
    assert not whisper_models.is_here(tmp_path, "small")

    client, requests = publisher()
    whisper_models.fetch("small", tmp_path, quiet, client)

    assert requests[0][1] == "bytes=1048576-"
    assert (tmp_path / "whisper-small" / "model.bin").read_bytes() == CONTENT


def test_what_is_not_what_was_published_is_thrown_away(tmp_path, published):
    whisper_models.fetch("small", tmp_path, quiet, publisher()[0])
    (tmp_path / "whisper-small" / "model.bin").unlink()
    with pytest.raises(Damaged):
        whisper_models.fetch("small", tmp_path, quiet, publisher(CONTENT[::-1])[0])
    assert not list((tmp_path / "whisper-small").glob("model.bin*"))


def test_an_unknown_model_is_refused_by_name(tmp_path):
    with pytest.raises(BadRequest, match="large-v9"):
        whisper_models.fetch("large-v9", tmp_path, quiet)


@pytest.mark.parametrize("name", whisper_models.MODELS)
def test_every_model_is_pinned(name):
    model = whisper_models.MODELS[name]
    assert len(model.revision) == 40
    assert len(model.files[-1].sha256) == 64
    assert model.files[-1].name == "model.bin"
    assert model.address(model.files[0]).startswith("https://huggingface.co/")


def test_engines_say_which_languages_they_know_and_whether_they_are_ready(tmp_path):
    packaged, absent = WhisperEngine("base", tmp_path), WhisperEngine("small", tmp_path)
    assert packaged.readiness().ready
    assert not absent.readiness().ready
    assert str(tmp_path) not in absent.readiness().reason
    assert len(packaged.languages) == len(set(LANGUAGES)) == 99
    assert packaged.languages[:2] == ("ru", "en")
    assert WhisperEngine("distil-large-v3", tmp_path).languages == ("en",)


def test_a_folder_in_the_right_format_is_a_model(tmp_path):
    whisper_models.prepare(tmp_path, "base").rename(tmp_path / "ours")
    engine = WhisperEngine(str(tmp_path / "ours"), tmp_path)
    assert engine.name == "whisper-ours"
    assert engine.readiness().ready
