"""Boosted trees that forecast the return ahead, fitted on the training part only.

What the agent learns from are forecasts out of fold: no forecast of a bar comes from trees that saw its own
return, or one that overlaps with it. What judges and trades comes from trees that saw all of that part.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import xgboost

from agents.evaluation.data import Prepared
from agents.evaluation.folds import teaching
from agents.policies.forecast import Forecasting, Trees
from agents.spec import TrainingSpec

TOLERANCE = 1e-5  # between the library's forecast and ours, in deviations of the return


def with_forecast(prepared: Prepared, spec: TrainingSpec) -> Prepared:
    """Return what a run learns from with the forecast as one more column, where the spec asks for one.

    :raises BadInput: when the training part is too short for the folds
    """
    given = spec.forecast
    if given.kind == "none":
        return prepared
    part = slice(prepared.split.train_from, prepared.split.train_to)
    rows = prepared.scaler.transform(prepared.rows[part])
    closes = np.log(prepared.candles.close[part])
    ahead = closes[given.horizon :] - closes[: -given.horizon]  # none reaches beyond the training part
    deviation = float(np.std(ahead))
    labels = (ahead / deviation if deviation > 0 else ahead).astype(np.float32)
    folded = np.zeros(len(rows), np.float32)
    for first, last, others in teaching(len(rows), spec):
        folded[first:last] = fitted(rows[others], labels[others], spec).predict(rows[first:last])
    spread = float(np.std(folded))
    whole = fitted(rows[: len(labels)], labels, spec)
    scaling = Forecasting(prepared.scaler, whole, spread if spread > 0 else 1.0)
    return replace(prepared, forecasting=scaling, folded=scaling.in_deviations(folded))


def fitted(rows: np.ndarray, labels: np.ndarray, spec: TrainingSpec) -> Trees:
    """Return the trees of one fit, once they are proven to forecast in numpy as in the library."""
    given = spec.forecast
    settings = {
        "objective": "reg:squarederror", "base_score": 0.0, "max_depth": given.depth,
        "eta": given.learning_rate, "subsample": 0.8, "min_child_weight": given.least_rows, "seed": spec.seed,
        "nthread": 1, "tree_method": "hist",
    }  # fmt: skip
    booster = xgboost.train(settings, xgboost.DMatrix(rows, labels), num_boost_round=given.trees)
    trees = trees_of(booster)
    probes = rows[:: max(1, len(rows) // 500)]
    gap = np.abs(trees.predict(probes) - booster.predict(xgboost.DMatrix(probes))).max()
    if not gap <= TOLERANCE:
        raise RuntimeError(f"the trees forecast otherwise in numpy by {gap:.2e}: they are not used")
    return trees


def trees_of(booster: Any) -> Trees:
    """Return a booster's trees as flat arrays."""
    model = orjson.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
    roots, parts = [], []
    taken = 0
    for tree in model["trees"]:
        left = np.array(tree["left_children"], np.int32)
        right = np.array(tree["right_children"], np.int32)
        condition = np.array(tree["split_conditions"], np.float32)
        is_leaf = left < 0
        shift = np.where(is_leaf, 0, taken)
        column = np.array(tree["split_indices"], np.int32)
        value = np.where(is_leaf, condition, 0)
        parts.append((column, condition, left + shift, right + shift, value))
        roots.append(taken)
        taken += len(left)
    column, threshold, left, right, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Trees(
        np.array(roots, np.int32), column.astype(np.int32), threshold.astype(np.float32),
        left.astype(np.int32), right.astype(np.int32), value.astype(np.float32),
    )  # fmt: skip
