"""A portfolio from candles to a backtest: series found and aligned, trained, sealed, tested."""

from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from rest_framework.test import APIClient

from agents import artefacts, services
from agents.evaluation.data import prepare
from agents.models import Backtest, TrainingRun
from agents.services.councils import Seat
from agents.spec import PRESETS, TrainingSpec, over_preset, read_text, written
from agents.spec.devices import misfit
from market.basket import aligned
from market.errors import BadInput
from market.models import Series
from tests.agents.markets import MINUTE, START, changed_after, stored, walk
from tests.agents.portfolios import PAIRS, SMALL, TINY, spec_of, stored_pairs, trained, without

pytestmark = pytest.mark.django_db


@pytest.fixture
def pairs(user):
    return stored_pairs(user)


@pytest.fixture
def model(user, pairs):
    return trained(user)


def start(user, **changes):
    return services.start_training(owner=user, name="both", spec={**TINY, **changes})


def test_a_started_run_names_its_series_and_the_stretch_they_share(user):
    first, second = stored_pairs(user, (walk(1200, seed=1), walk(1300, seed=2)))
    run = start(user)
    assert run.spec["basket"] == [first.pk, second.pk]
    assert (run.series, run.spec["pair"], run.spec["pairs"]) == (first, PAIRS[0], list(PAIRS))
    assert run.spec["to"] == first.last_ms + MINUTE
    assert TrainingSpec.parse(run.spec).completed().as_dict() == run.spec
    assert run.candles == "AAA/USD, BBB/USD 1m (test)"


def test_a_bar_that_one_pair_lacks_is_left_out_for_all_and_still_seen_by_the_other(user):
    one, two = walk(1200, seed=1), walk(1200, seed=2)
    gaps = np.arange(600, 620)
    members = stored_pairs(user, (one, without(two, gaps)))
    spec = spec_of(basket=[each.pk for each in members])
    gapless = stored(two, user, "CCC/USD")
    other = TrainingSpec.parse({**SMALL, "pairs": [], "basket": [members[0].pk, gapless.pk]})
    ready, whole = prepare(members[0], spec), prepare(members[0], other)
    times = set(ready.candles.open_ms.tolist())
    assert not times & set(one.open_ms[gaps].tolist())
    assert all((each.open_ms == ready.candles.open_ms).all() for each in ready.all_candles)
    columns = len(spec.feature_set())
    at = np.searchsorted(whole.candles.open_ms, ready.candles.open_ms)
    assert np.array_equal(ready.rows[:, :columns], whole.rows[at][:, :columns], equal_nan=True)


def test_too_little_in_common_is_refused_with_the_pair_that_lacks_most(user):
    stored_pairs(user, (walk(1200, seed=1), without(walk(1200, seed=2), np.arange(300, 700))))
    with pytest.raises(BadInput, match=r"only 800 bars .* BBB/USD has 800: import its missing") as refused:
        start(user)
    assert refused.value.field == "pairs"
    apart = [walk(100), walk(300)[200:]]
    with pytest.raises(BadInput, match="share no time"):
        aligned(apart, PAIRS)
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algorithm": "dqn"}, "dqn cannot weigh several pairs: choose one of ppo"),
        ({"action": {"kind": "levels"}}, "several pairs are given weights, not levels"),
        ({"pairs": ["AAA/USD"]}, "2 to 30 pairs"),
        ({"pairs": ["AAA/USD", "aaa/usd"]}, "each of them once"),
        ({"pairs": ["AAA/USD", "DOGE/USD"]}, "no candles of DOGE/USD"),
        ({"pairs": [], "basket": [1, 2**40]}, "there is no series"),
        ({"pair": "BBB/USD"}, "not the first of pairs"),
        ({"series": 1}, "not the first of basket"),
        ({"forecast": {"kind": "xgboost"}}, "read one pair"),
        ({"curriculum": {"stages": "volatility"}}, "read one pair"),
        ({"trading": {"size_fraction": 0.1}}, "size_fraction is a rule on size"),
        ({"trading": {"dca_lots": 3}}, "dca_lots is a rule on size"),
        ({"trading": {"trail_step": 0.1}}, "switch the trailing stop on too"),
        ({"limits": {"daily_loss": 2}}, "daily_loss"),
        ({"trading": {"pair_steps": {"X/USD": 1}}}, "none of the pairs"),
        ({"pairs": [], "action": {"kind": "weights"}, "pair": "AAA/USD"}, "name them as pairs"),
        ({"pairs": [], "trading": {"pair_steps": {"X/USD": 1}}, "pair": "AAA/USD"}, "for several pairs"),
    ],
)
def test_what_cannot_be_a_portfolio_is_refused_before_anything_is_stored(user, pairs, changes, said):
    with pytest.raises(BadInput, match=said):
        start(user, **changes)
    assert not TrainingRun.objects.exists()


