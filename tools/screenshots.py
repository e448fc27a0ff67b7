"""`make screenshots`: the pictures of the README, and every page in every look for whoever changes one.

Starts the tool in homes of its own (`tools/scenes.py`) and shoots its pages in a browser. `--all FOLDER`
shoots every page with its main states in both languages, at two widths and in both themes; without it
only the README's two.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from core.settings import ROOT
from tests.tool import Tool
from tools import scenes
from tools.scenes import EMPTY, FULL, GUARDED, SHARED, Scene

README = {"_costs": Scene("costs"), "_recording": Scene("recording?id={Monday meeting}")}
LOOKS = [
    f"{width}-{theme}-{language}"
    for width, theme, language in itertools.product((1440, 390), ("light", "dark"), ("ru", "en"))
]
LOCALES = {"ru": "ru-RU", "en": "en-GB"}
README_SIZE = {"width": 1200, "height": 900}
HEIGHT_PX = 900
LONGEST_PX = 16_000
"""More a browser does not draw at once."""
UNROLLED = 4
DRAWN = "[data-testid=stApp][data-test-script-state=notRunning]"
QUIET_MS = 1000
"""Charts come after the page; nothing tells when the last of them is drawn."""


def main() -> int:
    """Shoot; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page in every look, into FOLDER")
    parser.add_argument("--only", default="", help="with --all: pages whose name begins so")
    parser.add_argument(
        "--look", default="", help="with --all: such looks alone, as 1440-light-ru, or a part"
    )
    args = parser.parse_args()
    looks = [look for look in LOOKS if args.look in look]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_arguments())
        for started, known in (
            (scenes.populated_tool, FULL),
            (scenes.empty, EMPTY),
            (scenes.guarded, GUARDED),
        ):
            wanted = {name: scene for name, scene in known.items() if name.startswith(args.only)}
            if args.all and wanted:
                with started() as tool:
                    shoot_all(browser, tool, wanted, looks, args.all)
            elif not args.all and known is FULL:
                with started() as tool:
                    _shoot_readme(browser, tool)
        browser.close()
    return 0


def _shoot_readme(browser: Browser, tool: Tool) -> None:
    ids = ids_by_title(tool.api())
    for name, scene in README.items():
        target = ROOT / "pages" / f"{name}.png"
        with browser.new_context(base_url=tool.url, locale="en-GB", viewport=README_SIZE) as context:  # type: ignore[arg-type]
            page = context.new_page()
            _set(page, scene, ids)
            page.screenshot(path=target)
        print(target.relative_to(ROOT))


def shoot_all(
    browser: Browser, tool: Tool, known: Mapping[str, Scene], looks: list[str], folder: Path
) -> None:
    """Each scene in each look, a picture each."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = ids_by_title(tool.api())
    for look in looks:
        width, theme, language = look.split("-")
        with browser.new_context(base_url=tool.url, locale=LOCALES[language], color_scheme=theme) as context:  # type: ignore[arg-type]
            page = context.new_page()
            for name, scene in known.items():
                page.set_viewport_size({"width": int(width), "height": HEIGHT_PX})
                _set(page, scene, ids)
                if scene.whole:
                    _unroll(page)
                page.screenshot(path=folder / f"{name}-{look}.png")
                print(f"{name} {look}", flush=True)


def ids_by_title(client: httpx.Client) -> dict[str, str]:
    """Of recordings and collections, and what a link to a recording carries."""
    with client:
        recordings = client.get("/api/v1/recordings", params={"limit": 100}).json()["recordings"]
        collections = client.get("/api/v1/collections").json()["collections"]
        ids = {str(row["title"]): str(row["recording_id"]) for row in recordings}
        if shared := ids.get(SHARED):
            link = client.post(f"/api/v1/recordings/{shared}/links", json={}).json()["address"]
            ids["a link"] = str(link).partition("=")[2]
    return ids | {str(row["title"]): str(row["collection_id"]) for row in collections}


def _set(page: Page, scene: Scene, ids: Mapping[str, str]) -> None:
    path = re.sub("{(.+?)}", lambda found: ids.get(found[1], "none"), scene.path)
    page.goto(f"/{path}")
    _settle(page)
    if scene.act:
        scene.act(page)
        _settle(page)


def _settle(page: Page) -> None:
    page.wait_for_selector(DRAWN)
    page.wait_for_selector("html:not(.arriving)", state="attached")
    page.wait_for_timeout(QUIET_MS)


def _unroll(page: Page) -> None:
    """A window as high as the page: its own scrolling would hide the rest.

    More than once: a film takes a share of the window's height, so the page grows with it.
    """
    for _ in range(UNROLLED):
        size = page.viewport_size or README_SIZE
        height = int(page.get_by_test_id("stMain").evaluate("main => main.scrollHeight"))
        if min(height, LONGEST_PX) <= size["height"]:
            return
        page.set_viewport_size({"width": size["width"], "height": min(height, LONGEST_PX)})
        page.wait_for_timeout(QUIET_MS)


def _arguments() -> list[str]:
    return ["--disable-gpu", "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]


if __name__ == "__main__":
    sys.exit(main())
