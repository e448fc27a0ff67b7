"""What is known of something on the web before it is fetched."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from core.addresses import may_be_public
from core.errors import BadRequest, Code

URL_CHARS = 2000
MOST_CHAPTERS = 500


@dataclass(frozen=True)
class LinkFacts:
    """What a page, a file on the web or an episode of a feed says of itself."""

    url: str
    title: str = ""
    site: str = ""
    duration_s: float | None = None
    size_bytes: int = 0
    """0 where nobody says."""
    published_at: float | None = None
    chapters: tuple[tuple[float, str], ...] = ()
    """Seconds from the start, and what begins there."""
    key: str = ""
    """What a feed calls this episode, whatever its address becomes."""

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> Self:
        """As it was kept."""
        chapters = tuple((float(start_s), str(title)) for start_s, title in stored.get("chapters", ()))
        return cls(**{**stored, "chapters": chapters})


@dataclass(frozen=True)
class Feed:
    """A feed, and its episodes as it lists them."""

    title: str
    episodes: tuple[LinkFacts, ...]


def check(url: str, *, anywhere: bool = False) -> str:
    """The address without spaces around it.

    Raises BadRequest for what is none of the public web; names are judged when they are looked up.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadRequest(Code.LINK_INVALID) from None
    if parts.scheme not in {"http", "https"} or not host or len(url) > URL_CHARS or not url.isprintable():
        raise BadRequest(Code.LINK_INVALID)
    if not anywhere and not may_be_public(host):
        raise BadRequest(Code.LINK_PRIVATE)
    return url
