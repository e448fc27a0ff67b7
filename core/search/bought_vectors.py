"""Vectors that were paid for and are not in the index yet: an index that fails must not buy them twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.tables import BoughtVector, Recording
from core.database.upsert import insert_if_absent

Vector = NDArray[np.float32]


class BoughtVectors:
    """Kept in the transaction that books their price, by the hash of their text, until the index has them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    def keep(session: Session, recording_id: str, vectors: Mapping[str, Vector]) -> None:
        """Note vectors ([dim] each) of a recording by the hash of text and model; not of one that is gone."""
        there = (
            select(Recording.id)
            .where(Recording.id == recording_id)
            .with_for_update(read=True, key_share=True)
        )
        if session.scalar(there) is None:
            return
        for key, vector in vectors.items():
            row = BoughtVector(recording_id=recording_id, hash=key, vector=vector.astype("<f4").tobytes())
            insert_if_absent(session, row)

    def of(self, recording_id: str, hashes: Iterable[str]) -> dict[str, Vector]:
        """Those of these texts that were bought for the recording and not put away since."""
        statement = select(BoughtVector.hash, BoughtVector.vector).where(
            BoughtVector.recording_id == recording_id, BoughtVector.hash.in_(list(hashes))
        )
        with self._database.read() as session:
            return {key: np.frombuffer(packed, "<f4") for key, packed in session.execute(statement)}

    @staticmethod
    def forget(session: Session, recording_id: str, hashes: Iterable[str]) -> None:
        """The index has these now."""
        session.execute(
            delete(BoughtVector).where(
                BoughtVector.recording_id == recording_id, BoughtVector.hash.in_(list(hashes))
            )
        )
