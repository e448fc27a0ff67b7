"""What pages share: the visitor's language and time, harmless labels, rows of recordings, live views."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import streamlit as st
from streamlit.typing import UploadedFile

from core.database.states import EmbeddingStatus, TaskStatus
from core.database.tables import Key
from core.errors import AdminsOnly, StenogramError
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library import views
from core.library.recordings import TranscriptionOptions
from core.library.views import Card, Group, Hit, Outcome, Totals
from core.monitor import monitor
from core.principal import EVERYONE
from core.speech.engine import Readiness
from core.transcripts import export
from jobs.installation import application

WHO = EVERYONE
"""The pages act as admin."""
LIVE_S = 2.5
PAGE_BYTES = 200e6
"""What the page's uploader takes: it holds files in memory."""
LANGUAGE = "lang"
Colour = Literal["blue", "red", "gray", "orange"]
COLOURS: dict[str, Colour] = {
    TaskStatus.PROCESSING: "blue",
    TaskStatus.FAILED: "red",
    TaskStatus.CANCELLED: "gray",
    TaskStatus.QUEUED: "gray",
}
MEANINGS: dict[str, str] = {
    EmbeddingStatus.DONE: N_("found by words and by meaning"),
    EmbeddingStatus.WAITING: N_("found by words, by meaning soon"),
    EmbeddingStatus.OFF: N_("found by words"),
    EmbeddingStatus.FAILED: N_("found by words; by meaning failed"),
}
SILENT = N_("no speech was found")
MODES = {
    "hybrid": N_("Meaning and words"),
    "meaning": N_("Meaning"),
    "words": N_("Words"),
}
WHY = {"meaning": N_("by meaning"), "words": N_("by words"), "both": N_("by meaning and words")}
HOW = {
    "layout": N_("other keyboard layout"),
    "sound": N_("as it sounds"),
    "fuzzy": N_("misspelt"),
    "any": N_("some of the words"),
    "substring": N_("part of a word"),
}
SPEAKERS = export.CHANNELS

line = functools.partial(st.container, horizontal=True, vertical_alignment="center", wrap=False)
"""Things side by side, on a telephone too."""
tight = functools.partial(st.container, gap="xxsmall")
"""Things that belong together."""


def may_change() -> bool:
    """Whether whoever looks at the pages may change anything, as an admin may."""
    return not application().settings.pages_read_only


def admins_only() -> None:
    """Go no further for those who may only look."""
    if not may_change():
        st.title(translate_error(AdminsOnly()), anchor=False)
        st.stop()


def settle_language() -> None:
    """The switch decides, before it was touched the link, else the visitor's own; links carry a choice on."""
    own = catalogue.language(st.context.locale)
    st.session_state.setdefault(LANGUAGE, catalogue.language(st.query_params.get(LANGUAGE), own))
    if language() != own:
        st.query_params[LANGUAGE] = language()
    else:
        st.query_params.pop(LANGUAGE, None)


def language() -> str:
    """The language of this visit."""
    return str(st.session_state.get(LANGUAGE, "en"))


def gettext(template: str, /, **facts: object) -> str:
    """A sentence in the language of this visit. Facts from people go in through `plain`."""
    return catalogue.gettext(template, language(), **facts)


def translated(templates: Mapping[str, str]) -> dict[str, str]:
    """Names and what people see for them."""
    return {name: gettext(template) for name, template in templates.items()}


def ngettext(one: str, many: str, n: int, /, **facts: object) -> str:
    """A sentence that depends on a number."""
    return catalogue.ngettext(one, many, n, language(), **facts)


def translate_error(error: StenogramError | Mapping[str, object]) -> str:
    """What went wrong, for a person, harmless where Markdown is read; addresses in it are links."""
    return _escaped(catalogue.translate_error(error, language()))


def translate_fact(fact: str) -> str:
    """A phrase of ours within a fact, such as the title of an engine; harmless where Markdown is read."""
    return _escaped(str(catalogue.translate_fact(fact, language())))


def duration(seconds: float | None) -> str:
    """How long, in units of people."""
    return catalogue.duration(seconds, language())


def moment(unix: float | None) -> str:
    """When, on the visitor's clock."""
    return catalogue.moment(unix, language(), st.context.timezone)


def plain(text: str) -> str:
    """Text from people for places that read Markdown: it shows as it was written, on one line."""
    # Icons, emoji, arrows and links are made even of escaped text; a word joiner, which has no width, stops that.
    return re.sub(r"(?<=\\[:@>=~-])(?=\S)|(?<=www)(?=\\)", "\u2060", _escaped(text))


def _escaped(text: str) -> str:
    one_line = re.sub(r"[^\S\u00a0\u202f]+", " ", text).strip()  # blanks that hold a number together stay
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", one_line)


def number(value: float, digits: int = 0) -> str:
    """A number with the separators of the language."""
    return catalogue.number(value, language(), digits)


