"""The training spec: what is understood, what is refused, and in which words."""

import pytest

from agents.spec import (
    ALGORITHMS,
    KNOWN,
    PRESETS,
    TrainingSpec,
    apply_overrides,
    horizon_notes,
    key_values,
    over_preset,
)
from agents.spec.algorithms import SECTIONS
from agents.spec.settings import flat, settings
from market.errors import BadInput


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_usable_and_survives_being_stored(name):
    spec = TrainingSpec.parse(PRESETS[name]).completed()
    assert TrainingSpec.parse(spec.as_dict()) == spec
    assert TrainingSpec.parse(spec.as_dict()).completed() == spec


def test_dates_and_milliseconds_mean_the_same_moment():
    by_date = TrainingSpec.parse({"from": "2024-01-01", "to": "2024-02-01T00:00:00Z"})
    by_number = TrainingSpec.parse({"from": 1704067200000, "to": 1706745600000})
    assert (by_date.from_ms, by_date.to_ms) == (by_number.from_ms, by_number.to_ms)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"stepps": 1}, "stepps", "did you mean 'steps'"),
        ({"ppo": {"learning": 1}}, "ppo.learning", "no training setting"),
        ({"steps": -1}, "steps", "greater than or equal to 1 (got -1)"),
        ({"steps": True}, "steps", "must not be true or false"),
        ({"steps": "many"}, "steps", "valid integer"),
        ({"trading": {"fee_rate": 1.5}}, "trading.fee_rate", "less than 1"),
        ({"trading": {"fee_rate": float("nan")}}, "trading.fee_rate", "finite"),
        ({"ppo": {"n_envs": 2, "n_steps": 4, "batch_size": 64}}, "ppo.batch_size", "which is 8"),
        ({"from": "tomorrow"}, "from", "is no date"),
        ({"from": "²²²²²²²²²²"}, "from", "is no date"),
        ({"to": 10**30}, "to", "between 1970 and 2100"),
        ({"trading": {"initial_cash": 1e300}}, "trading.initial_cash", "less than or equal to"),
        ({"ppo": {"n_envs": 8192, "n_steps": 100_000}}, "ppo.n_steps", "GiB of memory"),
        ({"from": 2, "to": 1}, "from", "from must be earlier than to"),
        ({"interval": "7m"}, "interval", "must be one of 1s"),
        ({"features": "everything"}, "features", "choose one of"),
        ({"features": {"features": [{"name": "x", "kind": "crystal"}]}}, "features", "'crystal'"),
        ({"action": {"kind": "levels", "levels": [1, 0]}}, "levels", "increasing order"),
        ({"algorithm": "alchemy"}, "algorithm", "'ppo'"),
        ({"curriculum": {"stages": "volatility"}, "episode_bars": 0}, "episode_bars", "episode_bars above 0"),
        ({"curriculum": {"stages": "seasons"}}, "curriculum.stages", "'volatility'"),
        (
            {"algorithm": "sac"},
            "action.kind",
            "sac cannot learn hold_buy_sell actions: set action.kind to cont",
        ),
        (
            {"algorithm": "dqn", "action": {"kind": "continuous"}},
            "action.kind",
            "dqn cannot learn continuous actions",
        ),
        ({"algorithm": "dqn", "ppo": {"lr": 0.1}}, "ppo", "dqn reads no ppo settings: write them as dqn."),
        ({"algorithm": "dqn", "dqn": {"gae_lambda": 0.1}}, "dqn.gae_lambda", "no training setting"),
        ({"algorithm": "dqn", "dqn": {"buffer_size": 50_000_000}}, "dqn.buffer_size", "1 is allowed"),
        (
            {"algorithm": "q_table", "q_table": {"columns": ["mood"]}},
            "q_table.columns",
            "'mood' is no feature",
        ),
        (
            {"algorithm": "q_table", "q_table": {"bins": 100, "columns": ["a", "b", "c", "d"]}},
            "q_table.bins",
            "states",
        ),
        (
            {"algorithm": "tqc", "action": {"kind": "continuous"}, "tqc": {"dropped": 25}},
            "tqc.dropped",
            "below quantiles",
        ),
        ({"algorithm": "recurrent_ppo", "window": 4}, "window", "leave window at 1 and set recurrent.memory"),
        (
            {"algorithm": "recurrent_ppo", "recurrent": {"memory": 500}, "decision_every": 60},
            "recurrent.memory",
            "29,941 bars",
        ),
        ({"validation_share": 0}, "validation_share", "0.01"),
        ({"reward": {"terms": {"fame": 1}}}, "reward", "'fame'"),
        ({"reward": {"terms": {"turnover": -1}}}, "reward.terms.turnover", "greater than or equal to 0"),
        ({"reward": {"terms": {"turnover": 0}}}, "reward.terms", "weight above 0"),
        ({"reward": {"terms": {"sharpe": 1}, "kind": "differential_sharpe"}}, "reward.terms", "says all"),
        ({"episode_bars": 5, "decision_every": 10}, "episode_bars", "at least decision_every"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence_that_names_it(values, field, words):
    with pytest.raises(BadInput) as refused:
        TrainingSpec.parse(values)
    assert words in refused.value.message
    assert refused.value.field == field
    assert "\n" not in refused.value.message


def test_settings_are_laid_over_a_spec_by_dotted_or_plain_names():
    made = apply_overrides({"ppo": {"lr": 1}, "steps": 1}, ["lr=1e-4", "reward.kind=log_return", "steps=5"])
    assert made == {"ppo": {"lr": 1e-4}, "steps": 5, "reward": {"kind": "log_return"}}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_preset_holds_for_every_algorithm_but_a_portfolio_for_those_that_weigh(name, algorithm):
    if "pairs" in PRESETS[name] and "weights" not in KNOWN[algorithm].actions:
        with pytest.raises(BadInput, match=f"{algorithm} cannot weigh several pairs: choose one of ppo"):
            TrainingSpec.parse(over_preset(name, {"algorithm": algorithm}))
        return
    spec = TrainingSpec.parse(over_preset(name, {"algorithm": algorithm}, ["lr=0.002"]))
    assert (spec.algorithm, spec.learning.lr) == (algorithm, 0.002)
    assert spec.learning.gamma == PRESETS[name]["ppo"].get("gamma", 0.99)
    assert spec.action.kind in KNOWN[algorithm].actions
    assert TrainingSpec.parse(spec.completed().as_dict()) == spec.completed()
    assert not set(spec.as_dict()) & (SECTIONS - set(KNOWN[algorithm].sections))


def test_an_action_that_a_person_chose_is_never_replaced():
    with pytest.raises(BadInput, match="cannot learn levels actions"):
        TrainingSpec.parse(over_preset("demo", {"algorithm": "sac", "action": {"kind": "levels"}}))
    with pytest.raises(BadInput, match="cannot learn levels actions"):
        TrainingSpec.parse(over_preset("demo", {"algorithm": "sac"}, ["action.kind=levels"]))


def reward_of(chosen, *pairs):
    return TrainingSpec.parse(over_preset("default-1m", chosen, pairs)).reward


@pytest.mark.parametrize(
    ("chosen", "pairs"),
    [
        ({"reward": {"kind": "differential_sharpe"}}, ()),
        ({"reward.kind": "differential_sharpe"}, ()),
        ({}, ["reward.kind=differential_sharpe"]),
    ],
)
def test_a_kind_of_reward_takes_the_place_of_a_presets_terms(chosen, pairs):
    terms = reward_of({}).terms
    assert terms
    assert reward_of({}, "drawdown_penalty=0.1").terms == {}
    assert (reward_of(chosen, *pairs).kind, reward_of(chosen, *pairs).terms) == ("differential_sharpe", {})
    assert reward_of(chosen, *pairs).scale == reward_of({}).scale
    assert reward_of({"reward": {"terms": {"sharpe": 1.0}}}).terms == {"sharpe": 1.0}
    assert reward_of({"reward": {"scale": 10.0}}).terms == terms
    with pytest.raises(BadInput, match=r"reward.terms says all"):
        reward_of(chosen, 'reward.terms={"sortino":1}', *pairs)


def test_overrides_leave_the_preset_as_it_was():
    before = str(PRESETS)
    apply_overrides(PRESETS["demo"], ["ppo.lr=1", "net_arch=[8]"])
    assert str(PRESETS) == before


@pytest.mark.parametrize(
    ("pair", "words"), [("lr", "key=value"), ("lrr=1", "'lr'"), ("kind=x", "write it out")]
)
def test_an_override_that_means_nothing_is_refused(pair, words):
    with pytest.raises(BadInput, match=words):
        apply_overrides({}, [pair])


@pytest.mark.parametrize("pairs", [["ppo.lr=0.1", "lr=0.2"], ["ppo.lr=0.1", 'ppo={"lr": 0.2}'],
                                   ['ppo={"gamma": 0.9, "lr": 0.1}', "lr=0.2"]])  # fmt: skip
def test_a_setting_is_given_once_by_whichever_name(pairs):
    with pytest.raises(BadInput, match=r"ppo.* and .* give ppo.lr twice"):
        apply_overrides({}, pairs)


def test_values_are_json_or_else_text():
    with pytest.raises(BadInput, match="a is there twice"):
        key_values(["a=1", "b=2", "a =3"])
    assert key_values(["a=1", "b=[1,2]", "c=x y", "d=true"]) == {"a": 1, "b": [1, 2], "c": "x y", "d": True}


DQN = {"algorithm": "dqn"}
TABLE = {"algorithm": "q_table"}
TREES = {"forecast": {"kind": "xgboost"}}


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        *(
            (
                {"algorithm": name, "stopping": {"max_kl": 0.1}},
                "stopping.max_kl",
                f"{name} does not report how",
            )
            for name in ("dqn", "qr_dqn", "q_table", "a2c", "reinforce")
        ),
        (DQN | {"stopping": {"min_entropy": 0.1}}, "stopping.min_entropy", "dqn does not report the entropy"),
        ({"algorithm": "trpo", "stopping": {"min_entropy": 0.1}}, "stopping.min_entropy", "leave it at 0"),
        (DQN | {"steps": 2000}, "steps", "begins after 2,000 decisions .* ends after 2,000"),
        (
            {
                "algorithm": "sac",
                "steps": 9,
                "action": {"kind": "continuous"},
                "sac": {"learning_starts": 10},
            },
            "steps",
            "sac would learn nothing",
        ),
        (TABLE | {"network": {"net_arch": [8]}}, "network", "q_table has no network"),
        (TABLE | {"window": 2}, "window", "reads the newest bar alone"),
        (TABLE | TREES, "q_table.columns", "add forecast to q_table.columns"),
        (TABLE | {"q_table": {"columns": ["forecast"]}}, "q_table.columns", "'forecast' is no feature"),
    ],
)
def test_what_can_never_act_is_refused_but_a_stored_run_keeps_it(values, field, words):
    with pytest.raises(BadInput, match=words) as refused:
        TrainingSpec.parse(values)
    assert refused.value.field == field
    if words != "'forecast' is no feature":
        assert TrainingSpec.stored(values).algorithm == values["algorithm"]


