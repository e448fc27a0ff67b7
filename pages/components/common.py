"""What pages share: the visitor's language and time, rights, harmless labels, rows of recordings, live views."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any, Literal

import pandas as pd
import streamlit as st
from babel.numbers import get_decimal_symbol

from core import spreadsheets
from core.billing import is_under_a_cent
from core.clients import people
from core.clients.people import Identity
from core.database.states import DateKind, EmbeddingStatus, TaskStatus
from core.database.tables import Key, Recording, utc
from core.errors import AdminsOnly, ReadOnly, SignInNeeded, StenogramError
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library import views
from core.library.listing import NEWEST
from core.library.recordings import TranscriptionOptions, recorded
from core.library.views import Card, Totals
from core.monitor import monitor
from core.principal import PAGES, Principal
from core.speech.engine import Readiness
from core.speech.language import AUTO, HOUSE, UNDETERMINED
from core.transcripts import export
from jobs.installation import application

LIVE_S = 2.5
SIGNS = {"USD": "$", "RUB": "₽"}
"""Of the currencies in which money is shown."""
LANGUAGE = "lang"
LINK = "link"
"""Names a link to one recording in an address."""
LANGUAGE_COOKIE = "stenogram_language"
"""Written by the browser when somebody touches the switch (`shell.js`)."""
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
OPERATORS = N_(
    'Words are found in all their forms. "In quotation marks": exactly so. -word: without it. tag:calls, '
    "before:2026-11-05, after:2026-10: only recordings with this tag, or of that time. lang:ru, engine:whisper, "
    "longer:10, shorter:60 (minutes), in:interviews (a collection): only such recordings. speaker:Anna: what Anna "
    "says."
)
MODES = {
    "hybrid": N_("Meaning and words"),
    "meaning": N_("Meaning"),
    "words": N_("Words"),
}

line = functools.partial(st.container, horizontal=True, vertical_alignment="center", wrap=False)
"""Things side by side, on a telephone too."""
tight = functools.partial(st.container, gap="xxsmall")
"""Things that belong together."""


def identity() -> Identity | None:
    """Whom the provider, or the proxy, has proved this visitor to be."""
    settings = application().settings
    if settings.proxy_user_header:
        headers = st.context.headers
        groups = headers.get(settings.proxy_groups_header, "") if settings.proxy_groups_header else ""
        return people.of_headers(headers.get(settings.proxy_user_header, ""), groups)
    if settings.oidc_issuer and st.user.is_logged_in:
        return people.of_claims(st.user.to_dict(), settings)
    return None


def current_principal() -> Principal:
    """As whom this visitor acts. Raises SignInNeeded, also when their session has ended meanwhile.

    Who comes by a link sees what that is for and nothing else, whoever they are here. Raises NotFound.
    """
    app, token = application(), st.query_params.get(LINK, "")
    if not token:
        return app.people.principal(identity())
    try:
        visitor = app.people.principal(identity())
    except SignInNeeded:
        visitor = None
    return app.links.open(token, visitor, st.context.ip_address or "")


def sound_ticket(recording_id: str) -> str:
    """Leave for the player to hear a recording, for as long as this visitor is signed in and may see it."""
    return application().keys.sound_ticket(current_principal(), recording_id)


def may_change() -> bool:
    """Whether this visitor may change anything: their own, and what others let them change."""
    return not current_principal().read_only


def may_administer() -> bool:
    """Whether this visitor may change what concerns all: keys, providers, prices, the work of others."""
    return current_principal().may_administer


def changers_only() -> None:
    """Go no further for those who may only look."""
    if not may_change():
        _stop(ReadOnly())


def admins_only() -> None:
    """Go no further for others than admins."""
    if not may_administer():
        _stop(AdminsOnly())


def _stop(error: StenogramError) -> None:
    st.title(translate_error(error), anchor=False)
    st.stop()


def settle_language() -> None:
    """What the visitor chose, else what the link says, else their browser's own."""
    cookie_language = st.context.cookies.get(LANGUAGE_COOKIE, "")
    browser_language = catalogue.language(st.context.locale)
    linked = st.query_params.get(LANGUAGE, cookie_language)
    st.session_state.setdefault(LANGUAGE, catalogue.language(linked, browser_language))


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
    return _whole(catalogue.duration(seconds, language()))


def wait(seconds: float | None) -> str:
    """How long until something is ready; from a day on in days."""
    return _whole(catalogue.wait(seconds, language()))


def _whole(quantity: str) -> str:
    """A number that no line parts from its unit."""
    return quantity.replace(" ", "\u00a0")


