"""Intake: what is kept is whole, what is refused leaves no trace, names are harmless."""

import hashlib
import os
import subprocess
import sys
import textwrap
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadRequest, NoSpace, NotFound, TooLarge, UnreadableMedia
from core.storage.blobs import Blob, Store, clean_name, clean_tags, clean_text, folder_files, human_bytes

ROOT = Path(__file__).parent.parent


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "blobs", max_bytes=1000, reserve_bytes=0)


def keep(store: Store, *chunks: bytes) -> Blob:
    with store.incoming() as upload:
        for chunk in chunks:
            upload.write(chunk)
        return upload.finish()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_came_in_lies_under_its_hash(store):
    blob = keep(store, b"he", b"", b"llo")

    assert blob == Blob(hashlib.sha256(b"hello").hexdigest(), 5)
    assert store.path(blob.sha256).read_bytes() == b"hello"
    assert store.path(blob.sha256) == store.folder / blob.sha256[:2] / blob.sha256


def test_the_same_bytes_twice_are_one_file(store):
    first, second = keep(store, b"same"), keep(store, b"sa", b"me")

    assert first == second
    assert files(store.folder) == [store.path(first.sha256)]


def test_the_same_bytes_from_twenty_at_once_are_one_whole_file(store):
    with ThreadPoolExecutor(20) as pool:
        blobs = set(pool.map(lambda _: keep(store, b"x" * 900), range(20)))

    (blob,) = blobs
    assert files(store.folder) == [store.path(blob.sha256)]
    assert store.path(blob.sha256).read_bytes() == b"x" * 900


def test_the_limit_itself_is_taken_and_one_byte_more_is_not(store):
    assert keep(store, b"x" * 600, b"x" * 400).size_bytes == 1000

    with store.incoming() as upload:
        upload.write(b"y" * 1000)
        with pytest.raises(TooLarge, match="larger than 1 kB"):
            upload.write(b"y")


def test_a_size_announced_over_the_limit_is_refused_before_the_first_byte(store):
    with pytest.raises(TooLarge), store.incoming(expected_bytes=1001):
        pytest.fail("an upload was opened")


def test_an_upload_that_breaks_off_leaves_nothing(store):
    def break_off() -> None:
        with store.incoming() as upload:
            upload.write(b"half")
            assert len(files(store.folder)) == 1
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        break_off()

    assert files(store.folder) == []


def test_an_upload_left_unfinished_leaves_nothing(store):
    with store.incoming() as upload:
        upload.write(b"half")

    assert files(store.folder) == []


def test_an_empty_upload_is_refused(store):
    with pytest.raises(UnreadableMedia, match="empty"):
        keep(store, b"")

    assert files(store.folder) == []


def test_no_upload_starts_when_the_reserve_is_touched(tmp_path):
    store = Store(tmp_path, max_bytes=1000, reserve_bytes=10**18)

    with pytest.raises(NoSpace, match="free"):
        keep(store, b"x")

    assert files(store.folder) == []


