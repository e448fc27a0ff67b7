"""Warnings of a transcript: kept by code, worded for their reader, shown to people and programs."""

from __future__ import annotations

import pytest

from core.database.tables import Transcript
from core.i18n.catalogue import gettext
from core.transcripts import warnings
from core.transcripts.warnings import WarningCode


def a_transcript(database) -> str:
    with database.write() as session:
        row = Transcript(key="k", sha256="0", engine="e", engine_version="1", language="ru")
        session.add(row)
        session.flush()
        return row.id


def read(database, id_: str) -> Transcript:
    with database.read() as session:
        return session.get_one(Transcript, id_)


def test_each_code_is_kept_once_with_its_latest_facts(database):
    id_ = a_transcript(database)
    with database.write() as session:
        warnings.add(session, id_, WarningCode.MEDIA_DAMAGED, at="0:07")
        warnings.add(session, id_, WarningCode.TRACKS_NOT_HEARD, tracks="2")
    with database.write() as session:
        warnings.add(session, id_, WarningCode.MEDIA_DAMAGED, at="0:09")

    stored_warnings = warnings.of(read(database, id_))

    assert [(one.code, one.facts) for one in stored_warnings] == [
        (WarningCode.TRACKS_NOT_HEARD, {"tracks": "2"}),
        (WarningCode.MEDIA_DAMAGED, {"at": "0:09"}),
    ]
    assert [one.message for one in warnings.answers(read(database, id_), "en")] == [
        "Tracks not transcribed: 2. Transcribe again and choose other tracks to have them.",
        "The file is damaged at 0:09. The rest was transcribed; words may be missing there.",
    ]


def test_a_warning_of_a_newer_version_breaks_nothing(database):
    id_ = a_transcript(database)
    with database.write() as session:
        session.get_one(Transcript, id_).warnings = [{"code": "from_the_future", "facts": {}}]

    assert warnings.of(read(database, id_)) == []


@pytest.mark.parametrize("code", WarningCode)
def test_every_warning_is_translated(code):
    assert gettext(code.message, "ru") != gettext(code.message, "en")