def moment(unix: float | None) -> str:
    """When, on the visitor's clock."""
    return catalogue.moment(unix, language(), st.context.timezone)


def month(name: str) -> str:
    """A month by its number, as people call it."""
    return catalogue.month(name, language())


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


def money(amount: Decimal | float | None, currency: str = "USD") -> str:
    """Money in cents, with the digits of the language; less than a cent is said so."""
    if amount is None:
        return catalogue.NOTHING
    if is_under_a_cent(amount):
        return gettext("Less than a cent") if currency == "USD" else gettext("Less than a kopeck")
    return catalogue.money(float(amount), language(), SIGNS[currency], digits=2)


def price(amount: Decimal | float | None) -> str:
    """Money within a line."""
    text = money(amount)
    return text[:1].lower() + text[1:]


def size(size_bytes: float) -> str:
    """A size in decimal units."""
    return _whole(catalogue.size(size_bytes, language()))


def tags(preset: Sequence[str] = ()) -> tuple[str, ...]:
    """Ask for tags, known or new ones; `preset` may be no recording's."""
    all_tags = list(dict.fromkeys((*views.tags(application().database, current_principal()), *preset)))
    hint = gettext("Choose or type")
    selected = st.multiselect(
        gettext("Tags"), all_tags, preset, placeholder=hint, accept_new_options=True, max_selections=20
    )
    return tuple(selected)


def seconds(text: str | None) -> float | None:
    """A place in a recording from a link; None where it names none."""
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


def note_opened(recording_id: str) -> None:
    """Keep that this recording was opened from an answer of the search, once a visit."""
    question, place = st.query_params.get("asked", ""), st.query_params.get("place", "")
    opened = st.session_state.setdefault("opened", set())
    if question and place.isdecimal() and (question, recording_id, place) not in opened:
        opened.add((question, recording_id, place))
        play_s = seconds(st.query_params.get("t")) or 0.0
        application().search_log.opened(question[:1000], recording_id, play_s, min(int(place[:6]), 10_000))


def engine(key: str, spoken: str) -> tuple[str, str, bool]:
    """Ask for language and engine, and say which engine that means and why. False: it cannot work."""
    app = application()
    titles = {name: _engine_title(name) for name in ("", *app.engines)}
    left, right = st.columns(2)
    with left:
        language_ = _spoken_language(key, spoken)
    name = right.selectbox(gettext("Engine"), titles, format_func=titles.__getitem__, key=f"{key}-engine")
    try:
        choice = app.intake.choose_engine(TranscriptionOptions(language=language_, engine=name))
    except StenogramError as error:
        st.warning(translate_error(error), icon=":material/block:")
        return language_, name, False
    st.caption(translate_error({"message": choice.message, "facts": choice.facts}))
    return language_, name, True


def spoken_languages() -> dict[str, str]:
    """Every language that an engine here could transcribe now, by name; those of the house first."""
    ready = (engine for engine in application().engines.values() if engine.readiness().ready)
    codes = {code for engine in ready for code in engine.languages} - set(HOUSE)
    names = {code: catalogue.language_name(code, language()) for code in codes}
    others = sorted(names.items(), key=lambda item: item[1])
    return {code: catalogue.language_name(code, language()) for code in HOUSE} | dict(others)


def _spoken_language(key: str, spoken: str) -> str:
    """`auto`, or a language of `spoken_languages`; `spoken` is offered first."""
    names = {AUTO: gettext("Identified by listening"), **spoken_languages()}
    first = list(names).index(spoken) if spoken in names else 0
    return st.selectbox(
        gettext("Spoken language"), names, first, format_func=names.__getitem__, key=f"{key}-language"
    )


def _engine_title(name: str) -> str:
    if not name:
        return gettext("Automatic")
    engine = application().engines[name]
    template = "{title}" if engine.readiness().ready else N_("{title} (not ready)")
    return gettext(template, title=engine.title)


def engine_name(name: str) -> str:
    """An engine as people call it, for tables and fields; a name that is known no more stays."""
    engine = application().engines.get(name)
    return str(catalogue.translate_fact(engine.title, language())) if engine else name


def icon_button(label: str, icon: str, key: str, **options: Any) -> bool:
    """A button that shows its icon alone; its label is there for those who do not see, and on pointing."""
    return bool(
        st.button(label, icon=f":material/{icon}:", key=f"icon-{key}", help=label, type="tertiary", **options)
    )


