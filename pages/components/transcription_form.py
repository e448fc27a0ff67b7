"""How a recording is to be heard, and what an upload comes to: by embedding mode, and by every engine that could take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.billing import Answer, Quote
from core.database.states import EmbeddingMode
from core.database.tables import Recording, Transcript
from core.errors import StenogramError
from core.i18n.messages import N_
from core.library.recordings import TranscriptionOptions
from core.planning import plans
from core.planning.plans import Archive, Candidate, Found
from core.speech.engine import Engine
from jobs.installation import application
from pages.components import archive_files, common, plan
from pages.components.common import WHO, duration, facts, gettext, language_names

USUAL = TranscriptionOptions()
CENT_USD = Decimal("0.01")
NAMED = 3
"""So many files are named, the rest is counted."""
MODES: dict[str, str] = {
    EmbeddingMode.SYNC: N_("At once"),
    EmbeddingMode.BATCH: N_("In a batch, vectors at half the price"),
}
KEPT = N_(
    "The present text stays until the new one is ready, which then takes its place. "
    "If you need it, download it first."
)
READY_BY = {
    None: N_("no matter when"),
    1.0: N_("within an hour"),
    3.0: N_("within 3 hours"),
    8.0: N_("within 8 hours"),
    24.0: N_("within a day"),
}


def more(*, one: bool) -> TranscriptionOptions:
    """Ask for what is seldom asked for; a title only where there is one file."""
    title = st.text_input(
        gettext("Title"), placeholder=gettext("The file name"), disabled=not one, max_chars=200
    )
    tags = common.tags()
    return replace(how("upload"), title=title if one else "", tags=tags)


def how(key: str, usual: TranscriptionOptions = USUAL, *, stereo: bool = True) -> TranscriptionOptions:
    """Ask how it is to be heard; speakers are told apart only where there may be two channels."""
    split = stereo and st.checkbox(
        gettext("Separate the speakers of a stereo call"),
        usual.split_channels,
        help=gettext("For calls recorded with one speaker on each channel."),
        key=f"{key}-split",
    )
    short = st.checkbox(
        gettext("Short phrases, for subtitles"),
        usual.subtitles,
        help=gettext("Pieces of a few seconds instead of whole paragraphs."),
        key=f"{key}-subtitles",
    )
    return TranscriptionOptions(split_channels=split, subtitles=short)


def again(recording: Recording, heard: Transcript | None) -> None:
    """Ask for another transcript of a recording, in the way of the present one unless told otherwise."""
    app, key = application(), f"again-{recording.transcript_id or recording.id}"
    usual = USUAL
    if heard is not None:
        usual = TranscriptionOptions(split_channels=heard.split_channels, subtitles=heard.subtitles)
        if heard.engine in app.engines and app.engines[heard.engine].readiness().ready:
            st.session_state.setdefault(f"{key}-engine", heard.engine)
    language, engine, ready = common.engine(key, heard.language if heard else recording.language)
    options = replace(how(key, usual, stereo=recording.channels == 2), language=language, engine=engine)
    if ready:
        st.caption(_again_costs(recording, options))
    if heard is not None:
        st.caption(gettext(KEPT))
    if st.button(gettext("Transcribe again"), type="primary", disabled=not ready, key="again"):
        app.intake.transcribe_again(WHO, recording.id, replace(options, force=True))
        st.rerun()


def _again_costs(recording: Recording, options: TranscriptionOptions) -> str:
    """Price and time of another transcript; empty where nobody can tell."""
    app, length_s = application(), recording.duration_s
    try:
        answer = app.estimates.answer(durations_s=[length_s], language=options.language) if length_s else None
    except StenogramError:
        return ""
    return _cost(answer, app.intake.choose_engine(options).engine.name, _usual())


def way(heard: Transcript | None) -> str:
    """In which language and by which engine a text was made."""
    if heard is None:
        return ""
    engine = application().engines.get(heard.engine)
    return facts(
        language_names([heard.language]),
        common.translate_fact(engine.title) if engine else common.plain(heard.engine),
    )


def draw(files: Sequence[Any], options: TranscriptionOptions) -> tuple[TranscriptionOptions, int]:
    """Ask for the embedding mode, and say what these files cost by each and by other engines. How many are to be heard."""
    app = application()
    answer, archive = _priced(files, options.language)
    engine = app.intake.choose_engine(options).engine
    mode = _mode(answer, engine.name)
    deadline_h = _deadline() if mode == EmbeddingMode.BATCH else None
    many = len(files) if archive is None else _counted(archive, engine, options)
    if answer is not None:
        _engines(answer, mode or _usual())
    return replace(options, embedding_mode=mode, deadline_h=deadline_h), many


def _counted(archive: Archive, engine: Engine, options: TranscriptionOptions) -> int:
    """Say which of these files are not new and which cannot be read; how many are to be transcribed."""
    known = archive.left_out("known")
    done = application().recordings.transcribed(WHO, [each.sha256 for each in known], engine, options)
    said = {
        N_("Here with this very text, not transcribed again: {names}"): [
            each for each in known if each.sha256 in done
        ],
        N_("Here already, transcribed anew: {names}"): [each for each in known if each.sha256 not in done],
        N_("Cannot be read: {names}"): archive.left_out("refused"),
    }
    for template, found in said.items():
        if found:
            st.caption(gettext(template, names=_names(found)))
    return len(archive.fresh) + sum(each.sha256 not in done for each in known)


def _names(found: Sequence[Found]) -> str:
    """The first few by name: "a.mp3, b.mp3, c.mp3 and 4 more"."""
    names = ", ".join(common.plain(each.candidate.name) for each in found[:NAMED])
    return gettext("{names} and {n} more", names=names, n=len(found) - NAMED) if len(found) > NAMED else names


def _priced(files: Sequence[Any], language: str) -> tuple[Answer | None, Archive | None]:
    """What the new ones of these files come to; None where nobody can tell."""
    archive = archive_files.looked([_held(file) for file in files]) if files else None
    if archive is None or not archive.fresh:
        return None, archive
    estimates = application().estimates
    unknown_s = float(estimates.book().assume("recording_s").value)
    try:
        return estimates.answer(durations_s=archive.durations_s(unknown_s), language=language), archive
    except StenogramError:
        return None, archive


def _mode(answer: Answer | None, engine: str) -> EmbeddingMode | None:
    """How vectors are to be made; None where there is no choice, with the reason."""
    why = _no_batches()
    captions = [_cost(answer, engine, mode) for mode in EmbeddingMode]
    if why:
        if captions[0]:
            st.markdown(captions[0])
        st.caption(why)
        return None
    shown = common.translated(MODES)
    chosen = st.radio(
        gettext("Search by meaning is ready"),
        list(shown),
        list(shown).index(_usual()),
        format_func=shown.__getitem__,
        captions=captions,
        horizontal=True,
        key="lane",
    )
    return EmbeddingMode(chosen)


def _usual() -> EmbeddingMode:
    return EmbeddingMode.of_lane(application().settings.embedding_lane) or EmbeddingMode.SYNC


def _deadline() -> float | None:
    """For how many hours a batch is waited for; None: as long as it takes."""
    return st.selectbox(
        gettext("Ready by"),
        list(READY_BY),
        format_func=lambda hours: gettext(READY_BY[hours]),
        help=gettext(
            "What no batch has brought by then is made at once, at the full price. "
            "Batches that are under way already are left as they are."
        ),
        key="deadline",
    )


def _no_batches() -> str:
    """Why there are no batches; empty if there is."""
    try:
        application().active_embedder.mode(EmbeddingMode.BATCH)
    except StenogramError as error:
        return common.translate_error(error)
    return ""


def _cost(answer: Answer | None, engine: str, mode: EmbeddingMode) -> str:
    quote = _quote(answer, engine, mode) if answer is not None else None
    if answer is None or quote is None:
        return ""
    price = common.plain(_cash(answer, quote.total_usd))
    return facts(
        gettext("About {usd}", usd=price) if _countable(quote.total_usd) else price,
        gettext("ready in about {time}", time=duration(quote.p50_s)) if quote.p50_s else "",
    )


def _countable(usd: Decimal | None) -> bool:
    """Whether people would name the amount: below a cent they do not."""
    return not usd or usd >= CENT_USD


def _cash(answer: Answer, usd: Decimal | None) -> str:
    return plan.cash(answer, usd) if _countable(usd) else gettext("Less than a cent")


def _quote(answer: Answer, engine: str, mode: EmbeddingMode) -> Quote | None:
    return application().estimates.of_engine(answer, engine, mode)


def _engines(answer: Answer, mode: EmbeddingMode) -> None:
    """Every engine that could take these files; silent where there is no choice."""
    ready = [
        engine
        for engine in application().engines.values()
        if engine.readiness().ready and answer.work.language in engine.languages
    ]
    if len(ready) < 2:
        return
    rows = [
        _row(answer, common.translate_fact(engine.title), _quote(answer, engine.name, mode))
        for engine in ready
    ]
    with st.expander(gettext("By other engines"), icon=":material/compare_arrows:"):
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=_columns())


def _row(answer: Answer, title: str, quote: Quote | None) -> dict[str, str]:
    usd, p50_s, p90_s = (quote.total_usd, quote.p50_s, quote.p90_s) if quote else (None, None, None)
    return {
        "engine": title.replace("\\", ""),
        "price": _cash(answer, usd),
        "p50": duration(p50_s),
        "p90": duration(p90_s),
    }


def _columns() -> dict[str, Any]:
    return {
        "engine": st.column_config.TextColumn(gettext("Engine"), width="medium"),
        "price": st.column_config.TextColumn(gettext("Price"), alignment="right"),
        "p50": st.column_config.TextColumn(gettext("Usually"), alignment="right"),
        "p90": st.column_config.TextColumn(
            gettext("At most"), help=gettext("9 times in 10"), alignment="right"
        ),
    }


def _held(file: Any) -> Candidate:
    if isinstance(file, Path):
        return next(iter(plans.on_disk([file])))
    return plans.dropped([file])[0]
