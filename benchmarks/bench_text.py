"""A long text in a real browser: first words, frames while it scrolls, memory.

python -m benchmarks.bench_text [--hours 2 20]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from core.application import Application
from core.settings import Settings
from tests.test_browser import ARGUMENTS, visit
from tests.test_text_browser import spoken, with_sound
from tests.tool import Pages

WORDS_PER_HOUR = 7500
LINE = "word " * 24 + "acme"
FRAMES = """async () => {
  const main = document.querySelector('[data-testid=stMain]');
  const times = [];
  for (let n = 0, last = performance.now(); n < 120; n++) {
    main.scrollTop += 1500;
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - last);
    last = performance.now();
  }
  times.sort((a, b) => a - b);
  return [times[60], times[113], times[119]];
}"""
PATIENCE_MS = 120_000


def measure(page: Page, recording_id: str) -> str:
    """A row of the table: seconds to the first words, milliseconds a frame, megabytes, words in the page."""
    page.goto(f"/recording?id={recording_id}")
    page.wait_for_selector(".word", timeout=PATIENCE_MS)
    first_s = page.evaluate("performance.now() / 1000")
    median_ms, p95_ms, worst_ms = page.evaluate(FRAMES)
    heap_mb = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
    shown = page.locator(".word").count()
    return (
        f"{first_s:.1f} s | {median_ms:.0f} · {p95_ms:.0f} · {worst_ms:.0f} ms | {heap_mb:.0f} MB | {shown}"
    )


def main() -> None:
    """Print a table, a row a length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, nargs="+", default=[2, 20])
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = Application(Settings(stenogram_home=Path(folder) / "home"))
        ids = []
        for n, length in enumerate(hours):
            lines = [LINE] * round(length * WORDS_PER_HOUR / 25)
            text = spoken(lines, length * 3600 / len(lines))
            ids.append(with_sound(app, Path(folder), f"{length}h", text, ("ru_meeting", "en_meeting")[n % 2]))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        print("| text | words | first words | frame: median · p95 · worst | JS heap | words in the page |")
        print("|---|---|---|---|---|---|")
        with Pages(Path(folder) / "home") as tool, browser.new_context(base_url=tool.url) as context:
            visit(context.new_page(), "library")  # whoever reads a text has been somewhere before
            for length, id_ in zip(hours, ids, strict=True):
                words = round(length * WORDS_PER_HOUR)
                print(f"| {length:g} h | {words} | {measure(context.new_page(), id_)} |", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