def icon_popover(label: str, icon: str, key: str) -> Any:
    """The same for what opens."""
    return st.popover(label, icon=f":material/{icon}:", key=f"icon-{key}", help=label, type="tertiary")


SIGNED = re.compile(r"[+−-][\d\s.,]+%?")
"""A number, which a spreadsheet may well compute."""


ROW_PX = 35
"""A row of a grid, its header too."""
ROWS = 12
"""So many rows of a longer one are shown at once."""
LETTER_PX, PADDING_PX, WIDEST_PX = 7.2, 18, 1000
"""What a letter takes at most on average, a cell beside its text, and the widest column that a grid has."""


def table(rows: Sequence[Any] | pd.DataFrame, **options: Any) -> Any:
    """A grid to look at, or to choose rows of. Its toolbar saves it as CSV, in which nothing is to be computed."""
    frame = pd.DataFrame(rows).map(without_formulas_in_cell)
    options = {"placeholder": ""} | options  # instead of "None"
    return st.dataframe(frame, hide_index=True, **grid(frame, options))


def grid(frame: pd.DataFrame, options: dict[str, Any]) -> dict[str, Any]:
    """`options` of a grid, with whole rows, and columns in which the longest text is whole.

    Streamlit would look at the first rows only, and clip what is longer in the others.
    """
    config: dict[str, Any] = dict(options.get("column_config", {}))
    widths = {str(name): _text_px(frame[name]) for name in frame if config.get(str(name), "") is not None}
    for name, text_px in widths.items():
        known: Any = config.get(name, {})
        column: dict[str, Any] = {"label": known} if isinstance(known, str) else dict(known)
        is_link = (column.get("type_config") or {}).get("type") == "link"  # another text than its address
        if text_px and not is_link:
            label_px = len(str(column.get("label") or name)) * LETTER_PX
            config[name] = column | {"width": min(round(max(text_px, label_px)) + PADDING_PX, WIDEST_PX)}
    height = ROW_PX * (1 + min(len(frame), ROWS)) + 2  # with its header and border
    return {"height": height} | options | {"column_config": config}


def aligned(figures: Sequence[str]) -> list[str]:
    """Figures of one column, filled up with blanks as wide as digits, so that their points stand in line."""
    point = re.escape(get_decimal_symbol(language()))
    parts = [re.fullmatch(rf"(.*?\d)({point}\d+)?(\D*)", figure) for figure in figures]
    most = max((len(part[2] or "") for part in parts if part), default=0)
    return [
        figure if part is None else f"{part[1]}{_filled(part[2] or '', most)}{part[3]}"
        for figure, part in zip(figures, parts, strict=True)
    ]


def _filled(decimals: str, most: int) -> str:
    blank_point = "\u2008" if most and not decimals else ""
    return decimals + blank_point + "\u2007" * (most - len(decimals or blank_point))


def _text_px(cells: pd.Series[Any]) -> float:
    """How wide the longest text is; 0 where there is none."""
    return max((len(cell) for cell in cells if isinstance(cell, str)), default=0) * LETTER_PX


def without_formulas_in_cell(value: object) -> object:
    """What a spreadsheet would compute, so that it does not."""
    if isinstance(value, str) and not SIGNED.fullmatch(value):
        return spreadsheets.without_formulas(value, spreadsheets.JOINER)
    return value


def language_names(languages: Sequence[str] | None) -> str:
    """Languages by their names."""
    if languages is None:
        return gettext("any language")
    if list(languages) == [AUTO]:
        return gettext("Identified by listening")
    return catalogue.language_names(languages, language())


def nothing_yet() -> None:
    """Say that there are no recordings, and lead to where they come from."""
    st.write(gettext("There are no recordings yet."))
    if may_change():
        st.page_link("upload.py", label=gettext("Upload the first recording"), icon=":material/upload:")


def facts(*parts: str) -> str:
    """A quiet line of facts."""
    return "\u00a0· ".join(part for part in parts if part)  # no line begins with the dot


def live(show: Callable[[], bool], *, moving: bool) -> None:
    """Draw with `show`, again and again while it says that something moves; then the whole page once."""

    @st.fragment(run_every=LIVE_S if moving else None)
    def draw() -> None:
        if not show() and moving:
            st.rerun()

    draw()


def live_rows(
    *,
    title: str = "",
    tag: str = "",
    status: str = "",
    sort: str = NEWEST,
    limit: int,
    offset: int = 0,
    part: str = "",
) -> int:
    """Recordings that fit, kept up to date while work on them goes on. How many fit in all.

    `part` names this list where a page has two.
    """
    fitting = functools.partial(
        views.cards, application().database, current_principal(), words=title, tag=tag, status=status
    )
    find = functools.partial(fitting, sort=sort, limit=limit, offset=offset)
    total, cards = find()
    live(lambda: rows(find()[1], part), moving=any(card.active for card in cards))
    return total