def test_pairs_of_other_quote_currencies_or_intervals_do_not_share_an_account(user, pairs):
    euro = stored(walk(1200, seed=3), user, "CCC/EUR")
    with pytest.raises(BadInput, match="same quote currency"):
        start(user, pairs=[], basket=[pairs[0].pk, euro.pk])
    hours = Series.objects.create(owner=user, source="h", pair="HHH/USD", interval_ms=60 * MINUTE, rows=1)
    with pytest.raises(BadInput, match="has the interval"):
        start(user, pairs=[], basket=[pairs[0].pk, hours.pk])


def test_somebody_elses_candles_are_no_part_of_a_portfolio(user, other_user, pairs):
    theirs = stored(walk(1200, seed=3), other_user, "CCC/USD")
    with pytest.raises(BadInput, match="there is no series"):
        start(user, pairs=[], basket=[pairs[0].pk, theirs.pk])


def test_a_preset_gives_way_to_the_pairs_that_were_chosen():
    spec = TrainingSpec.parse(over_preset("demo", {"pairs": ["A/USD", "B/USD"], "interval": "1m"}))
    assert (spec.action.kind, spec.action.levels, spec.steps) == ("weights", (0.0, 1.0), 204_800)
    shipped = TrainingSpec.parse(over_preset("portfolio-1h", {}))
    assert shipped.env_settings().action.names == tuple(PRESETS["portfolio-1h"]["pairs"])
    other = TrainingSpec.parse(over_preset("portfolio-1h", {"basket": [4, 7]}))
    assert (other.pairs, other.basket, other.action.band) == ((), (4, 7), 0.1)


def test_a_portfolio_learns_on_the_cpu_and_says_why():
    assert misfit(spec_of(device="auto")) == "the market on a GPU holds one pair (pairs)"


def test_an_exported_spec_names_pairs_that_are_found_anywhere(user, pairs):
    run = start(user)
    text = written(TrainingSpec.parse(run.spec).as_dict())
    assert "basket" not in text
    again = services.start_training(owner=user, name="again", spec=read_text(text))
    assert {**again.spec, "version": 2} == run.spec


def test_the_sealed_part_of_no_pair_is_read(user):
    made = []
    for source in ("as it was", "poisoned"):
        candles = (walk(1200), walk(1200, seed=2))
        if source == "poisoned":
            candles = [changed_after(one, 999) for one in candles]
        stored_pairs(user, candles, source)
        spec = {**TINY, "test_share": 0.2, "source": source}
        run = services.start_training(owner=user, name=source, spec=spec)
        made.append(prepare(run.series, TrainingSpec.parse(run.spec)))
    assert made[0].test_ms == made[1].test_ms
    assert made[0].fingerprint == made[1].fingerprint
    assert np.array_equal(made[0].rows, made[1].rows, equal_nan=True)
    assert made[0].candles.open_ms[-1] < made[0].test_ms[0]


def test_a_model_trains_as_any_other_and_says_what_it_weighs(model):
    policy = artefacts.load_weights(model)
    assert policy.action_spec.pairs == model.pairs == PAIRS
    assert {"score", "benchmark_return", "fills"} <= set(model.metrics)
    seen = model.run.validations.last()
    assert set(seen.actions) == {*PAIRS, "CASH"}
    assert sum(seen.actions.values()) == pytest.approx(1)
    assert all(sum(state["probabilities"].values()) == pytest.approx(1) for state in seen.probes)


def test_a_backtest_trades_all_pairs_and_is_compared_with_equal_weights(user, model):
    row = services.backtest_now(owner=user, model=model, series=model.series)
    assert set(row.curve["weights"]) == set(PAIRS)
    held = np.array(list(row.curve["weights"].values()))
    assert held.min() >= 0
    assert held.sum(axis=0).max() <= 1 + 1e-6
    assert {trade["pair"] for trade in row.trades} <= set(PAIRS)
    assert row.metrics["fills"] == len(row.trades)
    said = " ".join(row.assumptions)
    assert "equal weights" in said
    assert "AAA/USD " in said
    again = services.backtest_now(owner=user, model=model, series=model.series)
    assert (again.metrics, again.data_fingerprint) == (row.metrics, row.data_fingerprint)


