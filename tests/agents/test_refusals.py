"""Runs that could never come to anything are refused in one sentence before they begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import services
from agents.models import TrainingRun
from agents.rl import job
from agents.spec import TrainingSpec, over_preset
from agents.spec.effect import largest_order
from market.errors import BadInput
from market.kernel.plan import open_track
from market.kernel.sizing import sized_target
from market.kernel.step import open_book
from market.plans import RANGES, WHOLE, is_allowed
from tests.agents.markets import stored, walk
from tests.agents.portfolios import TINY as PAIRS
from tests.agents.portfolios import stored_pairs
from tests.agents.test_experiments import TINY, train
from tests.api.conftest import client_of
from tests.factories import Group, Role

HUGE = 10**400
ROLLOUT = {"n_envs": 4, "n_steps": 16, "epochs": 1}  # of 64 decisions


@pytest.fixture
def series(user):
    return stored(walk(1600), user)


@pytest.mark.parametrize("algorithm", ["team_ppo", "maskable_ppo", "recurrent_ppo"])
@pytest.mark.parametrize("size", [63, 7, 3, 9, 21])
def test_a_rollout_that_leaves_one_decision_over_is_refused(algorithm, size):
    asked = {"algorithm": algorithm, "ppo": ROLLOUT | {"batch_size": size}, "action": {"kind": "levels"}}
    with pytest.raises(BadInput, match=r"64 decisions .* choose another ppo\.batch_size") as refused:
        TrainingSpec.parse(asked)
    assert refused.value.field == "ppo.batch_size"
    TrainingSpec.parse(asked | {"ppo": ROLLOUT | {"batch_size": size + 1}})
    assert TrainingSpec.stored(asked).ppo.batch_size == size, "one that is stored is still read"
    for other in ("ppo", "fast_ppo"):
        TrainingSpec.parse(asked | {"algorithm": other})


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("algorithm", ["ppo", "fast_ppo", "trpo", "maskable_ppo"])
def test_those_who_may_leave_one_over_learn_from_it(user, series, algorithm):
    own = {"ppo": ROLLOUT | {"batch_size": 63}}
    if algorithm == "trpo":
        own = {"trpo": {"n_envs": 4, "n_steps": 16, "batch_size": 63}}
    if algorithm == "maskable_ppo":
        own["ppo"]["advantages"] = "raw"
    spec = {key: value for key, value in TINY.items() if key != "ppo"} | own
    spec |= {"algorithm": algorithm, "steps": 128, "series": series.pk}
    run = services.start_training(owner=user, name="x", spec=spec)
    assert train(run) == job.EXIT_DONE, run.error


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [
        ({"trading.initial_cash": 1.0}, True),
        ({"trading.initial_cash": 1.01}, False),
        ({"trading.min_notional": 1e12}, True),
        ({"trading.min_notional": 10_000}, True),
        ({"trading.min_notional": 9_999}, False),
        ({"trading.min_notional": 6_000, "trading.max_exposure": 0.5}, True),
        ({"trading.min_notional": 6_000, "action.kind": "levels", "action.levels": [-0.7, 0, 0.1],
          "trading.market": "futures"}, False),
        ({"trading.min_notional": 6_000, "action.kind": "levels", "action.levels": [-0.5, 0, 0.1],
          "trading.market": "futures"}, True),
        ({"trading.min_notional": 600, "limits.max_position": 500}, True),
        ({"trading.min_notional": 600, "limits.max_position": 601}, False),
        ({"trading.min_notional": 600, "limits.max_order_share": 0.05}, True),
        ({"trading.min_notional": 600, "limits.max_order_share": 0.07}, False),
        ({"trading.min_notional": 600, "trading.size_fraction": 0.05}, True),
        ({"trading.min_notional": 600, "trading.size_fraction": 0.07}, False),
        ({"trading.min_notional": 600, "trading.dca_lots": 3, "trading.dca_first": 0.05}, True),
        ({"trading.min_notional": 600, "trading.dca_lots": 3, "trading.dca_first": 0.07}, False),
        ({"trading.min_notional": 600, "trading.dca_lots": 3, "trading.dca_first": 0.5,
          "trading.dca_reluctance": 20}, True),
        ({"trading.min_notional": 600, "trading.kelly_fraction": 0.5, "trading.kelly_cap": 0.05}, True),
        ({"trading.min_notional": 600, "trading.risk_per_trade": 0.01, "trading.stop_loss": 0.2}, True),
        ({"trading.min_notional": 600, "trading.risk_per_trade": 0.01, "trading.stop_loss": 0.2,
          "trading.stop_atr": 2}, False),
    ],
)  # fmt: skip
def test_an_account_that_could_never_pay_for_an_order_is_refused(changes, is_refused):
    asked = over_preset("", changes)
    if is_refused:
        with pytest.raises(BadInput, match="no order could ever be placed: the largest is worth"):
            TrainingSpec.parse(asked)
    else:
        TrainingSpec.parse(asked)
    TrainingSpec.stored(asked)


@given(
    atr=st.floats(0, 50_000),
    price=st.floats(0.01, 10**6),
    sizes=st.fixed_dictionaries(
        {
            "size_fraction": st.sampled_from([0.0, 0.3]),
            "risk_per_trade": st.sampled_from([0.0, 0.01]),
            "kelly_fraction": st.sampled_from([0.0, 0.5]),
            "volatility_target": st.sampled_from([0.0, 0.01]),
            "stop_atr": st.sampled_from([0.0, 2.0]),
            "stop_loss": st.sampled_from([0.05, 0.3]),
        }
    ),
    lots=st.sampled_from([0, 3]),
    wish=st.sampled_from([-1.0, -0.2, 0.4, 1.0]),
)
def test_no_first_order_is_larger_than_the_largest(atr, price, sizes, lots, wish):
    exits = {name: value for name, value in sizes.items() if name.startswith("stop")}
    chosen = exits | {"dca_lots": lots, "dca_first": 0.2} if lots else sizes
    spec = TrainingSpec.parse({"trading": {"market": "futures"} | chosen if not lots else chosen})
    settings, cash = spec.env_settings(), spec.trading.initial_cash
    target, _ = sized_target(
        wish, open_book(cash), open_track(0.0), price, atr, 1.0, settings.rules(), settings.plan()
    )
    assert cash * abs(target) <= largest_order(spec) * (1 + 1e-12)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"trading.tick": 1e12}, "leaves none to sell at"),
        ({"trading.tick": 1000}, "leaves none to sell at"),
        ({"trading.step": 1e12}, "no order could ever be placed"),
        ({"trading.step": 1000}, "one step of 1000 costs at least"),
    ],
)
def test_a_tick_or_step_that_the_prices_cannot_bear_is_refused(user, series, changes, sentence):
    with pytest.raises(BadInput, match=sentence) as refused:
        services.start_training(
            owner=user, name="x", spec=over_preset("", TINY | changes | {"series": series.pk})
        )
    assert refused.value.field == next(iter(changes))
    assert not TrainingRun.objects.exists()
    services.start_training(
        owner=user, name="x", spec=over_preset("", TINY | {"series": series.pk, next(iter(changes)): 0.01})
    )


@pytest.mark.django_db
@pytest.mark.parametrize("setting", ["pair_ticks", "pair_steps"])
def test_so_is_one_of_a_single_pair_of_several(user, setting):
    stored_pairs(user)
    spec = PAIRS | {"trading": {"slippage": 0.0, setting: {"BBB/USD": 1e9}}}
    with pytest.raises(BadInput, match=f"trading.{setting[5:-1]}: "):
        services.start_training(owner=user, name="x", spec=spec)


@pytest.mark.parametrize("name", sorted(RANGES))
def test_no_number_is_too_large_to_be_refused(name):
    assert not is_allowed(name, HUGE)
    assert not is_allowed(name, -HUGE)
    assert not any(is_allowed(name, float(text)) for text in ("nan", "inf", "-inf"))
    assert is_allowed(name, RANGES[name].low)
    if name in WHOLE:
        with pytest.raises(BadInput, match=name):
            TrainingSpec.parse({"trading": {name: HUGE}})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, HUGE) for name in ("trading.max_bars", "trading.atr_bars", "episode_bars", "embargo_bars",
                                    "steps", "series", "window", "checkpoint_every")),
        ("test_share", 5e-324),
        ("test_share", 1e-7),
        ("embargo_bars", 10**9 + 1),
        ("episode_bars", 10**9),
    ],
)  # fmt: skip
def test_numbers_beyond_any_market_are_refused_by_rest_as_well(user, series, name, value):
    user.groups.add(Group.objects.get(name=Role.OPERATOR.group))
    body = {"name": "x", "spec": {**TINY, "series": series.pk, name: value}}
    answer = client_of(user).post("/api/v1/training-runs/", body, format="json")
    if name == "checkpoint_every":
        assert answer.status_code == 201, "never is a schedule, too"
    else:
        assert answer.status_code == 400, answer.content
        assert answer.json()["errors"]


@pytest.mark.django_db
@pytest.mark.parametrize("forecast", [{"folds": 2, "horizon": 1500}, {"folds": 20, "horizon": 700}])
def test_a_forecast_whose_folds_its_bars_cannot_fill_is_refused_at_once(user, series, forecast):
    spec = TINY | {"series": series.pk, "forecast": {"kind": "xgboost"} | forecast}
    with pytest.raises(BadInput, match="are too few for a forecast in") as refused:
        services.start_training(owner=user, name="x", spec=spec)
    assert refused.value.field == "forecast.folds"
    spec["forecast"] = {"kind": "xgboost"}
    grid = {f"forecast.{name}": [value] for name, value in forecast.items()}
    with pytest.raises(BadInput, match="are too few for a forecast in"):
        services.start_experiment(owner=user, name="x", spec=spec, seeds=[1], grid=grid)
    assert not TrainingRun.objects.exists()
    services.start_training(owner=user, name="x", spec=spec)


@pytest.mark.django_db
def test_pairs_of_a_portfolio_chosen_by_id_have_their_own_ticks(user):
    chosen = stored_pairs(user)
    named = {"slippage": 0.0, "pair_ticks": {"BBB/USD": 0.5}, "pair_steps": {"AAA/USD": 0.001}}
    spec = {key: value for key, value in PAIRS.items() if key != "pairs"}
    spec |= {"basket": [one.pk for one in chosen], "trading": named}
    run = services.start_training(owner=user, name="x", spec=spec)
    settings = TrainingSpec.parse(run.spec).env_settings()
    assert settings.roundings() == ([0.0, 0.5], [0.001, 0.0])
    for setting in ("pair_ticks", "pair_steps"):
        wrong = spec | {"trading": {setting: {"CCC/USD": 0.5}}}
        with pytest.raises(BadInput, match="CCC/USD, which is none of the pairs"):
            services.start_training(owner=user, name="y", spec=wrong)
