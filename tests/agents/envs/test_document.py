"""docs/environments.md against the code: the table of 38 numbers and the terms of the reward."""

import re
from pathlib import Path

import pytest

from agents.envs.batched import BatchedMarket, packed
from agents.envs.settings import TERMS, EnvSettings
from agents.observation import PORTFOLIO
from agents.spec import PRESETS, TrainingSpec
from market.kernel.reward import Terms
from tests.agents.envs.markets import random_market

TEXT = (Path(__file__).parents[3] / "docs" / "environments.md").read_text()


def test_the_documented_observation_is_the_one_the_preset_makes():
    spec = TrainingSpec.parse(PRESETS["levels8-1m"])
    places = re.findall(r"^\| (\d+) \| `(\w+)` \|", TEXT, re.M)
    assert [int(place) for place, _ in places] == list(range(38))
    assert [name for _, name in places] == [*spec.feature_set().names, *PORTFOLIO]
    assert len(spec.env_settings().action.names) == 8
    assert not spec.feature_set().needs_volume


def test_every_reward_term_is_explained():
    assert set(TERMS) <= set(re.findall(r"^\| `(\w+)` \|", TEXT, re.M))


@pytest.mark.parametrize(
    ("loop", "rules"),
    [
        ("plain", {"stop_loss": 0.01, "trailing": 0.01}),
        ("planned", {"size_fraction": 0.5, "risk_per_trade": 0.01, "stop_atr": 2.0, "max_bars": 9}),
        ("bracketed", {"stop_loss": 0.01, "reward_ratio": 2.0}),
        ("planned", {"reward": Terms(drawdown=1.0, turnover=1.0)}),
        ("rated", {"reward": Terms(sharpe=1.0)}),
        ("full", {"kelly_fraction": 0.5}),
        ("full", {"streak_losses": 2}),
        ("full", {"dca_lots": 3}),
        ("futures", {"market": "futures"}),
        ("watched", {"max_trades_per_day": 3}),
        ("watched", {"max_trades_per_day": 3, "market": "futures"}),
    ],
)
def test_the_documented_bytes_are_those_of_an_account(loop, rules):
    accounts = 7
    batch = BatchedMarket(packed(*random_market()), EnvSettings(episode_bars=30, **rules), accounts)
    arrays = [array for array in batch.state().values() if getattr(array, "shape", (0,))[0] == accounts]
    documented = int(re.search(rf"^\| `{loop}` \| (\d+) \|", TEXT, re.M)[1])
    assert sum(array.nbytes for array in arrays) == documented * accounts
    assert loop not in ("plain", "planned") or documented <= 64