def size(size_bytes: float) -> str:
    """A size in decimal units."""
    return catalogue.size(size_bytes, language())


def dropped(key: str) -> list[UploadedFile]:
    """Files that were dropped here or chosen. The widget's own words are English only, so ours cover them."""
    texts = {"choose": gettext("Choose files"), "drop": gettext("or drop them here")}
    variables = "".join(f"--{name}: {json.dumps(text, ensure_ascii=False)};" for name, text in texts.items())
    with st.container(key="drop"):
        st.html(f"<style>:root {{{variables}}}</style>")
        label = gettext("Sound or video, up to {size} each", size=size(PAGE_BYTES))
        return st.file_uploader(label, accept_multiple_files=True, key=key)


def tags(given: Sequence[str] = ()) -> tuple[str, ...]:
    """Ask for tags, known or new ones."""
    known = views.tags(application().database, WHO)
    hint = gettext("Choose or type")
    chosen = st.multiselect(
        gettext("Tags"), known, given, placeholder=hint, accept_new_options=True, max_selections=20
    )
    return tuple(chosen)


def seconds(given: str | None) -> float:
    """A place in a recording from a link; 0 for nonsense."""
    try:
        return max(0.0, float(given or 0))
    except ValueError:
        return 0.0


def engine(key: str, spoken: str) -> tuple[str, str, bool]:
    """Ask for language and engine, and say which engine that means and why. False: it cannot work."""
    app = application()
    language_ = _spoken_language(key, spoken)
    titles = {name: _engine_title(name) for name in ("", *app.engines)}
    name = st.selectbox(gettext("Engine"), titles, format_func=titles.__getitem__, key=f"{key}-engine")
    try:
        choice = app.intake.choose_engine(TranscriptionOptions(language=language_, engine=name))
    except StenogramError as error:
        st.warning(translate_error(error), icon=":material/block:")
        return language_, name, False
    st.caption(translate_error({"message": choice.message, "facts": choice.facts}))
    return language_, name, True


def _spoken_language(key: str, spoken: str) -> str:
    """Every language that an engine here could hear now; few of them side by side."""
    ready = (engine for engine in application().engines.values() if engine.readiness().ready)
    heard = dict.fromkeys(("ru", "en", *(code for engine in ready for code in engine.languages)))
    names = {code: catalogue.language_name(code, language()) for code in heard}
    default = spoken if spoken in names else "ru"
    label, key = gettext("Spoken language"), f"{key}-language"
    if len(names) > 3:
        first = list(names).index(default)
        return st.selectbox(label, names, first, format_func=names.__getitem__, key=key)
    return st.segmented_control(
        label, list(names), default=default, required=True, format_func=names.__getitem__, key=key
    )


def _engine_title(name: str) -> str:
    if not name:
        return gettext("Automatic")
    engine = application().engines[name]
    template = "{title}" if engine.readiness().ready else N_("{title} (not ready)")
    return gettext(template, title=engine.title)


def language_names(languages: Sequence[str] | None) -> str:
    """Languages by their names."""
    if languages is None:
        return gettext("any language")
    return catalogue.language_names(languages, language())


def facts(*parts: str) -> str:
    """A quiet line of facts."""
    return "  ·  ".join(part for part in parts if part)


def live(show: Callable[[], bool], *, moving: bool) -> None:
    """Draw with `show`, again and again while it says that something moves; then the whole page once."""

    @st.fragment(run_every=LIVE_S if moving else None)
    def draw() -> None:
        if not show() and moving:
            st.rerun()

    draw()


def live_rows(*, title: str = "", tag: str = "", status: str = "", limit: int, offset: int = 0) -> int:
    """Recordings that fit, kept up to date while work on them goes on. How many fit in all."""
    database = application().database
    find = functools.partial(
        views.cards, database, WHO, words=title, tag=tag, status=status, limit=limit, offset=offset
    )
    total, cards = find()
    live(lambda: rows(find()[1]), moving=any(card.active for card in cards))
    return total


def rows(cards: Sequence[Card]) -> bool:
    """Recordings, one under the other; each opens on a click. Whether work on any goes on."""
    for card in cards:
        row(card)
    return any(card.active for card in cards)


def row(card: Card) -> None:
    """One recording: title, what is known of it, and where its work stands unless it is done."""
    recording = card.recording
    with tight(key=f"row-{recording.id}"):
        with line():
            st.page_link(
                "recording.py",
                label=plain(recording.title),
                query_params={"id": recording.id},
                icon="",
                help="",
                width="stretch",
            )
            if card.status != TaskStatus.COMPLETED:
                st.badge(gettext(monitor.STATUSES[card.status]), color=COLOURS[card.status])
        st.caption(about(card))
        if card.active and card.task:
            st.progress(card.task.progress, gettext(monitor.KINDS.get(card.task.stage, "Waiting")))


