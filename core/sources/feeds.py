"""Feeds of podcasts, by feedparser. Its only home; in the child alone."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping
from typing import Any

import feedparser
import httpx

from core.errors import BadRequest, Code, Rejected, TooLarge, Unavailable
from core.sources.links import MOST_CHAPTERS, URL_CHARS, Feed, LinkFacts
from core.storage.blobs import clean_text, human_bytes

FEED_BYTES = 32 * 1024**2
MOST_EPISODES = 5000
TIMEOUT_S = 20.0
_HEARD = ("audio/", "video/")


def read(url: str) -> Feed:
    """Fetch a feed: its episodes, those with a sound only.

    Raises BadRequest for what is no feed, Rejected, or Unavailable for what may pass.
    """
    content, headers = _fetched(url)
    parsed = feedparser.parse(content, response_headers={"content-location": url, **headers})
    episodes = [facts for entry in parsed.entries[:MOST_EPISODES] if (facts := _episode(entry))]
    if not parsed.version:
        raise BadRequest(Code.FEED_UNREADABLE)
    return Feed(clean_text(str(parsed.feed.get("title", ""))), tuple(episodes))


def _fetched(url: str) -> tuple[bytes, dict[str, str]]:
    """The bytes of a feed, and its type. A proxy of the environment would look names up for us."""
    content = bytearray()
    try:
        with (
            httpx.Client(trust_env=False, follow_redirects=True, timeout=TIMEOUT_S) as client,
            client.stream("GET", url, headers={"User-Agent": "Stenogram"}) as reply,
        ):
            if reply.status_code >= 400:
                kind = Unavailable if reply.status_code >= 500 or reply.status_code == 429 else Rejected
                raise kind(Code.LINK_REFUSED, detail=f"HTTP {reply.status_code}")
            for piece in reply.iter_bytes():
                content += piece
                if len(content) > FEED_BYTES:
                    raise TooLarge(limit=human_bytes(FEED_BYTES))
            return bytes(content), {"content-type": reply.headers.get("content-type", "")}
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(Code.LINK_FAILED, detail=type(error).__name__) from error


def _episode(entry: Mapping[str, Any]) -> LinkFacts | None:
    """What a feed says of an episode; None where it has no sound."""
    sounds = [one for one in entry.get("enclosures", ()) if str(one.get("type", "")).startswith(_HEARD)]
    url = str(sounds[0].get("href", "")) if sounds else ""
    if not url.startswith(("http://", "https://")) or len(url) > URL_CHARS:
        return None
    published = entry.get("published_parsed") or entry.get("updated_parsed")
    length = str(sounds[0].get("length", ""))
    return LinkFacts(
        url=url,
        title=clean_text(str(entry.get("title", ""))),
        duration_s=_duration_s(str(entry.get("itunes_duration", ""))),
        size_bytes=int(length) if length.isdecimal() and len(length) < 16 else 0,
        published_at=float(calendar.timegm(published)) if published else None,
        chapters=tuple(_chapters((entry.get("psc_chapters") or {}).get("chapters", ()))),
        key=str(entry.get("id") or url)[:URL_CHARS],
    )


def _chapters(raw_chapters: Iterable[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """Podlove's simple chapters."""
    chapters = [(one.get("start_parsed"), clean_text(str(one.get("title", "")))) for one in raw_chapters]
    return [(start.total_seconds(), title) for start, title in chapters if start is not None][:MOST_CHAPTERS]


def _duration_s(text: str) -> float | None:
    """`1:02:03`, `62:03` or `3723` in seconds."""
    parts = text.strip().split(":")
    if not text or len(parts) > 3 or not all(part.isdecimal() and len(part) < 8 for part in parts):
        return None
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return float(seconds) or None
