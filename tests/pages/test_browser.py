"""A person with a browser: log in, start a session in the admin, watch it trade, stop it."""

import os
import shutil
import time

import pytest
import yaml

from tests.stack import PASSWORD, Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NONE = "no Chromium on this machine: apt-get install chromium"
pytestmark = [pytest.mark.browser, pytest.mark.cluster, pytest.mark.skipif(CHROMIUM is None, reason=NONE)]
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


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    stack = Stack(tmp_path_factory.mktemp("browser") / "stack")
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


def test_a_session_started_in_the_admin_trades_and_stops(page, stack):
    log_in(page, stack)
    page.goto(f"{stack.url}/admin/trading/livesession/add/")
    page.fill("#id_name", "from the admin")
    page.fill("#id_pair", "SIM/USD")
    page.fill("#id_capital", "10000")
    choose(page, "account", "sandbox")
    choose(page, "baseline", "random")
    page.click("[name=_save]")
    page.wait_for_url("**/admin/trading/livesession/")
    page.click("th >> text=from the admin")
    page.goto(f"{stack.url}/sessions/{page.url.rstrip('/').split('/')[-2]}/")
    page.wait_for_selector("#orders >> text=filled")
    assert page.locator("canvas").count() >= 2
    page.screenshot(path=os.environ.get("BROWSER_SCREENSHOT", str(stack.var / "session.png")), full_page=True)
    page.click("summary:has-text('Stop')")
    page.click("text=Stop the session")
    page.wait_for_selector(".badge:has-text('stopped')")
    assert page.complaints == []


@pytest.mark.parametrize(("act", "is_sold"), [("flatten", True), ("stop", False)])
def test_an_admin_action_asks_and_then_acts(page, stack, act, is_sold):
    session = trading(stack, f"to {act}")
    log_in(page, stack)
    page.goto(f"{stack.url}/admin/trading/livesession/")
    row = page.locator("tr", has_text=f"to {act}")
    row.locator("input[name=_selected_action]").check()
    page.select_option("select[name=action]", act)
    page.click("button[name=index]")
    page.wait_for_selector(f"li:has-text('to {act}')")  # it names what it is about to do, and to what
    assert status(stack, session) == "running"
    page.click("button[name=confirmed]")
    page.wait_for_url("**/admin/trading/livesession/")
    page.goto(f"{stack.url}/sessions/{session}/")
    page.wait_for_selector(".badge:has-text('stopped')")
    assert (stack.manage("export_session", str(session))["held"] == "0") is is_sold
    assert page.complaints == []


def test_stop_all_on_home_stops_and_sells(page, stack):
    session = trading(stack, "to stop all")
    log_in(page, stack)
    page.click("summary:has-text('Stop all')")
    page.check("[name=flatten]")
    page.click("text=Stop all sessions")
    page.wait_for_selector("text=1 session asked to stop")
    page.goto(f"{stack.url}/sessions/{session}/")
    page.wait_for_selector(".badge:has-text('stopped')")
    assert stack.manage("export_session", str(session))["held"] == "0"
    assert page.complaints == []


def test_a_run_is_cancelled_resumed_from_its_checkpoint_and_its_model_promoted(page, stack):
    asked = ["train", "--preset", "demo", "--series", str(stack.series_id), "--user", "ada"]
    run = stack.manage(*asked, "--steps", "3000000", "--name", "long")["id"]
    log_in(page, stack)
    page.goto(f"{stack.url}/training/{run}/")
    page.wait_for_selector("#live .badge:has-text('running'), .badge:has-text('running')")
    page.wait_for_selector("text=/[1-9][0-9,]* of 3,000,000 steps/")
    page.click("summary:has-text('Cancel')")
    page.click("text=Cancel the run")
    page.wait_for_selector(".badge:has-text('cancelled')")
    page.reload()
    page.click("text=Resume from checkpoint")
    page.wait_for_selector(".badge:has-text('running')")
    page.click("summary:has-text('Cancel')")
    page.click("text=Cancel the run")
    page.wait_for_selector(".badge:has-text('cancelled')")
    model = stack.manage(*asked, "--steps", "20000", "--name", "short", "--wait")["model"]
    page.goto(f"{stack.url}/models/{model}/")
    page.click("summary:has-text('Promote')")
    page.click("text=Promote for live trading")
    page.wait_for_selector(".badge:has-text('promoted')")
    assert page.complaints == []


def trading(stack, name):
    """Start a session that buys and holds, and wait until it has bought; return its id."""
    given = ["--baseline", "buy_and_hold", "--account", "sandbox", "--pair", "SIM/USD", "--name", name]
    session = stack.manage("start_session", *given, "--capital", "1000")["id"]
    until = time.monotonic() + PATIENCE_MS / 1000
    while not stack.manage("export_session", str(session))["fills"]:
        assert time.monotonic() < until, "it has bought nothing"
    return session


def status(stack, session):
    return stack.manage("export_session", str(session))["status"]


def log_in(page, stack):
    page.goto(f"{stack.url}/login/")
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{stack.url}/")


def choose(page, field, label):
    options = page.locator(f"#id_{field} option").all_text_contents()
    page.select_option(f"#id_{field}", label=next(text for text in options if label in text))


def test_a_run_is_set_up_field_by_field_previewed_and_started(page, stack):
    log_in(page, stack)
    page.goto(f"{stack.url}/training/start/")
    page.select_option("[name='network.extractor']", "transformer")
    page.wait_for_selector("[name='network.heads']")
    page.fill("[name='ppo.lr']", "7")
    page.click("button[name=preview]")
    page.wait_for_selector(".field.wrong:has([name='ppo.lr']) .error")
    page.fill("[name='ppo.lr']", "0.002")
    page.fill("[name=window]", "4")
    page.click("button[name=preview]")
    page.wait_for_selector("#preview >> text=extractor: transformer")
    page.select_option("[name=algorithm]", "fast_ppo")
    page.wait_for_selector("[name=basis][value$='/fast_ppo']", state="attached")
    page.wait_for_selector("summary:has-text('1 changed') >> text=PPO")
    page.select_option("[name='network.extractor']", "mlp")
    page.wait_for_selector("[name='network.heads']", state="detached")
    page.fill("[name=name]", "by fields")
    page.click("text=Start training >> nth=-1")
    page.wait_for_url("**/training/*/")
    run = int(page.url.rstrip("/").split("/")[-1])
    spec = yaml.safe_load(page.request.get(f"{stack.url}/training/{run}/spec/").text())
    assert (spec["algorithm"], spec["window"], spec["ppo"]["lr"]) == ("fast_ppo", 4, 0.002)
    page.click("summary:has-text('Cancel')")
    page.click("text=Cancel the run")
    page.wait_for_selector(".badge:has-text('cancelled')")
    assert page.complaints == []
