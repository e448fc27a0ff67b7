"""How soon every page is painted and can be used, and what jumps meanwhile, in a real browser.

    python -m benchmarks.bench_paint [--rounds 3]

A row a page, medians: opened with nothing in the browser's cache, and once more with all of it there.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil
from playwright.sync_api import BrowserContext, expect, sync_playwright

from core.application import Application
from core.settings import Settings
from tests.test_browser import ARGUMENTS
from tests.test_text_browser import spoken, with_sound
from tests.tool import Pages, Tool

PATHS = ("", "upload", "library", "search?q=word", "moments", "words", "monitor", "costs", "settings")
LINES = ["word " * 24 + "acme"] * 60
PATIENCE_MS = 120_000
WATCH = """
window.seen = {cls: 0, skeleton: 0, usable: 0};
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) seen.cls += entry.value;
}).observe({type: 'layout-shift', buffered: true});
let since = 0;
const look = now => {
  const shown = [...document.querySelectorAll('[data-testid=stSkeleton], [data-testid=stAppSkeleton]')]
    .some(each => each.checkVisibility({visibilityProperty: true}));
  since = shown ? since || now : 0;
  if (since) seen.skeleton = Math.max(seen.skeleton, now - since);
  if (!seen.usable && document.querySelector(
    'html:not(.arriving) [data-testid=stApp][data-test-script-state=notRunning]')) seen.usable = now;
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
SEEN = """() => ({
  ...window.seen, paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
  bytes: performance.getEntriesByType('resource').reduce((sum, each) => sum + each.transferSize, 0),
})"""
QUIET_MS = 1500
"""What comes late may shift the page, too."""


def opened(context: BrowserContext, path: str, tool: Tool) -> Mapping[str, float]:
    """What one visit came to: milliseconds, bytes, processor seconds of the page's thread and the server."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _cpu_s(tool)
    page.goto(f"/{path}")
    page.wait_for_function("window.seen.usable")
    page.wait_for_timeout(QUIET_MS)
    seen = dict(page.evaluate(SEEN))
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    page.close()
    return seen | {"page_s": metrics["TaskDuration"], "server_s": _cpu_s(tool) - before}


def _cpu_s(tool: Tool) -> float:
    used = psutil.Process(tool.process.pid).cpu_times()
    return float(used.user + used.system)


def row(path: str, visits: list[list[Mapping[str, float]]]) -> str:
    """A row of the table: what cold and warm visits came to."""
    cold, warm = (
        {name: statistics.median(each[name] for each in some) for name in some[0]} for some in visits
    )
    both = [" · ".join(f"{each[name] / 1000:.2f}" for each in (cold, warm)) for name in ("paint", "usable")]
    return (
        f"| /{path} | {both[0]} | {both[1]} | {cold['skeleton']:.0f} · {warm['skeleton']:.0f} "
        f"| {max(cold['cls'], warm['cls']):.3f} | {cold['page_s']:.2f} · {warm['page_s']:.2f} "
        f"| {cold['server_s']:.2f} · {warm['server_s']:.2f} | {cold['bytes'] / 1e6:.1f} |"
    )


def main() -> None:
    """Print a table, a row a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=None, help="such pages alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = Application(Settings(stenogram_home=Path(folder) / "home"))
        id_ = with_sound(app, Path(folder), "A recording", spoken(LINES, 10), "ru_meeting")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        expect.set_options(timeout=PATIENCE_MS)
        print("| page | first paint, s: cold · warm | usable, s | longest skeleton, ms | CLS |", end="")
        print(" page's CPU s | server's CPU s | MB |\n|---|---|---|---|---|---|---|---|")
        with Pages(Path(folder) / "home") as tool:
            with browser.new_context(base_url=tool.url) as context:
                context.add_init_script(WATCH)
                opened(context, "", tool)  # the server's first drawing is not what is measured
            for path in chosen.only or (*PATHS, f"recording?id={id_}"):
                visits: list[list[Mapping[str, float]]] = [[], []]
                for _ in range(chosen.rounds):
                    with browser.new_context(base_url=tool.url, locale="en-GB") as context:
                        context.add_init_script(WATCH)
                        for some in visits:
                            some.append(opened(context, path, tool))
                print(row(path.partition("id=")[0].rstrip("?"), visits), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
