"""Portfolios for tests: their specs, what is made of two walks, and a model trained on them."""

import numpy as np

from agents import services
from agents.evaluation.data import prepared, split_for
from agents.models import TrainedModel
from agents.progress import RunRow
from agents.rl import job
from agents.spec import TrainingSpec
from market import features, leases
from market.basket import taken
from tests.agents.markets import stored, walk

PAIRS = ("AAA/USD", "BBB/USD")
SMALL = {
    "pairs": list(PAIRS),
    "features": "price",
    "episode_bars": 100,
    "validation_share": 0.2,
    "seed": 3,
    "network": {"net_arch": [16, 16]},
    "trading": {"slippage": 0.0},
}
TINY = SMALL | {
    "interval": "1m",
    "steps": 512,
    "ppo": {"n_envs": 8, "n_steps": 32, "batch_size": 64, "epochs": 1},
}


def spec_of(**changes):
    return TrainingSpec.parse({**SMALL, **changes})


def made_ready(candles, spec):
    """Return aligned candles of two pairs ready to be learned from, without a database."""
    rows = np.concatenate([features.compute(one, spec.feature_set()) for one in candles], axis=1)
    return prepared(candles[0], rows, split_for(len(candles[0]), spec), spec, tuple(candles[1:]))


def stored_pairs(owner, candles=None, source="test"):
    """Return one series of the archive per pair."""
    candles = candles or (walk(1200, seed=1), walk(1200, seed=2))
    return [stored(one, owner, pair, source) for one, pair in zip(candles, PAIRS, strict=True)]


def without(candles, rows):
    """Return candles that lack some rows."""
    return taken(candles, np.setdiff1d(np.arange(len(candles)), rows))


def trained(owner, **changes):
    """Return a model trained in this process, as the training process would."""
    run = services.start_training(owner=owner, name="both", spec={**TINY, **changes})
    held = leases.acquire(run.lease_name)
    assert job.run(job.RowListener(RunRow(run, held.fence))) == job.EXIT_DONE
    held.release()
    return TrainedModel.objects.get(run=run)
