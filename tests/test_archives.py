"""Archives of recordings: what is in them is heard, and none can do harm."""

from __future__ import annotations

import io
import zipfile

import pytest

from core.errors import Code, StenogramError
from core.library import archives, views
from core.library.recordings import TranscriptionOptions
from core.planning import plans
from core.principal import EVERYONE
from tests.conftest import DATA

SAMPLE = (DATA / "ru_meeting.opus").read_bytes()
MOST = 10**9


def packed(files: dict[str, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    buffer.seek(0)
    return buffer


def refusal(content: io.BytesIO, most_bytes: int = MOST) -> Code:
    with pytest.raises(StenogramError) as refused:
        archives.members(content, "calls.zip", most_bytes)
    assert "calls.zip" in str(refused.value)
    return refused.value.code


def test_recordings_are_found_by_their_endings_and_nothing_else_is():
    names = {
        "march/first.opus": SAMPLE,
        "../../second.MP3": SAMPLE,
        "__MACOSX/._first.opus": b"x",
        ".hidden.wav": b"x",
        "readme.txt": b"x",
        "inner.zip": b"x",
        "folder.wav/": b"",
    }

    assert [each.name for each in archives.members(packed(names), "calls.zip", MOST)] == [
        "first.opus",
        "second.MP3",
    ]


def test_a_recording_of_an_archive_becomes_one_of_ours(app):
    (member,) = archives.members(packed({"a/call.opus": SAMPLE}), "calls.zip", MOST)
    (file,) = plans.look(plans.dropped([member]), app.database)

    outcome = views.accept_file(
        app.intake, EVERYONE, member, member.name, TranscriptionOptions(language="ru")
    )

    assert file.duration_s == pytest.approx(52.2, abs=0.2)
    row = app.recordings.get(EVERYONE, outcome.recording_id)
    assert (row.filename, app.blobs.path(row.sha256).read_bytes()) == ("call.opus", SAMPLE)


def test_a_bomb_is_refused_before_it_is_unpacked():
    assert refusal(packed({"a.wav": bytes(20_000_000)}), 10_000_000) == Code.ARCHIVE_TOO_LARGE


def test_a_member_that_lies_about_its_size_gives_no_more_than_it_states():
    content = bytearray(packed({"a.wav": bytes(1_000_000)}).getvalue())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(mark) + place
        content[at : at + 4] = (1000).to_bytes(4, "little")
    (member,) = archives.members(io.BytesIO(bytes(content)), "calls.zip", MOST)

    with pytest.raises(StenogramError) as refused:
        io.BytesIO().write(b"".join(iter(lambda: member.read(1 << 20), b"")))
    assert refused.value.code == Code.ARCHIVE_DAMAGED


def test_too_many_recordings_are_refused():
    many = {f"{n}.wav": b"" for n in range(archives.MOST_FILES + 1)}

    assert refusal(packed(many)) == Code.ARCHIVE_TOO_MANY


def test_a_locked_archive_says_so():
    content = bytearray(packed({"a.wav": b"x"}).getvalue())
    content[content.index(b"PK\x01\x02") + 8] |= 1

    assert refusal(io.BytesIO(bytes(content))) == Code.ARCHIVE_ENCRYPTED


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", SAMPLE])
def test_what_is_no_archive_says_so(content):
    assert refusal(io.BytesIO(content)) == Code.ARCHIVE_DAMAGED


def test_an_archive_without_recordings_says_so():
    assert refusal(packed({"a.txt": b"x"})) == Code.ARCHIVE_EMPTY