def test_a_disk_that_fills_up_in_the_middle_says_so_and_leaves_nothing(tmp_path):
    """The limit of file sizes refuses the write as a full disk does, without needing root."""
    program = f"""
        import resource
        from pathlib import Path
        from core.errors import NoSpace
        from core.storage.blobs import Store

        store = Store(Path({str(tmp_path)!r}), max_bytes=10**9, reserve_bytes=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            with store.incoming() as upload:
                for _ in range(100):
                    upload.write(bytes(30_000))
        except NoSpace as error:
            print("NoSpace", upload.size_bytes)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.split() == ["NoSpace", "90000"]
    assert files(tmp_path) == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root"
)
def test_a_really_full_disk_says_so_and_takes_uploads_again_when_freed(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], check=False)
    if mounted.returncode:
        pytest.skip("this machine allows no mounts")
    try:
        store = Store(tmp_path / "blobs", max_bytes=10**9, reserve_bytes=0)
        with pytest.raises(NoSpace):
            keep(store, *(os.urandom(100_000) for _ in range(20)))

        assert files(store.folder) == []
        assert keep(store, b"fits").size_bytes == 4
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_removing_is_repeatable_and_final(store):
    blob = keep(store, b"gone")

    store.remove(blob.sha256)
    store.remove(blob.sha256)

    with pytest.raises(NotFound):
        store.path(blob.sha256)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "g" * 64])
def test_only_a_hash_is_ever_looked_up_or_removed(store, name):
    with pytest.raises(NotFound):
        store.path(name)
    with pytest.raises(NotFound):
        store.remove(name)


def test_sweeping_takes_old_leftovers_only(store):
    blob = keep(store, b"kept")
    for name, age_s in (("old", 7200), ("new", 10)):
        leftover = store.folder / f".incoming-{name}"
        leftover.touch()
        os.utime(leftover, (time.time() - age_s,) * 2)

    assert store.sweep(older_than_s=3600) == 1
    assert [path.name for path in files(store.folder)] == [".incoming-new", blob.sha256]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("meeting.mp3", "meeting.mp3"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\call.wav", "call.wav"),
        ("folder/", "folder"),
        ("a\x00b\r\nc\x1b[31m.mp3", "abc[31m.mp3"),
        ("song\u202e3pm.exe", "song3pm.exe"),
        ("совещание\u2028.ogg", "совещание.ogg"),
        ("и\u0306.mp3", "й.mp3"),
        ("🎙️ 👨\u200d👩\u200d👧.m4a", "🎙️ 👨\u200d👩\u200d👧.m4a"),
        ("  spaced .mp3 ", "spaced .mp3"),
        ("-i", "-i"),
        ("%00;rm -rf ~", "%00;rm -rf ~"),
        ("\ud83d.mp3", ".mp3"),
        ("", "recording"),
        ("..", "recording"),
        ("/", "recording"),
        ("\u202e\x00", "recording"),
    ],
)
def test_names_are_shown_harmlessly(name, expected):
    assert clean_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Совет\x00 директоров", "Совет директоров"),
        ("first\r\nsecond\tthird\u2028fourth\x85fifth", "first second third fourth fifth"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("\u2066a\u2069\ufeff\u200b b", "a b"),
        ("e\u0301", "\u00e9"),
        ("\ud800half", "half"),
        ("👩\u200d🔬 lab", "👩\u200d🔬 lab"),
        (" \u200d\x00\n ", ""),
    ],
)
def test_titles_and_tags_are_one_harmless_line(name, expected):
    assert clean_text(name) == expected
    assert clean_tags([name, name]) == ({expected} if expected else set())


@given(st.text())
def test_no_title_breaks_a_line_or_turns_letters(text):
    clean = clean_text(text)

    assert clean == clean_text(clean) == clean.strip()
    assert len(clean.splitlines()) <= 1
    assert not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in clean)
    assert not set(clean) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


@pytest.mark.parametrize(
    "name", ["я" * 4000 + ".mp3", "." + "x" * 4000, "e\u0301" * 4000, "a/" * 2000 + "b.wav"]
)
def test_long_names_are_cut_and_keep_their_ending(name):
    cleaned = clean_name(name)

    assert 0 < len(cleaned) <= 255
    assert cleaned.endswith(".mp3") == name.endswith(".mp3")
    assert unicodedata.is_normalized("NFC", cleaned)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (2 * 1024**3, "2.1 GB"), (1536, "1.5 kB"), (2**41, "2.2 TB")],
)
def test_sizes_read_like_sizes(size, text):
    assert human_bytes(size) == text


def test_a_server_folder_gives_its_media_in_order(tmp_path):
    for name in ("b.mp3", "a.WAV", "notes.txt", "sub/c.opus"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    paths = [str(path.relative_to(tmp_path)) for path in folder_files(tmp_path, [tmp_path])]

    assert paths == ["a.WAV", "b.mp3", "sub/c.opus"]


def test_a_folder_that_is_not_allowed_is_refused_at_once_and_tells_no_path(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    for folder in (tmp_path, allowed / "..", Path("/etc"), tmp_path / "allowed-not", tmp_path / "nowhere"):
        with pytest.raises(BadRequest, match="may not be read") as refusal:
            folder_files(folder, [allowed])
        assert str(tmp_path) not in str(refusal.value)
    with pytest.raises(BadRequest):
        folder_files(allowed, [])


def test_a_missing_folder_inside_an_allowed_one_says_so(tmp_path):
    with pytest.raises(BadRequest, match="no such folder"):
        folder_files(tmp_path / "nowhere", [tmp_path])


def test_links_lead_nowhere(tmp_path):
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    allowed.mkdir()
    outside.mkdir()
    (outside / "secret.mp3").touch()
    (allowed / "file.mp3").symlink_to(outside / "secret.mp3")
    (allowed / "folder").symlink_to(outside)

    assert list(folder_files(allowed, [allowed])) == []
    with pytest.raises(BadRequest):
        folder_files(allowed / "folder", [allowed])