def test_a_backtest_on_any_of_its_pairs_is_one_on_all_and_others_are_refused(user, model, pairs):
    row = services.start_backtest(owner=user, model=model, series=pairs[1])
    assert row.series == pairs[0]
    other = stored(walk(1200, seed=9), user, "CCC/USD")
    with pytest.raises(BadInput, match="weighs AAA/USD, BBB/USD together"):
        services.start_backtest(owner=user, model=model, series=other)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"confidence": 0.6}, "confidence is about the probabilities of one pair's actions"),
        ({"risk_per_trade": 0.1, "stop_loss": 0.1}, "risk_per_trade is a rule on size"),
        ({"daily_loss": 1.1}, "daily_loss"),
        ({"fast": 3}, "no backtest setting 'fast'"),
    ],
)
def test_settings_of_one_position_are_refused(user, model, asked, said):
    with pytest.raises(BadInput, match=said):
        services.start_backtest(owner=user, model=model, series=model.series, settings=asked)
    assert not Backtest.objects.exists()


def test_dearer_trading_and_less_exposure_are_settings_of_its_backtest(user, model):
    plain = services.backtest_now(owner=user, model=model, series=model.series)
    dear = services.backtest_now(owner=user, model=model, series=model.series, settings={"fee_rate": 0.01})
    assert dear.metrics["final_equity"] < plain.metrics["final_equity"]
    half = services.backtest_now(owner=user, model=model, series=model.series, settings={"max_exposure": 0.5})
    assert max(half.curve["exposure"]) < 0.52


def test_limits_and_stops_are_settings_of_its_backtest_and_are_said(user, model):
    def tested(**chosen):
        return services.backtest_now(owner=user, model=model, series=model.series, settings=chosen)

    plain = tested()
    assert "breakers" not in " ".join(plain.assumptions).lower()
    assert "each pair's own" not in " ".join(plain.assumptions)
    halted = tested(daily_loss=0.002, max_drawdown=0.004)
    said = " ".join(halted.assumptions)
    assert "daily_loss 0.002" in said
    assert "act on the equity of the whole account" in said
    assert "Trading ended at" in said
    assert halted.curve["exposure"][-1] == 0
    assert halted.curve["benchmark"] == plain.curve["benchmark"], "nothing forces the benchmark out"
    stopped = tested(stop_loss=0.003, max_order_share=0.2)
    assert "stop-loss" in {trade["reason"] for trade in stopped.trades}
    said = " ".join(stopped.assumptions)
    assert "Exits are each pair's own" in said
    assert "order cut to its maximum share of equity" in said


def test_a_model_is_validated_and_tested_under_what_it_has_learned_with(user, pairs):
    model = trained(user, limits={"max_trades_per_day": 4}, trading={"slippage": 0.0, "stop_loss": 0.01})
    row = services.backtest_now(owner=user, model=model, series=model.series)
    assert row.settings["limits"]["max_trades_per_day"] == 4
    assert row.settings["trading"]["stop_loss"] == 0.01
    assert "max_trades_per_day 4" in " ".join(row.assumptions)
    assert row.metrics["fills"] <= 2 * 8, "four fills a pair and day, two days, and stops"
    free = services.backtest_now(
        owner=user, model=model, series=model.series, settings={"max_trades_per_day": 0}
    )
    assert free.metrics["fills"] > row.metrics["fills"]


def test_the_sealed_part_stays_sealed_whichever_pair_is_named(user, pairs):
    model = trained(user, test_share=0.2)
    with pytest.raises(BadInput, match="sealed test part"):
        services.start_backtest(owner=user, model=model, series=pairs[1], to_ms=START + 1200 * MINUTE)


def test_where_one_pair_is_traded_such_a_model_is_refused(user, model):
    for act in (
        lambda: services.create_council(owner=user, name="c", members=[Seat(model=model)]),
        lambda: artefacts.load_policy(model),
    ):
        with pytest.raises(BadInput, match="shares an account out between AAA/USD and BBB/USD"):
            act()


def test_a_reproduction_ends_with_the_same_weights(user, model):
    run = services.reproduce(owner=user, model=model)
    assert run.spec == model.spec
    card = services.card_of(model)
    elsewhere = services.reproduce(owner=user, card=card)
    assert elsewhere.spec == model.spec
    with pytest.raises(BadInput, match="one series cannot stand for"):
        services.reproduce(owner=user, card=card, series=model.series_id)


