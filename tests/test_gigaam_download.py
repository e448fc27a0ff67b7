"""Official models arrive whole or not at all, go on where they broke off, and say what is wrong."""

import hashlib

import httpx
import pytest

from core.errors import BadRequest
from core.speech.gigaam import download
from core.speech.gigaam.download import Damaged, NotFetched

CONTENT = bytes(range(256)) * 9000


def publisher(content=CONTENT, breaks_at=None, ranges=True):
    """A server of one file; it notes the ranges that it was asked for."""
    requests = []

    def answer(request):
        byte_range = request.headers.get("range")
        requests.append((request.url.path.rsplit("/", 1)[1], byte_range))
        start = int(byte_range.removeprefix("bytes=").removesuffix("-")) if byte_range and ranges else 0
        if start >= len(content):
            return httpx.Response(416)
        return httpx.Response(206 if start else 200, stream=Broken(content[start:], breaks_at))

    client = httpx.Client(transport=httpx.MockTransport(answer))
    return client, requests


class Broken(httpx.SyncByteStream):
    """A body whose connection may be lost on the way."""

    def __init__(self, content, breaks_at):
        self.content, self.breaks_at = content, breaks_at

    def __iter__(self):
        yield self.content[: self.breaks_at]
        if self.breaks_at is not None:
            raise httpx.ReadError("connection lost")


@pytest.fixture(autouse=True)
def published(monkeypatch):
    """Our content is what was published."""
    monkeypatch.setitem(download.MD5, "v3_ctc", hashlib.md5(CONTENT).hexdigest())
    monkeypatch.setitem(download.MD5, "v3_e2e_ctc", hashlib.md5(CONTENT).hexdigest())


def quiet(*_):
    """Progress that nobody asked for."""


def test_a_model_arrives_with_its_tokenizer_and_tells_its_progress(tmp_path):
    client, requests = publisher()
    progress = []

    paths = download.fetch("v3_e2e_ctc", tmp_path / "models", lambda *step: progress.append(step), client)

    assert [path.name for path in paths] == ["v3_e2e_ctc.ckpt", "v3_e2e_ctc_tokenizer.model"]
    assert paths[0].read_bytes() == CONTENT
    assert [name for name, _ in requests] == [path.name for path in paths]
    assert progress[-1][1] == len(CONTENT)


def test_a_file_that_is_there_is_not_fetched_again(tmp_path):
    (tmp_path / "v3_ctc.ckpt").write_bytes(b"mine")
    client, requests = publisher()

    download.fetch("v3_ctc", tmp_path, quiet, client)

    assert requests == []


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_ended(tmp_path, ranges):
    with pytest.raises(NotFetched, match="v3_ctc"):
        download.fetch("v3_ctc", tmp_path, quiet, publisher(breaks_at=1_500_000)[0])
    assert not (tmp_path / "v3_ctc.ckpt").exists()
    have = (tmp_path / "v3_ctc.ckpt.part").stat().st_size

    client, requests = publisher(ranges=ranges)
    (path,) = download.fetch("v3_ctc", tmp_path, quiet, client)

    assert have > 0
    assert requests == [("v3_ctc.ckpt", f"bytes={have}-")]
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_a_part_that_was_whole_already_is_only_checked(tmp_path):
    (tmp_path / "v3_ctc.ckpt.part").write_bytes(CONTENT)

    (path,) = download.fetch("v3_ctc", tmp_path, quiet, publisher()[0])

    assert path.read_bytes() == CONTENT


def test_a_damaged_file_never_takes_the_models_place(tmp_path):
    with pytest.raises(Damaged, match="checksum"):
        download.fetch("v3_ctc", tmp_path, quiet, publisher(content=b"something else")[0])

    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_sentence_has_the_address(tmp_path):
    def refuse(request):
        raise httpx.ConnectError("no route")

    with pytest.raises(NotFetched, match=f"{download.ADDRESS}/v3_ctc.ckpt"):
        download.fetch("v3_ctc", tmp_path, quiet, httpx.Client(transport=httpx.MockTransport(refuse)))


def test_an_unknown_model_is_a_bad_request(tmp_path):
    with pytest.raises(BadRequest, match="v3_e2e_rnnt"):
        download.fetch("../v3", tmp_path, quiet)
