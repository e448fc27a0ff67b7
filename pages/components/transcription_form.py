"""How a recording is to be heard, and what an upload comes to: by embedding mode, and by every engine that could take it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import streamlit as st

from core.billing import Answer, Quote, is_under_a_cent
from core.database.states import EmbeddingMode
from core.database.tables import Recording, Transcript
from core.errors import StenogramError
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.intake import IMPORTED
from core.library.recordings import TranscriptionOptions
from core.library.views import Card
from core.planning import plans
from core.planning.plans import Archive, Candidate, Found
from core.speech.engine import Engine
from core.speech.language import AUTO, UNDETERMINED
from core.speech.speakers.finder import SPEAKERS
from core.transcripts import importing
from core.transcripts.transcripts import probability
from jobs.installation import application
from pages.components import archive_files, common, figures, plan
from pages.components.common import current_principal, duration, facts, gettext, language_names, ngettext
from pages.components.figures import Cell, Column

USUAL = TranscriptionOptions()
MOST_SPEAKERS = 8
WHY_NOT = {
    "repeated": N_("repeated"),
    "known": N_("here already"),
    "refused": N_("cannot be read"),
}
NAMED = 3
"""So many files are named, the rest is counted."""
MODES: dict[str, str] = {
    EmbeddingMode.SYNC: N_("At once"),
    EmbeddingMode.BATCH: N_("In a batch, vectors at half the price"),
}
TRACKS: dict[str, str] = {
    "": N_("Separately, only one translation"),
    "each": N_("Separately, all translations"),
    "mix": N_("All mixed into one"),
}
UNKNOWN_TRACKS = 4
"""So many may be chosen by number before anybody has counted them."""
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


def more(*, one: bool, key: str = "upload") -> TranscriptionOptions:
    """Ask for what is seldom asked for; a title only where there is one file."""
    title = st.text_input(
        gettext("Title"), placeholder=gettext("The file name"), disabled=not one, max_chars=200
    )
    tags = common.tags()
    return replace(how(key), title=title if one else "", tags=tags)


def price(durations_s: Sequence[float], options: TranscriptionOptions) -> None:
    """Say what recordings of these lengths cost by this engine, and when they are ready."""
    app = application()
    try:
        answer = app.estimates.answer(durations_s=durations_s, language=options.language)
        said = _cost(answer, app.intake.choose_engine(options).possible, _usual())
    except StenogramError:
        return
    if said:
        st.markdown(said)


def how(
    key: str,
    usual: TranscriptionOptions = USUAL,
    *,
    stereo: bool = True,
    tracks: Sequence[Mapping[str, Any]] | None = None,
) -> TranscriptionOptions:
    """Ask how it is to be heard; speakers are told apart only where there may be two channels.

    `tracks` are those of the recording, as they are kept; None where nobody has counted them yet.
    """
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
    tracks_choice = _tracks(key, usual.tracks, tracks) if tracks is None or tracks else ""
    speakers = _speakers(key, usual.speakers, split=split)
    options = TranscriptionOptions(
        split_channels=split, subtitles=short, tracks=tracks_choice, speakers=speakers
    )
    return _of_whisper(key, options, usual)


def _of_whisper(key: str, options: TranscriptionOptions, usual: TranscriptionOptions) -> TranscriptionOptions:
    """Ask for what only Whisper can."""
    translate = st.checkbox(
        gettext("Translate into English"),
        usual.translate,
        help=gettext("Whisper writes in English what is said in any language; leave the engine to us then."),
        key=f"{key}-translate",
    )
    temperature = st.select_slider(
        gettext("Temperature"),
        [n / 10 for n in range(11)],
        round(usual.temperature, 1),
        format_func=lambda value: common.number(value, 1),
        help=gettext("How much chance decides between words, in Whisper only; 0 is best for most sound."),
        key=f"{key}-temperature",
    )
    return replace(options, translate=translate, temperature=temperature)


def _tracks(key: str, usual: str, stated_tracks: Sequence[Mapping[str, Any]] | None) -> str:
    """Which of several tracks to hear."""
    labels = common.translated(TRACKS)
    if stated_tracks is None:
        labels |= {str(n): gettext("Only track {number}", number=n) for n in range(1, 1 + UNKNOWN_TRACKS)}
    for track in stated_tracks or ():
        names = facts(
            common.plain(track["title"]), language_names([track["language"]]) if track["language"] else ""
        )
        only = gettext("Only track {number}", number=track["number"])
        labels[str(track["number"])] = f"{only}: {names}" if names else only
    selected = st.selectbox(
        gettext("If there are several sound tracks"),
        list(labels),
        list(labels).index(usual) if usual in labels else 0,
        format_func=labels.__getitem__,
        help=gettext(
            "Recorders of screens put the microphone and the others on tracks of their own. Of translations "
            "the one in the language chosen is taken."
        ),
        key=f"{key}-tracks",
    )
    return selected or ""


def _speakers(key: str, usual: str, *, split: bool) -> str:
    """Ask how many speakers are to be told apart; on each channel, where those are split."""
    installed = application().settings.speakers
    choices = {"auto": gettext("As many as there are"), "off": gettext("Do not tell them apart")}
    if split:
        choices["auto"], choices["1-8"] = gettext("One on each channel"), gettext("Several on a channel")
    choices |= {str(n): str(n) for n in range(1, MOST_SPEAKERS + 1)}
    selected = usual or installed
    if selected not in choices:
        choices[selected] = selected
    stated = st.selectbox(
        gettext("Speakers"),
        list(choices),
        list(choices).index(selected),
        format_func=lambda choice: choices.get(choice, choice),
        help=gettext(
            "They are found beside the transcription, in about 4 minutes an hour of sound. Type 2-4 for two at "
            "least and four at most."
        ),
        accept_new_options=True,
        key=f"{key}-speakers",
    )
    return _number_of_speakers(stated or "", selected)


def _number_of_speakers(stated: str, usual: str) -> str:
    """What was chosen or typed; the usual where that is neither a number nor a range, with a warning."""
    wanted = re.sub(r"\s", "", stated).replace("–", "-")
    least, _, most = wanted.partition("-")
    if re.match(SPEAKERS, wanted) and not (most and int(least) > int(most)):
        return wanted
    st.warning(gettext("This is no number of speakers: type one, or a range such as 2-4."))
    return usual


def possible(options: TranscriptionOptions) -> bool:
    """Whether an engine can do what was asked for under "More"; says which, or why not."""
    if not (options.translate or options.temperature):
        return True
    try:
        choice = application().intake.choose_engine(options)
    except StenogramError as error:
        st.warning(common.translate_error(error), icon=":material/block:")
        return False
    st.caption(common.translate_error({"message": choice.message, "facts": choice.facts}))
    return True


def again(recording: Recording, transcript: Transcript | None) -> None:
    """Ask for another transcript of a recording, in the way of the present one unless told otherwise."""
    app, key = application(), f"again-{recording.transcript_id or recording.id}"
    usual = USUAL
    if transcript is not None:
        usual = TranscriptionOptions(
            split_channels=transcript.split_channels,
            subtitles=transcript.subtitles,
            translate=transcript.translate,
            temperature=transcript.temperature,
            tracks=transcript.tracks,
        )
        if transcript.engine in app.engines and app.engines[transcript.engine].readiness().ready:
            st.session_state.setdefault(f"{key}-engine", transcript.engine)
    named = transcript is not None and probability(transcript) is None
    language, engine, ready = common.engine(key, recording.language if named else AUTO)
    form_options = how(key, usual, stereo=recording.channels == 2, tracks=recording.tracks)
    options = replace(form_options, language=language, engine=engine)
    ready = ready and possible(options)
    if ready:
        st.caption(costs([recording.duration_s], options))
    keep = _keep_corrections(recording, key)
    if transcript is not None:
        st.caption(gettext(KEPT))
    if st.button(gettext("Transcribe again"), type="primary", disabled=not ready, key="again"):
        options = replace(options, force=True, keep_corrections=keep)
        app.intake.transcribe_again(current_principal(), recording.id, options)
        st.rerun()


def _keep_corrections(recording: Recording, key: str) -> bool:
    """Ask whether corrections come along, where there are some."""
    count = application().recording_text.correction_count(recording)
    return bool(count) and st.checkbox(
        ngettext("Keep the {n} correction", "Keep the {n} corrections", count),
        value=True,
        help=gettext(
            "They are made in the new text where the same words are heard again. What does not fit, or all of it "
            "without this, is offered beside the new text: nothing is lost."
        ),
        key=f"{key}-keep",
    )


def costs(durations_s: Sequence[float | None], options: TranscriptionOptions) -> str:
    """Price and time of other transcripts; empty where nobody can tell."""
    app, known_s = application(), [each for each in durations_s if each]
    try:
        answer = app.estimates.answer(durations_s=known_s, language=options.language) if known_s else None
    except StenogramError:
        return ""
    return _cost(answer, app.intake.choose_engine(options).possible, _usual())


def way(transcript: Transcript | None) -> str:
    """In which language and by which engine a text was made; the language says how sure it is."""
    if transcript is None or transcript.language == UNDETERMINED:
        return ""
    engine = application().engines.get(transcript.engine)
    if transcript.engine == IMPORTED.name:
        return facts(language_names([transcript.language]), gettext("brought as a transcript"))
    spoken = language_names((transcript.identified or {}).get("languages") or [transcript.language])
    language_probability = probability(transcript)
    return facts(
        spoken
        if language_probability is None
        else f"{spoken}, {catalogue.percent(language_probability, common.language())}",
        common.translate_fact(engine.title) if engine else common.plain(transcript.engine),
    )


def anew(card: Card, transcript: Transcript | None) -> None:
    """Correct the language, or ask for another transcript; nothing of a recording without sound."""
    if card.recording.format in importing.FORMATS:
        return
    language(card, transcript)
    popover = st.popover(gettext("Transcribe again"), icon=":material/refresh:", disabled=card.active)
    with popover, st.container(width=420):
        again(card.recording, transcript)


def language(card: Card, transcript: Transcript | None) -> None:
    """Correct the language with one choice; transcribes again where that means another text."""
    if transcript is None or transcript.language == UNDETERMINED:
        return
    app, names, key = application(), common.spoken_languages(), f"language-{transcript.id}"
    with st.popover(gettext("Language"), icon=":material/translate:", disabled=card.active):
        st.caption(facts(way(transcript), common.translate_error(app.intake.reason(transcript) or {})))
        st.selectbox(
            gettext("Spoken language"),
            names,
            None,
            format_func=names.__getitem__,
            placeholder=gettext("Which language is it?"),
            key=key,
            on_change=_correct,
            args=(card.recording.id, key),
        )
        if error := st.session_state.pop(f"{key}-error", None):
            st.warning(common.translate_error(error), icon=":material/block:")


def _correct(recording_id: str, key: str) -> None:
    """Take a choice once, whatever is drawn again later."""
    selected, st.session_state[key] = st.session_state.get(key), None
    if selected is None:
        return
    try:
        application().intake.correct_language(current_principal(), recording_id, selected)
    except StenogramError as error:
        st.session_state[f"{key}-error"] = error


@dataclass(frozen=True)
class ChosenOptions:
    """How files are to be heard, how many that are, and by name and size what is known of each.

    `brought`: how many more are transcripts already, and only taken in.
    """

    options: TranscriptionOptions
    many: int = 0
    brought: int = 0
    about: dict[tuple[str, int], list[tuple[str, bool]]] = field(default_factory=dict)


def draw(files: Sequence[Any], options: TranscriptionOptions) -> ChosenOptions:
    """Ask for the embedding mode, and say what these files cost by each and by other engines."""
    app = application()
    brought = [file for file in files if importing.is_transcript(file.name)]
    files = [file for file in files if file not in brought]
    answer, archive = _priced(files, options.language)
    if archive is not None and not options.split_channels:
        _offer_split(archive)
    possible = app.intake.choose_engine(options).possible
    mode = _mode(answer, possible)
    deadline_h = _deadline() if mode == EmbeddingMode.BATCH else None
    details_by_file = _about(archive, _quote(answer, possible, mode or _usual()) if answer else None)
    many = len(files) if archive is None else _counted(archive, options)
    if answer is not None:
        _engines(answer, mode or _usual())
    if brought:
        names = _few([file.name for file in brought])
        st.caption(gettext("Transcripts, taken in as they are, without sound: {names}", names=names))
    return ChosenOptions(
        replace(options, embedding_mode=mode, deadline_h=deadline_h), many, len(brought), details_by_file
    )


def label(form: ChosenOptions, given: bool) -> str:
    """What the button says; where it is grey because of the files that are given, why."""
    heard = ngettext("Transcribe {n} file", "Transcribe {n} files", form.many)
    if form.many and form.brought:
        return gettext("{heard}, take in {n}", heard=heard, n=common.number(form.brought))
    if form.brought:
        return ngettext("Take in {n} transcript", "Take in {n} transcripts", form.brought)
    if form.many:
        return heard
    if not given:
        return gettext("Transcribe")
    if archive_files.none_readable():
        return gettext("None of these files can be read")
    return gettext("All of this is here already")


def _offer_split(archive: Archive) -> None:
    """Offer to keep channels apart where two carry different voices."""
    if archive.calls is None:
        archive.calls = list(plans.calls(archive.fresh))
    if not archive.calls:
        return
    with st.container(border=True, key="calls"):
        st.write(
            gettext(
                "Two channels with different voices, as calls are recorded: {names}",
                names=_names(archive.calls),
            )
        )
        st.button(
            gettext("Give each channel a speaker of its own"),
            key="split-calls",
            on_click=_split,
        )


def _split() -> None:
    st.session_state["upload-split"] = True


def _about(archive: Archive | None, quote: Quote | None) -> dict[tuple[str, int], list[tuple[str, bool]]]:
    """Of every file its length, size, and share of price and time, or why it is left out.

    Of files with one name and size those that are taken come first, as they are drawn.
    """
    found = sorted(archive.found if archive else [], key=lambda each: each.why != "")
    total_s = sum(each.duration_s or 0.0 for each in found if not each.why)
    details_by_file: dict[tuple[str, int], list[tuple[str, bool]]] = {}
    for each in found:
        share = (each.duration_s or 0.0) / total_s if total_s and not each.why else 0.0
        details = facts(
            gettext(WHY_NOT[each.why]) if each.why else "",
            _length(each),
            common.size(each.candidate.size_bytes),
            _share(quote.total_usd, share) if quote and share else "",
            gettext("about {time} of work", time=duration(quote.p50_s * share))
            if quote and quote.p50_s and share
            else "",
        )
        name = each.candidate.name, each.candidate.size_bytes
        details_by_file.setdefault(name, []).append((details, each.why == "refused"))
    return details_by_file


def _length(file: Found) -> str:
    """How long a file is; "" where nobody knows."""
    if not file.duration_s:
        return ""
    length = duration(file.duration_s)
    return gettext("about {time}", time=length) if file.estimated else length


def _share(usd: Decimal | None, share: float) -> str:
    """A part of a price: what one file of many costs, about."""
    if usd is None:
        return ""
    return common.price(usd * Decimal(share))


def _counted(archive: Archive, options: TranscriptionOptions) -> int:
    """Say which of these files are not new and which cannot be read; how many are to be transcribed."""
    known_files = archive.left_out("known")
    done = application().intake.transcribed(
        current_principal(), [each.sha256 for each in known_files], options
    )
    by_template = {
        N_("Here with this very text, not transcribed again: {names}"): [
            each for each in known_files if each.sha256 in done
        ],
        N_("Here already, transcribed anew: {names}"): [
            each for each in known_files if each.sha256 not in done
        ],
        N_("Cannot be read: {names}"): archive.left_out("refused"),
    }
    for template, files in by_template.items():
        if files:
            st.caption(gettext(template, names=_names(files)))
    return len(archive.fresh) + sum(each.sha256 not in done for each in known_files)


def _names(files: Sequence[Found]) -> str:
    """The first few by name: "a.mp3, b.mp3, c.mp3 and 4 more"."""
    return _few([each.candidate.name for each in files])


def _few(all_of_them: Sequence[str]) -> str:
    names = ", ".join(map(common.plain, all_of_them[:NAMED]))
    more = len(all_of_them) - NAMED
    return gettext("{names} and {n} more", names=names, n=more) if more > 0 else names


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


def _mode(answer: Answer | None, engines: Sequence[Engine]) -> EmbeddingMode | None:
    """How vectors are to be made; None where there is no choice, with the reason."""
    why = _batch_refusal()
    captions = [_cost(answer, engines, mode) for mode in EmbeddingMode]
    if why:
        if captions[0]:
            st.markdown(captions[0])
        st.caption(why)
        return None
    labels = common.translated(MODES)
    selected = st.radio(
        gettext("Vectors for search by meaning"),
        list(labels),
        list(labels).index(_usual()),
        format_func=labels.__getitem__,
        captions=captions,
        horizontal=True,
        key="lane",
    )
    return EmbeddingMode(selected)


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


def _batch_refusal() -> str:
    """Why there are no batches; empty if there is."""
    try:
        application().active_embedder.mode(EmbeddingMode.BATCH)
    except StenogramError as error:
        return common.translate_error(error)
    return ""


def _cost(answer: Answer | None, engines: Sequence[Engine], mode: EmbeddingMode) -> str:
    """What it comes to by the engine, at most where the language decides which that is."""
    quote = _quote(answer, engines, mode) if answer is not None else None
    if answer is None or quote is None:
        return ""
    price = common.plain(plan.cash(answer, quote.total_usd))
    about = N_("At most about {usd}") if len(engines) > 1 else N_("About {usd}")
    return facts(
        gettext(about, usd=price) if _countable(quote.total_usd) else price,
        gettext("ready in about {time}", time=duration(quote.p50_s)) if quote.p50_s else "",
    )


def _countable(usd: Decimal | None) -> bool:
    """Whether people would name the amount: below a cent they do not."""
    return not usd or not is_under_a_cent(usd)


def _quote(answer: Answer, engines: Sequence[Engine], mode: EmbeddingMode) -> Quote | None:
    return application().estimates.of_engines(answer, [engine.name for engine in engines], mode)


def _engines(answer: Answer, mode: EmbeddingMode) -> None:
    """Every engine that could take these files; silent where there is no choice."""
    ready = [
        engine
        for engine in application().engines.values()
        if engine.readiness().ready and answer.work.language in {AUTO, *engine.languages}
    ]
    if len(ready) < 2:
        return
    rows = [
        _row(answer, common.translate_fact(engine.title), _quote(answer, [engine], mode)) for engine in ready
    ]
    with st.expander(gettext("By other engines"), icon=":material/compare_arrows:"):
        figures.style()
        figures.table(_columns(), rows)


def _row(answer: Answer, title: str, quote: Quote | None) -> dict[str, Cell | str]:
    usd, p50_s, p90_s = (quote.total_usd, quote.p50_s, quote.p90_s) if quote else (None, None, None)
    return {
        "engine": title.replace("\\", ""),
        "price": plan.cash(answer, usd),
        "p50": duration(p50_s),
        "p90": duration(p90_s),
    }


def _columns() -> list[Column]:
    return [
        Column("engine", gettext("Engine")),
        Column("price", gettext("Price"), number=True),
        Column("p50", gettext("Usually"), number=True),
        Column("p90", gettext("At most"), number=True, help=gettext("9 times in 10")),
    ]


def _held(file: Any) -> Candidate:
    if isinstance(file, Path):
        return next(iter(plans.on_disk([file])))
    return plans.dropped([file])[0]