def test_an_experiment_varies_a_portfolio(user, pairs):
    made = services.start_experiment(owner=user, name="e", spec=TINY, seeds=[0, 1], windows=1)
    assert [run.spec["basket"] for run in made.runs.all()] == [[one.pk for one in pairs]] * 2
    assert made.candles == "AAA/USD, BBB/USD 1m (test)"
    windows = services.start_experiment(owner=user, name="w", spec=TINY, seeds=[0], windows=2).runs.all()
    assert len({run.spec["from"] for run in windows}) == 2


def test_a_series_that_is_gone_is_a_clear_sentence(user, pairs):
    spec = spec_of(basket=[pairs[0].pk, pairs[1].pk])
    pairs[1].delete()
    with pytest.raises(BadInput, match="any more"):
        prepare(pairs[0], spec)


def test_the_command_trains_and_tests_a_portfolio(user, model):
    out, chosen = StringIO(), ["features=price", "episode_bars=100"]
    call_command("train", pairs=",".join(PAIRS), interval="1m", name="cli", set=chosen, stdout=out)
    assert "AAA/USD, BBB/USD 1m" in out.getvalue()
    out = StringIO()
    call_command("backtest", model.name, stdout=out)
    assert "equal weights" in out.getvalue()
    with pytest.raises(CommandError, match="cannot weigh"):
        call_command("train", agent="dqn", pairs=",".join(PAIRS), interval="1m")


def test_rest_starts_a_portfolio_and_names_the_field_it_refuses(user, pairs, django_user_model):
    django_user_model.objects.filter(pk=user.pk).update(is_superuser=True)
    user.refresh_from_db()
    api = APIClient()
    api.force_authenticate(user)
    spec = {**TINY, "pairs": [], "basket": [one.pk for one in pairs]}
    answer = api.post("/api/v1/training-runs/", {"name": "rest", "spec": spec}, format="json")
    assert answer.status_code == 201
    assert answer.json()["spec"]["pairs"] == list(PAIRS)
    wrong = api.post("/api/v1/training-runs/", {"name": "r", "spec": {**TINY, "basket": [1]}}, format="json")
    assert wrong.status_code == 400


@pytest.fixture
def page(client, user, django_user_model):
    django_user_model.objects.filter(pk=user.pk).update(is_superuser=True, is_staff=True)
    client.force_login(user)
    return client


def form_of(pairs, **changes):
    return {"name": "form", "series": pairs[0].pk, "others": [pairs[1].pk], "preset": "demo", "steps": 8192,
            "seed": 1, "overrides": "features=price\nepisode_bars=100", **changes}  # fmt: skip


def test_the_form_starts_a_portfolio(page, pairs):
    answer = page.post(reverse("run-start"), form_of(pairs))
    assert answer.status_code == 302, answer.context["form"].errors
    run = TrainingRun.objects.get()
    assert run.spec["pairs"] == list(PAIRS)
    assert "AAA/USD, BBB/USD 1m" in page.get(reverse("run", args=[run.pk])).content.decode()
    again = page.post(reverse("run-start"), form_of(pairs, show="1")).context["form"]
    assert again["others"].value() == [str(pairs[1].pk)]
    answer = page.post(reverse("run-start"), form_of(pairs, others=[], preset="portfolio-1h"))
    assert "choose the further pairs" in str(answer.context["form"].errors["others"])


def test_the_admin_starts_a_portfolio(page, pairs):
    answer = page.post(reverse("admin:agents_trainingrun_add"), form_of(pairs))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert TrainingRun.objects.get().spec["pairs"] == list(PAIRS)


def test_its_pages_show_weights_and_offer_no_session(page, user, model):
    row = services.backtest_now(owner=user, model=model, series=model.series)
    shown = page.get(reverse("backtest", args=[row.pk])).content.decode()
    assert 'id="weights"' in shown
    assert "Equity against equal weights" in shown
    assert "<th>Pair</th>" in shown
    curve = page.get(reverse("backtest-curve", args=[row.pk])).json()
    assert set(curve["weights"]) == set(PAIRS)
    assert all("/USD at" in mark["text"] for mark in curve["marks"])
    shown = page.get(reverse("model", args=[model.pk])).content.decode()
    assert "AAA/USD, BBB/USD 1m" in shown
    assert "Start a session" not in shown
