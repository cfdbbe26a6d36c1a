"""The observation: one definition for training, backtest and live."""

import hashlib
import math
from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from market.features import Scaler

if TYPE_CHECKING:
    from agents.policies.port import Scaling

PORTFOLIO = ("exposure", "unrealised_return", "time_in_position", "drawdown", "cash_share")
PORTFOLIO_BYTES = Struct(f"{len(PORTFOLIO)}f")
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)  # names would be looked up at every decision


def observe(window_rows: np.ndarray, portfolio_row: Sequence[float]) -> np.ndarray:
    """Return the observation of one decision: float32 (W * F + 5,).

    :param window_rows: scaled feature rows, float32 (W, F), oldest first; the last one is the bar just closed
    :param portfolio_row: the five values of `market.kernel.portfolio.portfolio_row`, at that bar's close
    """
    rows = np.asarray(window_rows, dtype=np.float32)
    observation = np.empty(rows.size + len(PORTFOLIO), dtype=np.float32)
    observation[: rows.size] = rows.reshape(-1)  # (W, F) -> (W * F,)
    observation[rows.size :] = portfolio_row
    return observation


def observe_raw(
    window_rows: np.ndarray, portfolio_row: Sequence[float], scaling: "Scaling"
) -> tuple[np.ndarray, bool]:
    """Return the observation of unscaled feature rows, float64 (W, F), and whether no feature is missing.

    What `observe` returns of the scaled rows, bit for bit; the usual window is scaled to where it belongs.
    """
    if type(scaling) is Scaler and window_rows.flags.carray and window_rows.dtype == DOUBLE:
        size = window_rows.size
        observation = np.empty(size + len(PORTFOLIO), SINGLE)
        PORTFOLIO_BYTES.pack_into(observation, 4 * size, *portfolio_row)  # type: ignore[arg-type]  # a buffer
        return observation, scaling.write(window_rows, observation)
    flat = window_rows.ravel()
    is_whole = not math.isnan(flat.dot(flat))  # squares never cancel out: NaN only where there is one
    return observe(scaling.transform(window_rows), portfolio_row), is_whole


def observation_size(window: int, features: int, pairs: int = 0) -> int:
    """Return the length of an observation of `window` rows of `features` columns.

    :param pairs: of an account over several: `features` are those of all of them, side by side
    """
    return window * features + (2 * pairs + 2 if pairs else len(PORTFOLIO))


def observe_basket(window_rows: np.ndarray, account_row: Sequence[float]) -> np.ndarray:
    """Return the observation of an account over k pairs: float32 (W * k * F + 2k + 2,).

    :param window_rows: scaled rows of all pairs' features side by side, float32 (W, k * F), oldest first
    :param account_row: as of `market.kernel.basket.account_row`, at the newest bar's close
    """
    rows = np.asarray(window_rows, dtype=np.float32).reshape(-1)
    return np.concatenate([rows, np.asarray(account_row, dtype=np.float32)])


def observation_hash(observation: np.ndarray) -> str:
    """Return the SHA-256 of an observation's bytes as hex; equal hashes mean equal inputs bit for bit.

    :raises ValueError: for anything but a float32 vector, whose bytes would mean something else
    """
    if observation.dtype != np.float32 or observation.ndim != 1:
        raise ValueError(f"an observation is a float32 vector, not {observation.dtype} {observation.shape}")
    return hashlib.sha256(np.ascontiguousarray(observation, dtype="<f4").tobytes()).hexdigest()