def about(card: Card) -> str:
    """What is known of a recording, on a quiet line."""
    recording = card.recording
    return facts(
        duration(recording.duration_s),
        moment(recording.created_at),
        gettext(SILENT if card.silent else MEANINGS[recording.embedding_status])
        if recording.transcript_id
        else "",
        plain(", ".join(recording.tags)),
    )


def readiness(found: Readiness) -> dict[str, Any]:
    """What a badge says of an engine."""
    if found.ready:
        return {"label": gettext("Works"), "color": "green"}
    return {"label": gettext("Not ready"), "color": "gray"}


def about_key(key: Key) -> str:
    """What is known of an API key."""
    used = (
        gettext("used {time}", time=moment(key.last_used_at)) if key.last_used_at else gettext("never used")
    )
    return facts(
        f"`gam_{key.id}_…`",
        gettext("admin") if key.admin else "",
        gettext("made {time}", time=moment(key.created_at)),
        used,
    )


def installation() -> pd.DataFrame:
    """Places, limits and versions of this installation."""
    settings = application().settings
    known = {
        gettext("Data folder"): str(settings.home),
        gettext("Server folders that may be read"): ", ".join(map(str, settings.folders)) or gettext("none"),
        gettext("Largest upload"): size(settings.upload_max_bytes),
        gettext("Through the pages"): size(PAGE_BYTES),
    }
    versions = {name: version(name) for name in ("streamlit", "dramatiq", "torch", "lancedb", "google-genai")}
    return pd.DataFrame({**known, **versions}.items(), columns=[gettext("What"), gettext("Value")])


def coverage(totals: Totals) -> str:
    """How much of everything a search can find."""
    known = {"words": duration(totals.words_s), "total": duration(totals.total_s)}
    if not totals.meaning_s:
        return gettext("{words} of {total} can be searched, by words only.", **known)
    known |= {
        "meaning": duration(totals.meaning_s),
        "embedder": translate_fact(application().active_embedder.searched().title),
    }
    return gettext("{words} of {total} can be searched, {meaning} of it by meaning: {embedder}.", **known)


def groups(found: Sequence[Group], key: str = "group") -> None:
    """Moments under the title of their recording; a click on the time plays there."""
    for group in found:
        with st.container(border=True, key=f"{key}-{group.recording_id}"):
            st.page_link(
                "recording.py",
                label=f"**{plain(group.title)}**",
                query_params={"id": group.recording_id},
                help="",
            )
            for n, hit in enumerate(group.hits):
                with st.container(
                    horizontal=True, wrap=False, gap="small", key=f"hit-{key}-{group.recording_id}-{n}"
                ):
                    st.page_link(
                        "recording.py",
                        label=catalogue.clock(hit.play_s),
                        icon=":material/play_arrow:",
                        query_params={"id": group.recording_id, "t": f"{hit.play_s:.1f}"},
                        help=gettext("Play from here"),
                    )
                    with tight():
                        st.markdown("".join(_marked(piece, marked) for piece, marked in hit.pieces))
                        st.caption(facts(speaker(hit.speaker), _reason(hit), _also(hit)))


def _reason(hit: Hit) -> str:
    """Why it was found, and how loosely its words were read."""
    return f"{gettext(WHY[hit.why])} ({gettext(HOW[hit.how])})" if hit.how in HOW else gettext(WHY[hit.why])


def _also(hit: Hit) -> str:
    many = ngettext("also in {n} recording", "also in {n} recordings", len(hit.also_in))
    return many if hit.also_in else ""


def _marked(piece: str, marked: bool) -> str:
    """Blanks stay outside: Markdown marks no text that begins or ends with one."""
    text = plain(piece)
    before, after = " " * piece[:1].isspace(), " " * piece[-1:].isspace()
    return f"{before}:primary-background[{text}]{after}" if marked and text else f"{before}{text}{after}"


def speaker(channel: str) -> str:
    """Who speaks on a channel of a call."""
    return gettext(SPEAKERS[channel]) if channel in SPEAKERS else plain(channel)


def outcomes(found: Sequence[Outcome]) -> None:
    """What became of each file that was sent."""
    for outcome in found:
        if outcome.error:
            st.error(translate_error(outcome.error), title=plain(outcome.filename), icon=":material/block:")
    ids = dict.fromkeys(outcome.recording_id for outcome in found if outcome.recording_id)
    find = functools.partial(views.chosen, application().database, WHO, list(ids))
    live(lambda: rows(find()), moving=any(card.active for card in find()))


def take(files: Sequence[Any], options: TranscriptionOptions) -> list[Outcome]:
    """Take files in, one after the other, with a bar that says how far."""
    bar = st.progress(0.0)
    found = []
    for n, file in enumerate(files):
        bar.progress(
            n / len(files),
            gettext("{n} of {total}: {name}", n=n + 1, total=len(files), name=plain(file.name)),
        )
        app = application()
        if isinstance(file, Path):
            found.append(views.take_path(app.intake, WHO, file, options))
        else:
            found.append(views.take_in(app.intake, WHO, file, file.name, options))
    bar.empty()
    return found