def rows(cards: Sequence[Card], part: str = "") -> bool:
    """Recordings, one under the other; each opens on a click. Whether work on any goes on."""
    for card in cards:
        row(card, part)
    return any(card.active for card in cards)


def row(card: Card, part: str = "") -> None:
    """One recording: title, what is known of it, and where its work stands unless it is done."""
    recording = card.recording
    with tight(key=f"row-{part}{recording.id}"):
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
        st.caption(facts(about(card), _identified_language(card)))
        if card.active and card.task:
            st.progress(card.task.progress, gettext(monitor.KINDS.get(card.task.stage, "Waiting")))


def _identified_language(card: Card) -> str:
    """The language of a recording with how sure that is, as soon as it was identified; "" before."""
    recording = card.recording
    if recording.language in {AUTO, UNDETERMINED}:
        return ""
    name, sure = catalogue.language_name(recording.language, language()), recording.language_probability
    return name if sure is None else f"{name}, {catalogue.percent(sure, language())}"


def about(card: Card) -> str:
    """What is known of a recording, on a quiet line."""
    recording = card.recording
    return facts(
        duration(recording.duration_s),
        dated(recording),
        gettext(SILENT if card.silent else MEANINGS[recording.embedding_status])
        if recording.transcript_id
        else "",
        plain(", ".join(recording.tags)),
    )


def wall_clock(at: float, kind: DateKind | None) -> datetime:
    """A time of a table without its zone: an instant on the visitor's clock, anything else as it was written."""
    zone = catalogue.zone_of(st.context.timezone if kind in {None, DateKind.INSTANT} else None)
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None)


def date_format() -> str:
    """How tables write days, as moment.js puts it."""
    return "DD.MM.YYYY" if language() == "ru" else "D MMM YYYY"


def day_field() -> str:
    """How fields write days."""
    return "DD.MM.YYYY" if language() == "ru" else "DD/MM/YYYY"


def dated(recording: Recording) -> str:
    """When it was recorded, a time without a zone as it was written; else when it was published, or brought."""
    when = recorded(recording)
    if when is None and recording.published_at:
        return gettext("published {time}", time=moment(recording.published_at))
    if when is None:
        return moment(recording.created_at)
    if when.kind == DateKind.DAY:
        time = catalogue.day(utc(when.at).date(), language())
    elif when.kind == DateKind.LOCAL:
        time = catalogue.moment(when.at, language(), None)
    else:
        time = moment(when.at)
    return gettext("recorded {time}", time=time)


def readiness(ready: Readiness) -> dict[str, Any]:
    """What a badge says of an engine."""
    if ready.ready:
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
        gettext("may look") if key.read_only else "",
        gettext("until {time}", time=moment(key.expires_at)) if key.expires_at else "",
        gettext("made {time}", time=moment(key.created_at)),
        used,
    )


def author(owner: str) -> str:
    """Who did something: somebody who signed in, a program by its key, or whoever was at the pages."""
    visitor = current_principal()
    if owner == PAGES:
        return gettext("the pages")
    names = {key.id: key.name for key in application().keys.all(visitor)}
    return (names | application().people.known(visitor)).get(owner) or gettext("a program")


def installation() -> dict[str, str]:
    """Places, limits and versions of this installation."""
    settings = application().settings
    facts = {
        gettext("Data folder"): str(settings.home),
        gettext("Server folders that may be read"): ", ".join(map(str, settings.folders)) or gettext("none"),
        gettext("Largest upload"): size(settings.upload_max_bytes),
    }
    versions = {name: version(name) for name in ("streamlit", "dramatiq", "torch", "lancedb", "google-genai")}
    return {**facts, **versions}


def coverage(totals: Totals) -> str:
    """How much of everything a search can find."""
    facts = {"words": duration(totals.words_s), "total": duration(totals.total_s)}
    if not totals.meaning_s:
        return gettext("{words} of {total} can be searched, by words only.", **facts)
    facts |= {
        "meaning": duration(totals.meaning_s),
        "embedder": translate_fact(application().active_embedder.searched().title),
    }
    return gettext("{words} of {total} can be searched, {meaning} of it by meaning: {embedder}.", **facts)


def speaker(channel: str) -> str:
    """Who speaks on a channel of a call."""
    return plain(export.channel_name(channel, language()))
