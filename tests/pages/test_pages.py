"""Every page: there for its owner, not there for anybody else."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from market.web.numbers import EMPTY, MINUS
from tests import factories
from trading.models import DailySummary, Reconciliation

LISTS = ["home", "sessions", "session-start", "trades", "alerts", "models", "runs", "run-start", "backtests",
         "run-from-file", "compare", "card-reproduce", "experiments", "experiment-start",
         "backtest-start", "councils", "council-create", "review-start", "markets", "settings", "risk",
         "audit", "risk-overview", "plans", "plans", "channels", "deliveries",
         "rule"]  # fmt: skip
DETAILS = {
    "session": "session", "session-chart": "session", "session-decisions": "session", "decision": "decision",
    "run": "run", "run-curves": "run", "run-spec": "run", "model": "model",
    "run-insight": "run", "run-log": "run", "experiment": "experiment",
    "model-open-test": "model", "backtest": "backtest", "backtest-curve": "backtest",
    "council": "council", "council-review": "council-review", "council-review-curve": "council-review",
    "series": "series", "import": "import", "account": "account", "risk-edit": "risk",
    "channel": "channel", "rule-edit": "rule", "plan": "plan", "plan-chart": "plan",
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_what_is_there(as_ada, world, name):
    assert as_ada.get(reverse(name)).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_a_list_says_what_to_do_when_it_is_empty(as_ada, name):
    answer = as_ada.get(reverse(name))
    assert answer.status_code == 200
    assert b"Traceback" not in answer.content


@pytest.mark.parametrize("name", DETAILS)
def test_a_page_is_there_for_its_owner(as_ada, world, name):
    assert as_ada.get(reverse(name, args=[world[DETAILS[name]].pk])).status_code == 200


@pytest.mark.parametrize("name", [*DETAILS, "session-stream", "run-stream"])
def test_a_page_does_not_exist_for_other_people(client, stranger, world, name):
    client.force_login(stranger)
    held = world[DETAILS.get(name, name.partition("-")[0])]
    assert client.get(reverse(name, args=[held.pk])).status_code == 404


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_nothing_of_other_people(client, stranger, world, name):
    client.force_login(stranger)
    text = client.get(reverse(name)).content.decode()
    for held in ("session", "run", "model", "account", "risk", "channel"):
        assert world[held].name not in text


@pytest.mark.parametrize("name", [*LISTS, *DETAILS])
def test_strangers_are_sent_to_the_login(client, world, name):
    held = [world[DETAILS[name]].pk] if name in DETAILS else []
    answer = client.get(reverse(name, args=held))
    assert answer.status_code == 302
    assert answer.url.startswith("/login/")


def test_a_person_can_sign_in_and_out(client, user):
    credentials = {"username": "ada", "password": "correct horse battery"}
    assert client.post("/login/", credentials).url == "/"
    assert client.get("/").status_code == 200
    assert client.post("/logout/").url == "/login/"
    assert client.get("/").status_code == 302


def test_a_wrong_password_is_told_in_words(client, user):
    answer = client.post("/login/", {"username": "ada", "password": "wrong"})
    assert "Please enter a correct username and password" in answer.content.decode()


def test_the_session_page_shows_the_equity_the_api_gives(as_ada, world):
    page = as_ada.get(reverse("session", args=[world["session"].pk])).content.decode()
    equity = as_ada.get(reverse("api:sessions-detail", args=[world["session"].pk])).json()["equity"]
    assert equity == "49400.5"
    assert f'data-equity="{equity}"' in page


def test_a_refresh_carries_only_the_parts_that_change(as_ada, world):
    part = as_ada.get(reverse("session", args=[world["session"].pk]), headers={"HX-Request": "true"})
    assert b"<html" not in part.content
    assert part.content.count(b'hx-swap-oob="true"') == 3


def test_the_chart_marks_every_fill(as_ada, world):
    data = as_ada.get(reverse("session-chart", args=[world["session"].pk])).json()
    assert len(data["t"]) == len(data["price"]) == len(data["equity"]) == len(data["drawdown"])
    assert [mark["side"] for mark in data["marks"]] == ["BUY"]


def test_a_long_curve_is_thinned_without_hiding_the_worst_drawdown(as_ada, world):
    session = world["session"]
    point = factories.EquityFactory.build
    depths = [0.5 if n == 777 else 0.01 for n in range(3000)]
    rows = [
        point(session=session, at_ms=factories.START_MS + 1000 * n + 1, drawdown=d)
        for n, d in enumerate(depths)
    ]
    type(rows[0]).objects.bulk_create(rows)
    data = as_ada.get(reverse("session-chart", args=[session.pk])).json()
    assert len(data["t"]) <= 700
    assert max(data["drawdown"]) == 0.5


def test_a_silent_runner_is_told_on_home_and_on_the_session_page(as_ada, world):
    session = world["session"]
    type(session).objects.filter(pk=session.pk).update(turn_at=session.turn_at - timedelta(minutes=10))
    for address in (reverse("home"), reverse("session", args=[session.pk])):
        assert "shown is old" in as_ada.get(address).content.decode()


def test_a_working_runner_raises_no_such_banner(as_ada, world):
    for address in (reverse("home"), reverse("session", args=[world["session"].pk])):
        assert "shown is old" not in as_ada.get(address).content.decode()


def test_curves_hold_one_series_per_reported_value(as_ada, world):
    for step in (1, 2):
        world["run"].metrics.create(step=step, values={"reward": step / 2, "kl": 0.1})
    curves = as_ada.get(reverse("run-curves", args=[world["run"].pk])).json()["curves"]
    assert {curve["name"]: curve["values"] for curve in curves} == {"reward": [0.5, 1.0], "kl": [0.1, 0.1]}


@pytest.mark.parametrize("text", ["x", "9999-12-31", "²²²²²²²²²²"])
def test_a_chart_asked_for_no_date_says_so(as_ada, world, text):
    answer = as_ada.get(reverse("series-candles", args=[world["series"].pk]), {"from": text})
    assert answer.status_code == 400
    assert "date" in answer.json()["detail"]


def test_a_days_return_is_that_of_its_profit(as_ada, world):
    session, day_ms = world["session"], 86_400_000
    figures = {"return": -0.0009, "total_return": 0.0015, "buy_and_hold_return": 0.0012, "sharpe": None}
    figures |= {"max_drawdown": -0.004}
    DailySummary.objects.create(
        session=session, from_ms=0, to_ms=day_ms, pnl=Decimal("-0.86"), fees=2, trades=2, metrics=figures
    )
    days = as_ada.get(reverse("session", args=[session.pk])).content.decode().partition("<h2>Days")[2]
    assert MINUS + "0.09 %" in days
    assert "0.15 %" not in days


@pytest.mark.parametrize(("steps", "is_shown"), [(60, False), (80, True)], ids=["five-hours", "seven-hours"])
def test_a_sharpe_ratio_of_a_few_hours_is_not_told(as_ada, world, steps, is_shown):
    session = world["session"]
    session.equity_points.all().delete()
    begin_ms = session.price_ms - steps * 300_000
    for step in range(steps + 1):
        at_ms, equity = begin_ms + step * 300_000, Decimal(50000 + step % 2)
        factories.EquityFactory(session=session, at_ms=at_ms, equity=equity)
    figures = as_ada.get(reverse("home")).content.decode().partition("Sharpe, last day")[2][:80]
    assert (f"<dd>{EMPTY}</dd>" not in figures) is is_shown


def test_exit_levels_are_prices_as_all_others_are(as_ada, world):
    session = world["session"]
    session.levels, session.stop_kind = {"stop-loss": "34801.9658", "time stop": "3 bars"}, 1
    session.save()
    page = as_ada.get(reverse("session", args=[session.pk])).content.decode()
    assert "<dd>34,801.97 USD</dd>" in page
    assert "<dd>3 bars</dd>" in page


def test_home_counts_all_alerts_and_shows_the_loudest_first(as_ada, ada):
    for _ in range(12):
        factories.AlertFactory(owner=ada, level="warning", text="The venue is silent.")
    factories.AlertFactory(
        owner=ada, level="critical", text="It is halted.", last_at=timezone.now() - timedelta(hours=1)
    )
    page = as_ada.get(reverse("home")).content.decode()
    assert "<dt>Open alerts</dt><dd>13</dd>" in page
    assert page.index("It is halted.") < page.index("The venue is silent.")


def test_home_and_session_page_say_what_nobody_guards_after_a_failure(as_ada, ada):
    levels = {"stop-loss": "58800"}
    session = factories.SessionFactory(
        owner=ada, status="failed", held=Decimal("0.4"), levels=levels, stop_kind=1
    )
    factories.SessionFactory(owner=ada, status="failed", held=0, name="flat and failed")
    home = as_ada.get(reverse("home")).content.decode()
    assert "has failed and still holds 0.4 of BTC/USD" in home
    assert "flat and failed" not in home
    page = as_ada.get(reverse("session", args=[session.pk])).content.decode()
    assert "nothing guards that" in page
    assert "acts first" not in page


def test_home_adds_up_every_session_and_lists_the_newest(as_ada, ada):
    made = [factories.SessionFactory(owner=ada, name=f"number {n:02}", pair=f"A{n}/USD") for n in range(35)]
    for session in made:
        factories.EquityFactory(session=session, equity=Decimal(1000))
    page = as_ada.get(reverse("home")).content.decode()
    assert "35,000.00" in page
    assert "<dt>Sessions</dt><dd>35</dd>" in page
    assert page.count('<td class="wrap"><a href="/sessions/') == 30
    assert page.count('class="banner warning"') <= 2


def test_an_accounts_differences_are_told_in_words(as_ada, world):
    row = {"coin": "SOL", "ours": "39.348000000000", "theirs": "34.000000000000", "done": "adjusted"}
    Reconciliation.objects.create(
        account=world["account"], equal=False, differences=[row, {"coin": "", "done": "x"}]
    )
    page = as_ada.get(reverse("account", args=[world["account"].pk])).content.decode()
    assert "SOL: ours 39.348, the venue&#x27;s 34. Adjusted" in page.replace("'", "&#x27;")


def test_a_page_of_a_replay_says_whose_clock_its_times_are(as_ada, world):
    session, words = world["session"], "on this server&#x27;s clock"
    page = reverse("session", args=[session.pk])
    replayed = as_ada.get(page).content.decode()
    assert "replay: times are the venue" in replayed
    assert words.replace("&#x27;", "'") in replayed
    type(session).objects.filter(pk=session.pk).update(started_ms=int(session.created_at.timestamp() * 1000))
    now = as_ada.get(page).content.decode()
    assert "replay: times" not in now
    assert words.replace("&#x27;", "'") not in now


def test_a_plan_of_fixed_weights_shows_its_curve_and_figures(as_ada, world):
    page = as_ada.get(reverse("plan", args=[world["plan"].pk])).content.decode()
    for part in (
        "<dt>Sharpe</dt>",
        "<dt>Deepest drawdown</dt>",
        'id="equity"',
        'id="drawdown"',
        "No trade yet",
    ):
        assert part in page
    assert 'id="weights"' not in page


def test_only_what_could_be_sold_is_told_to_be_unguarded(as_ada, world):
    session = world["session"]
    rows = type(session).objects.filter(pk=session.pk)
    for held, least, price, is_told in (
        ("0.4", 1, 61000, True), ("-0.4", 1, 61000, True), ("0.00001", 1, 61000, False),
        ("0.00001", 0, 61000, True), ("0.00001", 1, 0, True),
    ):  # fmt: skip
        rows.update(status="failed", held=held, least_order=least, price=price)
        for name, args in (("home", []), ("session", [session.pk])):
            assert (b"nothing guards" in as_ada.get(reverse(name, args=args)).content) is is_told, held


def test_the_risk_page_shows_a_repeated_cut_once(as_ada, world):
    for n in range(37):
        bar_ms = factories.START_MS + (100 + n) * 60_000
        why = f"order of {n} is cut to 100 USD"
        factories.DecisionFactory(session=world["session"], bar_ms=bar_ms, risk_reason=why)
    page = as_ada.get(reverse("risk-overview")).content.decode()
    assert page.count("is cut to 100 USD") == 1
    assert ", 37 times" in page


@pytest.mark.parametrize("path", sorted(Path("templates").rglob("*.html")), ids=str)
def test_buttons_of_a_table_stay_in_reach_where_it_is_wider_than_the_page(path):
    for attributes, cell in re.findall(r"<td([^>]*)>(.*?)</td>", path.read_text(), re.DOTALL):
        if "<button" in cell or 'class="button' in cell:
            assert 'class="act"' in attributes, cell
