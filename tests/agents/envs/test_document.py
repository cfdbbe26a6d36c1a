"""docs/environments.md against the code: the table of 38 numbers and the terms of the reward."""

import re
from pathlib import Path

from agents.envs.settings import TERMS
from agents.observation import PORTFOLIO
from agents.spec import PRESETS, TrainingSpec

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
