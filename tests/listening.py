"""A player in a browser that listens to itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.serve import PAGE
from tests.test_browser import ARGUMENTS
from tests.tool import until

LOUD = 0.1
"""Of full scale: above it is a voice, below it what codecs leave of silence."""
LISTEN = """
async ([src, from]) => {
  const media = document.createElement("video");
  media.src = src;
  const happened = (name) => new Promise((good, bad) => {
    media.addEventListener(name, good, {once: true});
    const broken = () => bad(new Error("it does not play: " + media.error?.message));
    media.addEventListener("error", broken, {once: true});
  });
  await happened("loadedmetadata");
  const sound = new AudioContext();
  const ear = sound.createAnalyser();
  ear.fftSize = 256;
  sound.createMediaElementSource(media).connect(ear);
  const there = happened("seeked");
  media.currentTime = from;
  await there;
  const landed = media.currentTime;
  const wave = new Float32Array(ear.fftSize);
  await media.play();
  return await new Promise((told) => {
    const look = () => {
      ear.getFloatTimeDomainData(wave);
      const loud = wave.some((one) => Math.abs(one) > LOUD);
      if (loud || media.ended)
        told({duration: media.duration, landed, loud: loud ? media.currentTime : null});
      else setTimeout(look, 4);
    };
    look();
  });
}
""".replace("LOUD", str(LOUD))
PATIENCE_S = 60


@dataclass(frozen=True)
class Played:
    """What a browser made of a recording."""

    duration: float
    """Its length, as the browser knows it."""
    landed: float
    """Where the player was once it had sought."""
    loud: float | None
    """At which of the player's seconds it became loud; None where it never did."""


Listen = Callable[[str, float], Played]
"""Plays an address from a second on. Raises where it does not play."""


@contextmanager
def chromium(site: str) -> Iterator[Listen]:
    """Chromium on a page of `site` that may play sound."""
    arguments = [*ARGUMENTS, "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page()
        page.goto(site + PAGE)
        yield lambda address, from_s: Played(**page.evaluate(LISTEN, [address, from_s]))
        browser.close()


@contextmanager
def firefox(site: str) -> Iterator[Listen]:
    """Debian's Firefox on a page of `site` that may play sound, by its own remote protocol."""
    from marionette_driver.marionette import Marionette  # for `make bench-media` only

    allowed = {"media.autoplay.default": 0, "media.autoplay.blocking_policy": 0}
    with tempfile.TemporaryDirectory() as folder, _loudspeaker(Path(folder)):
        log = str(Path(folder, "gecko.log"))
        browser = Marionette(
            bin=shutil.which("firefox-esr"), headless=True, port=0, prefs=allowed, gecko_log=log
        )
        browser.start_session()
        browser.timeout.script = PATIENCE_S
        browser.navigate(site + PAGE)

        def listen(address: str, from_s: float) -> Played:
            events = browser.execute_async_script(_TELLING, [[address, from_s]])
            if isinstance(events, str):
                raise AssertionError(events)
            return Played(**events)

        yield listen
        browser.quit()
        browser.cleanup()


@contextmanager
def _loudspeaker(folder: Path) -> Iterator[None]:
    """A sound card that nobody hears: without one, Firefox never starts to compute sound."""
    place = folder / "loudspeaker"
    modules = ("module-null-sink", f"module-native-protocol-unix auth-anonymous=1 socket={place}")
    arguments = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-level=error"]
    server = subprocess.Popen(
        ["pulseaudio", *arguments, *(f"--load={module}" for module in modules)],
        env={**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
    )
    try:
        until(place.exists, PATIENCE_S, "PulseAudio to listen")
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PULSE_SERVER", f"unix:{place}")
            yield
    finally:
        server.kill()
        server.wait()


_TELLING = f"const [about, tell] = arguments; ({LISTEN})(about).then(tell, (error) => tell(String(error)));"

BROWSERS = {"Chromium": chromium, "Firefox": firefox}
