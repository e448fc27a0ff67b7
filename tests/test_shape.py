"""The shape of the code, kept by tests: imports point towards core, doors are thin, docs are true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from core.settings import ROOT, Settings

FOLDERS = ("core", "pages", "jobs", "api")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PAGES = [path for path in sorted((ROOT / "pages").glob("*.py")) if not path.name.startswith("_")]
README = (ROOT / "README.md").read_text()

NEVER = {
    "core": {"streamlit", "dramatiq", "fastapi", "starlette", "app", "pages", "jobs", "api", "redis"},
    "jobs": {"streamlit", "fastapi", "app", "pages", "api", "lancedb", "torch", "av"},
    "pages": {"dramatiq", "fastapi", "httpx", "lancedb", "sqlalchemy", "redis", "torch", "av", "app", "api"},
    "api": {"streamlit", "lancedb", "torch", "av", "app", "pages"},
}
"""What each folder must not know."""

DECODERS = ("sandbox", "container", "reading", "measuring", "decoding", "remuxing", "clipping")
"""Modules of core.media that only the child process runs."""
HOMES = {
    "av": {f"core/media/{module}.py" for module in (*DECODERS, "encode")},
    "faster_whisper": {"core/speech/engines/whisper_decoder.py"},
    "ctranslate2": {"core/speech/engines/whisper.py", "core/speech/engines/whisper_decoder.py"},
    "lancedb": {"core/search/index.py", "core/search/lance.py"},
    "sentence_transformers": {"core/embedding/embedders/local.py"},
    "google": {"core/embedding/embedders/gemini.py"},
    "docx": {"core/transcripts/export/document.py", "core/planning/sheet.py"},
    "yt_dlp": {"core/sources/sites.py"},
    "feedparser": {"core/sources/feeds.py"},
    "standardwebhooks": {"core/clients/webhooks.py"},
}
"""Each foreign package has one home."""

BROAD = {"Exception", "BaseException", "AssertionError", "NameError"}
"""Who catches one of these catches mistakes of ours."""

MAY_SWALLOW = {"core/speech/gigaam/batcher.py"}
"""Its thread hands every error over to whoever asked; without it they would wait for ever."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_towards_core(path):
    folder = path.relative_to(ROOT).parts[0]

    assert not imported(path) & NEVER[folder]


@pytest.mark.parametrize("package", HOMES)
def test_a_foreign_package_has_one_home(package):
    users = {name(path) for path in FILES if package in imported(path)}

    assert users <= HOMES[package]
    assert users, "the home has moved: tell this test"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_asks_calls_and_shows(path):
    assert len(path.read_text().splitlines()) <= 60
    assert not functions(path)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_function_is_longer_than_a_screen(path):
    assert not [f.name for f in functions(path) if (f.end_lineno or 0) - f.lineno >= 50]


def test_no_page_hides_a_package():
    """While a page runs, its folder comes first on the path: pages/jobs.py would hide the package jobs."""
    assert not {path.stem for path in PAGES} & {*FOLDERS, "tests", "tools", "benchmarks"}


def test_the_map_names_every_package_and_module_of_core():
    listed = set(re.findall(r"\w+", (ROOT / "core" / "__init__.py").read_text()))

    packages = {path.parent.name for path in (ROOT / "core").glob("*/__init__.py")}
    assert {path.stem for path in (ROOT / "core").glob("*.py")} | packages <= listed | {"__init__"}


def swallowed(source: str) -> list[str]:
    """Handlers that mistakes disappear in: broad, by whatever name, and not ending with a raise."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    findings = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
            kinds = [node.type or ast.Name("Exception")]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "suppress":
            kinds = node.args
        else:
            continue
        broad = sorted({kind for each in kinds for kind in flat(each, constants) if is_broad(kind)})
        findings += [f"line {node.lineno}: {', '.join(broad)}"] if broad else []
    return findings


def flat(kind: ast.expr, constants: dict[str, ast.expr]) -> list[str]:
    """The names in what a handler catches; tuples of the same file are looked into."""
    if isinstance(kind, ast.Starred):
        return flat(kind.value, constants)
    if isinstance(kind, ast.Tuple):
        return [each for inner in kind.elts for each in flat(inner, constants)]
    if isinstance(kind, ast.Name) and kind.id in constants:
        return flat(constants[kind.id], constants)
    return [ast.unparse(kind).split(".")[-1]]


def is_broad(kind: str) -> bool:
    """What catches mistakes in programming, or does not say what it catches."""
    return kind in BROAD or not re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", kind)


@pytest.mark.parametrize("path", [path for path in FILES if name(path).startswith("core/")], ids=name)
def test_core_swallows_nothing(path):
    """A broad handler hides mistakes; one that raises again does not."""
    assert bool(swallowed(path.read_text())) == (name(path) in MAY_SWALLOW), swallowed(path.read_text())


@pytest.mark.parametrize(
    "handler",
    [
        "except:",
        "except Exception:",
        "except (ValueError, Exception):",
        "except builtins.BaseException:",
        "except FAULTS:",
        "except (OSError, *FAULTS):",
        "except elsewhere.FAULTS:",
        "except faults():",
    ],
)
def test_a_broad_handler_is_seen_by_whatever_name(handler):
    def source(body: str) -> str:
        return f"FAULTS = (OSError, AssertionError)\ntry:\n    work()\n{handler}\n    {body}\n"

    assert swallowed(source("pass"))
    assert swallowed(source("if bad: raise"))
    assert not swallowed(source("raise Unavailable"))
    assert swallowed("with contextlib.suppress(OSError, Exception): work()")
    assert not swallowed("with suppress(OSError, av.FFmpegError): work()")


def test_every_setting_is_in_the_readme():
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]{2,})`", README))
    field_names = {field.upper() for field in Settings.model_fields}

    assert field_names <= documented, "settings the README does not tell of"
    assert {word for word in documented if "_" in word} <= field_names | {"PIP_FIND_LINKS"}, (
        "settings that do not exist"
    )


def test_every_make_target_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", README, re.MULTILINE)) <= targets


def test_only_the_child_opens_what_strangers_send():
    decoders = {f"core.media.{module}" for module in DECODERS}
    for path in FILES:
        if path.stem in DECODERS and path.parent.name == "media":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                named = {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
                assert not named & decoders, name(path)
