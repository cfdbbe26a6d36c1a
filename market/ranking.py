"""What is worth trading: pairs ranked by how much they move and how much is traded.

A pair must move more than trading it costs, and be traded enough that our orders do not move it. Pairs that
cannot qualify are left out, each with its reason.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from market import archive
from market.candles import Candles
from market.errors import BadInput
from market.models import Series

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
WINDOW_DAYS = 30
BY = ("volatility", "liquidity", "score")
DOLLARS = {"USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD"}
STABLE = {
    "USDC", "FDUSD", "TUSD", "DAI", "USDT", "BUSD", "USDP", "USDE", "PYUSD", "USD1", "USDD", "GUSD", "LUSD",
    "FRAX", "RLUSD", "XUSD", "BFUSD", "USDS", "UST", "USD", "EUR", "EURI", "AEUR", "GBP",
}  # fmt: skip
PEG = 0.01  # a base that never leaves 1 by more than this is a stablecoin, listed or not
THIN_VOLUME = 1_000_000.0  # dollars a day
THIN_SPREAD_BPS = 25.0
QUIET_BARS = 0.05  # share of bars without a trade, or absent


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair's measurements. `volatility` is a fraction, `liquidity` in dollars a day."""

    pair: str
    volatility: float
    liquidity: float
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ranking:
    """`ranked`: rank, pair, volatility, liquidity, score, detail; best first. `excluded`: pair, reason."""

    by: str
    ranked: list[dict[str, Any]]
    excluded: list[dict[str, str]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rank_archive(series: Iterable[Series], *, by: str = "score", top: int | None = None) -> Ranking:
    """Rank pairs by the last 30 days of their newest series.

    Volatility is annualised (365 days) from close to close of adjacent bars; liquidity is the median dollar
    volume of a day. Series that end before the newest one's window begins are of another time and left out.

    :raises BadInput: when `by` or `top` is absurd.
    """
    candidates, excluded = [], []
    chosen = _newest_per_pair(series)
    newest = max((s.last_ms or 0 for s in chosen), default=0)
    for one in chosen:
        end = (one.last_ms or 0) + one.interval_ms
        if end < newest - WINDOW_DAYS * DAY_MS:
            day = np.datetime64(end, "ms").astype("M8[D]")
            excluded.append(
                {"pair": one.pair, "reason": f"its candles end on {day}, before the others' window"}
            )
            continue
        found = _measured(one, archive.load(one, end - WINDOW_DAYS * DAY_MS))
        if isinstance(found, str):
            excluded.append({"pair": one.pair, "reason": found})
        else:
            candidates.append(found)
    return _ranked(candidates, excluded, by, top)


def rank_from_ticker(
    quotes: Mapping[str, Mapping[str, float]], *, by: str = "score", top: int | None = None
) -> Ranking:
    """Rank pairs by one reading of a venue's ticker, where there are no candles.

    :param quotes: by pair: bid, ask, last, change_24h (a fraction), quote_volume_24h. The size of the day's
        change stands in for volatility, a rough measure: it misses what went up and came back.
    :raises BadInput: when `by` or `top` is absurd.
    """
    candidates, excluded = [], []
    for pair, quote in quotes.items():
        found = _quoted(pair, quote)
        if isinstance(found, str):
            excluded.append({"pair": pair, "reason": found})
        else:
            candidates.append(found)
    return _ranked(candidates, excluded, by, top)


def _newest_per_pair(series: Iterable[Series]) -> list[Series]:
    best: dict[str, Series] = {}
    for one in series:
        held = best.get(one.pair)
        if one.rows and (held is None or (one.last_ms or 0, one.rows) > (held.last_ms or 0, held.rows)):
            best[one.pair] = one
    return [best[pair] for pair in sorted(best)]


def _measured(series: Series, candles: Candles) -> Candidate | str:
    """Return the measurements, or why the pair is left out."""
    close, step = candles.close, series.interval_ms
    if refused := _by_name(series.pair):
        return refused
    if not len(candles):
        return "its candles are not in the archive: import them again"
    if float(np.abs(close - 1).max()) < PEG:
        return "stays within 1 % of a dollar: a stablecoin"
    day = candles.open_ms // DAY_MS
    bars_a_day = max(1, DAY_MS // step)
    days = np.unique(day)
    span = (int(candles.open_ms[-1]) - int(candles.open_ms[0])) // step + 1
    if span < max(bars_a_day, 24):
        return f"only {len(candles)} bars: too few to measure"
    quiet = 1 - int((candles.volume > 0).sum()) / span
    if quiet > QUIET_BARS:
        return f"thin: {quiet:.0%} of its bars are absent or without a trade"
    traded = np.bincount(day - days[0], weights=close * candles.volume)[days - days[0]]
    whole = np.bincount(day - days[0])[days - days[0]] >= bars_a_day / 2
    liquidity = float(np.median(traded[whole] if whole.any() else traded))
    if liquidity < THIN_VOLUME:
        return f"thin: {liquidity:,.0f} dollars traded on a median day, {THIN_VOLUME:,.0f} are needed"
    adjacent = np.diff(candles.open_ms) == step
    moves = np.diff(np.log(close))[adjacent]
    volatility = float(np.std(moves) * np.sqrt(YEAR_MS / step))
    detail = {"series": series.pk, "source": series.source, "interval": series.interval, "bars": len(candles),
              "from_ms": int(candles.open_ms[0]), "to_ms": int(candles.open_ms[-1]) + step}  # fmt: skip
    return Candidate(series.pair, volatility, liquidity, detail)


def _quoted(pair: str, quote: Mapping[str, float]) -> Candidate | str:
    if refused := _by_name(pair):
        return refused
    bid, ask, last = (float(quote.get(name, 0)) for name in ("bid", "ask", "last"))
    change, volume = float(quote.get("change_24h", np.nan)), float(quote.get("quote_volume_24h", np.nan))
    if not (np.isfinite([bid, ask, last, change, volume]).all() and 0 < bid <= ask and last > 0):
        return "no usable quote"
    if max(abs(last - 1), abs(last / (1 + change) - 1) if change > -1 else 1) < PEG:
        return "stays within 1 % of a dollar: a stablecoin"
    spread_bps = (ask - bid) / (ask + bid) * 20_000
    if volume < THIN_VOLUME:
        return f"thin: {volume:,.0f} dollars traded in 24 h, {THIN_VOLUME:,.0f} are needed"
    if spread_bps > THIN_SPREAD_BPS:
        return f"thin: a spread of {spread_bps:.1f} bp, at most {THIN_SPREAD_BPS:g} is tradable"
    return Candidate(pair, abs(change), volume, {"spread_bps": spread_bps, "change_24h": change})


def _by_name(pair: str) -> str | None:
    base, _, quote = pair.partition("/")
    if base in STABLE:
        return f"{base} is a stablecoin or a currency: it hardly moves"
    if quote not in DOLLARS:
        return f"quoted in {quote}: its volume cannot be compared in dollars"
    return None


def _ranked(candidates: list[Candidate], excluded: list[dict[str, str]], by: str, top: int | None) -> Ranking:
    """Order candidates; `score` is the mean of the two percentile ranks, 1 for the best in both."""
    if by not in BY:
        raise BadInput(f"cannot rank by {by!r}; use one of {', '.join(BY)}", field="by")
    if top is not None and top < 1:
        raise BadInput("top must be at least 1", field="top")
    moves, trades = (
        _percentiles(candidates, lambda c: c.volatility),
        _percentiles(candidates, lambda c: c.liquidity),
    )
    rows: list[dict[str, Any]] = [
        {
            "pair": c.pair,
            "volatility": c.volatility,
            "liquidity": c.liquidity,
            "score": (m + t) / 2,
            **c.detail,
        }
        for c, m, t in zip(candidates, moves, trades, strict=True)
    ]
    rows.sort(key=lambda row: (-row[by], row["pair"]))
    ranked = [{"rank": number} | row for number, row in enumerate(rows, start=1)]
    return Ranking(by, ranked[:top], excluded)


def _percentiles(candidates: list[Candidate], value: Callable[[Candidate], float]) -> list[float]:
    values = [value(candidate) for candidate in candidates]
    return [sum(other <= mine for other in values) / len(values) for mine in values]
