"""Signing in through a real OpenID provider, in a real browser, and out again in every tab."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.openid_provider import CLIENT, GROUP, PASSWORD, Provider
from tests.test_browser import browser  # noqa: F401 - a fixture
from tests.tool import Pages

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def tool(tmp_path_factory) -> Iterator[Pages]:
    """The pages, at which Anna is an admin, all others of her company members, and a group may look."""
    pages = Pages(tmp_path_factory.mktemp("sign-in") / "home")
    with Provider(f"{pages.url}/oauth2callback") as provider:
        pages.environment = {
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": CLIENT["client_id"],
            "OIDC_CLIENT_SECRET": CLIENT["client_secret"],
            "OIDC_SCOPES": "openid email profile groups",
            "OIDC_ADMINS": "anna@example.com",
            "OIDC_MEMBERS": "boris@example.com",
            "OIDC_READERS": GROUP,
        }
        with pages:
            yield pages


@pytest.fixture
def context(tool: Pages, browser: Browser) -> Iterator[BrowserContext]:  # noqa: F811
    with browser.new_context(base_url=tool.url, locale="en-GB") as context:
        yield context


def sign_in(page: Page, name: str) -> None:
    """As a person does it: our button, the provider's two forms, and back."""
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Login").fill(name)
    page.keyboard.press("Enter")
    page.locator("input[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_somebody_signs_in_and_out_in_every_tab(tool, context):
    page = context.new_page()
    page.goto("/library?sort=title")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert "Library" not in page.inner_text("body")

    sign_in(page, "anna")
    page.wait_for_url("**/library?sort=title")
    expect(page.get_by_text("anna@")).to_be_visible()
    other = context.new_page()
    other.goto("/settings")
    expect(other.get_by_role("heading", name="API keys")).to_be_visible()
    kept = {cookie["name"]: cookie["value"] for cookie in context.cookies()}

    page.get_by_role("button", name="Sign out").click()

    expect(other.get_by_role("button", name="Sign in")).to_be_visible()
    expect(other.get_by_role("heading", name="API keys")).not_to_be_visible()
    stolen = httpx.get(f"{tool.url}/media/nothing", cookies=kept)
    assert stolen.status_code == 403


@pytest.mark.parametrize(
    ("name", "sees", "misses"),
    [
        ("boris", "Upload", "Settings"),
        ("clara", "Library", "Words and names"),
        ("stranger", "Ask an admin", "Library"),
    ],
)
def test_everybody_finds_what_their_role_allows(context, name, sees, misses):
    page = context.new_page()
    page.goto("/")

    sign_in(page, name)

    expect(page.get_by_text(sees).first).to_be_visible()
    assert misses not in page.inner_text("body")