@pytest.mark.parametrize(
    "values",
    [
        *({"algorithm": name, "stopping": {"max_kl": 0.1}} for name in ("ppo", "fast_ppo", "trpo")),
        *({"algorithm": name, "stopping": {"min_entropy": 0.1}} for name in ("ppo", "a2c", "reinforce")),
        DQN | {"steps": 2001},
        TABLE | TREES | {"q_table": {"columns": ["forecast"]}},
    ],
)
def test_what_acts_is_accepted(values):
    assert TrainingSpec.parse(values)


def test_a_preset_comes_without_what_an_algorithm_never_reads(monkeypatch):
    given = {"window": 8, "network": {"net_arch": [8]}, "stopping": {"max_kl": 0.1, "patience": 3}}
    monkeypatch.setitem(PRESETS, "seen", given)
    spec = TrainingSpec.parse(over_preset("seen", {"algorithm": "q_table"}))
    assert (spec.window, spec.stopping.patience, spec.stopping.max_kl) == (1, 3, 0)
    with pytest.raises(BadInput, match="reads the newest bar alone"):
        TrainingSpec.parse(over_preset("seen", {"algorithm": "q_table", "window": 8}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_form_shows_only_what_an_algorithm_reads(algorithm):
    values = flat(
        TrainingSpec.parse(
            over_preset("", {"algorithm": algorithm, "action.kind": KNOWN[algorithm].actions[0]})
        ).as_dict()
    )
    shown = {name for name, row in settings().items() if row.says_something(values)}
    assert ("stopping.max_kl" in shown) is (algorithm not in {"a2c", "reinforce", *VALUES})
    assert ("stopping.min_entropy" in shown) is (algorithm not in {"trpo", *VALUES})
    assert ("window" in shown) is ("network.net_arch" in shown) is (algorithm != "q_table")


VALUES = {"dqn", "qr_dqn", "sac", "td3", "tqc", "q_table"}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("interval", ["1m", "5m", "1h", "1d"])
def test_a_horizon_made_for_other_candles_is_noted(preset, interval):
    made_for = PRESETS[preset].get("interval")
    notes = horizon_notes(TrainingSpec.parse(over_preset(preset, {"interval": interval})))
    assert len(notes) == (made_for not in (None, interval))
    for note in notes:
        assert f"made for candles of {made_for}: these are of {interval}." in note


def test_a_horizon_of_ones_own_is_nobodys():
    chosen = {"interval": "1m", "episode_bars": 5000}
    assert horizon_notes(TrainingSpec.parse(over_preset("default-1h", chosen))) == []
