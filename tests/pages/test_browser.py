"""A person with a browser: log in, start a session in the admin, watch it trade, stop it."""

import os
import shutil

import pytest

from tests.stack import PASSWORD, Stack

pytestmark = [pytest.mark.browser, pytest.mark.cluster]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000


@pytest.fixture
def stack(tmp_path):
    stack = Stack(tmp_path / "stack")
    try:
        stack.prepare()
        stack.start_sandbox()
        stack.add_account()
        stack.start_workers()
        stack.start_web()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def page(tmp_path):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=CHROMIUM, headless=True, args=FLAGS
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.complaints = []
        page.on(
            "console", lambda m: page.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page
        browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_session_started_in_the_admin_trades_and_stops(page, stack):
    log_in(page, stack)
    page.goto(f"{stack.url}/admin/trading/livesession/add/")
    page.fill("#id_name", "from the admin")
    page.fill("#id_pair", "SIM/USD")
    choose(page, "account", "sandbox")
    choose(page, "baseline", "random")
    page.click("[name=_save]")
    page.wait_for_url("**/admin/trading/livesession/")
    page.goto(f"{stack.url}/sessions/1/")
    page.wait_for_selector("#orders >> text=filled")
    assert page.locator("canvas").count() >= 2
    page.screenshot(path=os.environ.get("BROWSER_SCREENSHOT", str(stack.var / "session.png")), full_page=True)
    page.click("summary:has-text('Stop')")
    page.click("text=Stop the session")
    page.wait_for_selector(".badge:has-text('stopped')")
    assert page.complaints == []


def log_in(page, stack):
    page.goto(f"{stack.url}/login/")
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{stack.url}/")


def choose(page, field, label):
    options = page.locator(f"#id_{field} option").all_text_contents()
    page.select_option(f"#id_{field}", label=next(text for text in options if label in text))
