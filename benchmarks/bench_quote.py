"""A quote's error against the ledger: the samples are quoted, sent through the road, and billed.

python -m benchmarks.bench_quote

The provider is the emulator, which counts two Cyrillic or four Latin characters a token; what is
shown is how well sound is turned into texts and money, not how well characters are guessed. The last
rows are quoted again by what the first had taught this installation.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from core.application import Application
from core.billing import Quote
from core.planning import plans, proof
from core.principal import EVERYONE
from core.settings import Settings
from tests.conftest import DATA
from tests.drive import perform_all
from tools.gemini_emulator.handle import GeminiEmulator

UNKNOWN_S = 1800.0
ROUNDS = (("ru", "ru_meeting.opus"), ("en", "en_meeting.opus"), ("ru", "call_stereo.opus"))


def quoted(app: Application, language: str, durations_s: Sequence[float], **more: float) -> Quote:
    """The quote of the route that will be taken: this machine, vectors now."""
    answer = app.estimates.answer(durations_s=list(durations_s), language=language, **more)
    return next(
        quote
        for quote in answer.quotes
        if quote.blocked is None
        and quote.lane == "now"
        and quote.embedder == app.active_embedder.embedder().model
    )


def paid(app: Application, path: Path, quote: Quote, language: str) -> Decimal:
    """Send it, do the work, and look into the ledger; USD."""
    with path.open("rb") as file:
        task = app.intake.accept(EVERYONE, file, path.name, app.estimates.wish(quote, language))
    perform_all(app)
    return app.ledger.of_recording(task.recording_id)


def main() -> None:
    """Print a row a sample."""
    print("sample            sound, s  speech, s   quoted by length   by speech      paid, $")
    with tempfile.TemporaryDirectory() as folder, GeminiEmulator(Path(folder) / "emulator") as emulator:
        for language, name in ROUNDS:
            settings = Settings(
                stenogram_home=Path(folder) / "home", gemini_api_key="emulated", gemini_base_url=emulator.url
            )
            app, path = Application(settings), DATA / name
            archive = plans.Archive(list(plans.look(list(plans.on_disk([path])), app.database)))
            durations_s = archive.durations_s(UNKNOWN_S)
            speech_s = min(
                sum(speech_seconds for speech_seconds, _ in plans.measure_speech(archive.fresh)),
                sum(durations_s),
            )
            quotes = [
                quoted(app, language, durations_s),
                quoted(app, language, durations_s, speech_s=speech_s),
            ]
            bill = paid(app, path, quotes[0], language)
            errors = [100 * (proof.error(app.estimates.payable(quote), bill) or 0) for quote in quotes]
            print(
                f"{name:16} {sum(durations_s):8.0f} {speech_s:10.0f}"
                f" {errors[0]:+16.1f} % {errors[1]:+9.1f} % {bill:14f}"
            )


if __name__ == "__main__":
    main()
