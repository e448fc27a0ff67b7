"""Pages and files on the web, by yt-dlp, which knows some thousand sites. Its only home, in the child."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError, YoutubeDLError

from core.errors import BadRequest, Code, Rejected, StenogramError, TooLarge, Unavailable
from core.sources.links import MOST_CHAPTERS, LinkFacts
from core.storage.blobs import clean_text, human_bytes

REPORT_S = 1.0
HEAD_BYTES = 256 * 1024
"""Enough for the headers of a file."""
_LATER = (408, 425, 429)
"""Statuses that pass, besides 500 and above."""
_TOLD_CHARS = 200


class _Quiet:
    """Its words hold addresses and paths, and go nowhere."""

    def debug(self, message: str) -> None:
        """Nothing."""

    info = warning = error = debug


def look(url: str) -> dict[str, Any]:
    """What is there, without fetching it: its facts, and where they lack a length the first bytes (base64).

    Raises what `fetch` raises.
    """
    with _client({}) as client:
        info = _found(client, url)
        facts, head = _facts(url, info), b""
        if not facts.duration_s and str(info.get("protocol", "")).startswith("http"):
            head, size_bytes = _translated(lambda: _beginning(client, info))
            facts = replace(facts, size_bytes=facts.size_bytes or size_bytes)
        return {"facts": facts.as_json(), "head": base64.b64encode(head).decode()}


def _beginning(client: yt_dlp.YoutubeDL, info: Mapping[str, Any]) -> tuple[bytes, int]:
    """The first bytes of a file, and how many it has; 0 where its server does not say."""
    headers = {**(info.get("http_headers") or {}), "Range": f"bytes=0-{HEAD_BYTES - 1}"}
    with client.urlopen(Request(info["url"], headers=headers)) as reply:
        head = reply.read(HEAD_BYTES)
        _, _, total = (reply.headers.get("Content-Range") or "").partition("/")
        total = total or reply.headers.get("Content-Length") or ""
        return head, int(total) if total.isdecimal() else 0


def fetch(url: str, folder: Path, most_bytes: int) -> dict[str, Any]:
    """Fetch the sound into a folder: the name of the file there, and its facts.

    Raises BadRequest where nothing is there or it is a list, TooLarge, Rejected for what never comes,
    Unavailable for what may come later.
    """
    reported_at = 0.0

    def report(progress: Mapping[str, Any]) -> None:
        nonlocal reported_at
        done = int(progress.get("downloaded_bytes") or 0)
        if max(done, int(progress.get("total_bytes") or 0)) > most_bytes:
            raise TooLarge(limit=human_bytes(most_bytes))
        if time.monotonic() - reported_at > REPORT_S:
            reported_at = time.monotonic()
            total = int(progress.get("total_bytes") or progress.get("total_bytes_estimate") or 0)
            (folder / "progress.json").write_text(json.dumps([done, total]))

    options = {
        "paths": {"home": str(folder)},
        "outtmpl": {"default": "media.%(ext)s"},
        "progress_hooks": [report],
    }
    with _client(options) as client:
        info = _found(client, url)
        _translated(lambda: client.process_ie_result(info, download=True))
        files = [path for path in folder.glob("media.*") if path.suffix not in {".part", ".ytdl"}]
        if not files:
            raise Unavailable(Code.LINK_FAILED, detail="nothing came")
        return {"file": files[0].name, "facts": _facts(url, info).as_json()}


def _client(others: dict[str, Any]) -> yt_dlp.YoutubeDL:
    yt_dlp.globals.plugin_dirs.value = []
    return yt_dlp.YoutubeDL(
        {
            "quiet": True,
            "noprogress": True,
            "logger": _Quiet(),
            "proxy": "",
            "cachedir": False,
            "noplaylist": True,
            "extract_flat": "in_playlist",
            "format": "bestaudio/best",
            "fixup": "never",
            "ffmpeg_location": "/nonexistent",  # one file as it comes: nothing is joined or converted
            "hls_prefer_native": True,
            "socket_timeout": 20,
            "retries": 3,
            "fragment_retries": 3,
            "skip_unavailable_fragments": False,
            "updatetime": False,
            **others,
        }
    )


def _found(client: yt_dlp.YoutubeDL, url: str) -> dict[str, Any]:
    """What yt-dlp says of one recording. Raises BadRequest where it is a list, or goes on still."""
    info = _translated(lambda: client.extract_info(url, download=False))
    if not isinstance(info, dict):
        raise BadRequest(Code.LINK_WITHOUT_SOUND)
    if info.get("_type", "video") != "video":
        n = info.get("playlist_count") or len(list(info.get("entries") or ()))
        raise BadRequest(Code.LINK_IS_LIST, n=n)
    if info.get("is_live") or info.get("live_status") in {"is_live", "is_upcoming"}:
        raise BadRequest(Code.LINK_IS_LIVE)
    return info


def _translated(step: Any) -> Any:
    """yt-dlp's errors as ours."""
    try:
        return step()
    except DownloadError as error:
        cause = error.exc_info[1] if error.exc_info else error
        raise _meaning(cause) from error
    except YoutubeDLError as error:
        raise _meaning(error) from error
    except OSError as error:
        raise Unavailable(Code.LINK_FAILED, detail=type(error).__name__) from error


def _meaning(error: BaseException | None) -> StenogramError:
    while error is not None and not isinstance(error, HTTPError | UnsupportedError | GeoRestrictedError):
        inner = getattr(error, "cause", None) or error.__cause__
        if inner is None or inner is error:
            break
        error = inner
    if isinstance(error, UnsupportedError):
        return BadRequest(Code.LINK_WITHOUT_SOUND)
    if isinstance(error, GeoRestrictedError):
        return Rejected(Code.LINK_REFUSED, detail="not in this country")
    if isinstance(error, HTTPError):
        kind = Unavailable if error.status in _LATER or error.status >= 500 else Rejected
        return kind(Code.LINK_REFUSED, detail=f"HTTP {error.status}")
    if isinstance(error, ExtractorError) and error.expected:
        return Rejected(Code.LINK_REFUSED, detail=clean_text(error.orig_msg)[:_TOLD_CHARS])
    return Unavailable(Code.LINK_FAILED, detail=type(error).__name__)


def _facts(url: str, info: Mapping[str, Any]) -> LinkFacts:
    chosen = (info.get("requested_downloads") or info.get("requested_formats") or [info])[0]
    size_bytes = chosen.get("filesize") or chosen.get("filesize_approx") or info.get("filesize") or 0
    chapters = [
        (float(one.get("start_time") or 0), clean_text(str(one.get("title") or "")))
        for one in info.get("chapters") or ()
    ]
    return LinkFacts(
        url=url,
        title=clean_text(str(info.get("title") or "")),
        site=str(info.get("webpage_url_domain") or ""),
        duration_s=float(info["duration"]) if info.get("duration") else None,
        size_bytes=int(size_bytes),
        published_at=float(info["timestamp"]) if info.get("timestamp") else _day(info.get("upload_date")),
        chapters=tuple(chapter for chapter in chapters if chapter[1])[:MOST_CHAPTERS],
    )


def _day(text: object) -> float | None:
    """`20261102` in seconds since 1970."""
    try:
        return time.mktime(time.strptime(str(text), "%Y%m%d")) if text else None
    except ValueError:
        return None
