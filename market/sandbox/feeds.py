"""From `--feed` texts to feeds: candle files, scripts, archive series, synthetic markets."""

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from market.candles import Candles
from market.errors import BadInput
from market.sandbox.books import floor_to
from market.sandbox.feed import DAY_MS, CandleFeed, Feed, ScriptFeed
from market.sandbox.instruments import Pair, added_row, decimals_of, exchange_info, pair_of
from market.synthetic import regime_market

SeriesReader = Callable[[int], tuple[str, Candles]]  # archive series id -> (pair, candles)
ScriptRow = tuple[int, Decimal, Decimal, Decimal]  # t_ms, bid, ask, last
PAIR = re.compile(r"[A-Z0-9]+/USD")
IN_FILE_NAME = re.compile(r"(?<![A-Z0-9])([A-Z0-9]{2,12}?)(?:USDT|USDC|BUSD|FDUSD|USD)(?![A-Z0-9])")
FIRST_SYNTHETIC_MS = 1_704_067_200_000  # 2024-01-01, where a manual clock begins
START_PRICES = {"BTC/USD": 60_000.0, "ETH/USD": 2_500.0, "SIM/USD": 100.0}
HISTORY, FUTURE = 5 * 1440, 30 * 1440  # synthetic minutes before and after live time begins


@dataclass(slots=True)
class Prices:
    """What the feed texts gave, by pair, and where live time begins unless told otherwise."""

    candles: dict[str, Candles] = field(default_factory=dict)
    scripts: dict[str, list[ScriptRow]] = field(default_factory=dict)
    start_ms: int = 0


def prices_of(specs: list[str], now_ms: int | None, series: SeriesReader | None) -> Prices:
    """Read every `--feed`.

    :param now_ms: first live instant of synthetic markets; None is a fixed one.
    :raises BadInput: naming the feed that cannot be used.
    """
    prices, starts = Prices(), []
    for spec in specs:
        kind, _, rest = spec.partition(":")
        kind, at, pair = kind.partition("@") if kind.startswith("synthetic@") else (kind, "", "")
        if kind == "script":
            read_script(Path(rest), prices.scripts)
            starts.append(min(rows[0][0] for rows in prices.scripts.values()))
            continue
        if kind == "replay":
            found = dict([_replay(rest)])
        elif kind == "synthetic":
            start_ms = FIRST_SYNTHETIC_MS if now_ms is None else now_ms
            found = _synthetic(f"@{pair}" if at else rest, start_ms)
            starts.append(start_ms)
        elif kind == "series" and series is not None and rest.isdigit():
            found = dict([series(int(rest))])
        else:
            raise BadInput(
                "a feed is replay:FILE[@PAIR], synthetic[:SEED][@PAIR], script:FILE or series:ID, "
                f"not {spec!r}",
                "feed",
            )
        for name, candles in found.items():
            if name in prices.candles or name in prices.scripts:
                raise BadInput(f"two feeds give prices of {name}", "feed")
            prices.candles[name] = candles
            if kind != "synthetic":
                first, last = int(candles.open_ms[0]), int(candles.open_ms[-1])
                history = min(DAY_MS, (last - first) // 5)
                starts.append(first + history // candles.interval_ms * candles.interval_ms)
    prices.start_ms = max(starts)
    return prices


def exchange_of(prices: Prices, spread_bps: float) -> tuple[dict[str, Any], dict[str, Pair], dict[str, Feed]]:
    """Return the exchange info, the rules of every pair, and the feeds; pairs the venue lacks are added."""
    info = exchange_info()
    typical = {name: float(np.median(candles.close)) for name, candles in prices.candles.items()}
    typical |= {name: float(rows[0][3]) for name, rows in prices.scripts.items()}
    for name, price in typical.items():
        if name not in info["TradePairs"]:
            info["TradePairs"][name] = added_row(name, price, decimals_of(price))
    pairs = {name: pair_of(name, row) for name, row in info["TradePairs"].items()}
    feeds: dict[str, Feed] = {
        name: CandleFeed(pairs[name], candles, spread_bps) for name, candles in prices.candles.items()
    }
    for name, rows in prices.scripts.items():
        feeds[name] = _script_feed(pairs[name], rows)
    return info, pairs, feeds


def _checked_pair(name: str) -> str:
    if not PAIR.fullmatch(name):
        raise BadInput(f"a pair is COIN/USD, for example BTC/USD, not {name!r}", "feed")
    return name


def _synthetic(rest: str, start_ms: int) -> dict[str, Candles]:
    seed, _, pair = rest.partition("@")
    if seed and not seed.isdigit():
        raise BadInput(f"the seed of a synthetic feed is a whole number, not {seed!r}", "feed")
    names = [_checked_pair(pair)] if pair else list(START_PRICES)
    return {name: _market(name, int(seed or 1), start_ms) for name in names}


def _market(pair: str, seed: int, start_ms: int) -> Candles:
    """Return a seeded market of one pair; pairs of the same seed move independently."""
    own_seed = (seed << 32) + zlib.crc32(pair.encode())
    first_ms = start_ms // 60_000 * 60_000 - HISTORY * 60_000
    return regime_market(HISTORY + FUTURE, own_seed, 60_000, first_ms, START_PRICES.get(pair, 100.0))


def _replay(rest: str) -> tuple[str, Candles]:
    text, at, pair = rest.rpartition("@")
    path = Path(text) if at and "/" in pair else Path(rest)
    if not (at and "/" in pair):
        found = IN_FILE_NAME.search(path.name)
        if found is None:
            raise BadInput(f"{path.name} does not name its pair; write replay:{path}@BTC/USD", "feed")
        pair = f"{found[1]}/USD"
    return _checked_pair(pair), read_parquet(path)


def read_parquet(path: Path) -> Candles:
    """Return the candles in a Parquet file with columns open_time (ms), open, high, low, close, volume.

    :raises BadInput: when there is no such file or it holds no usable candles.
    """
    try:
        table = pq.read_table(path, columns=["open_time", "open", "high", "low", "close", "volume"])
        columns = [table.column(name).to_numpy() for name in table.column_names]
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {path}", "feed") from error
    except (OSError, pa.ArrowException, KeyError) as error:
        raise BadInput(
            f"{path} is not a Parquet file of candles; import it and use series:ID", "feed"
        ) from error
    open_ms, prices = columns[0].astype(np.int64), [column.astype(np.float64) for column in columns[1:]]
    good = len(open_ms) >= 2 and bool((np.diff(open_ms) > 0).all())
    if (
        not good
        or not all(np.isfinite(price).all() for price in prices)
        or min(p.min() for p in prices[:4]) <= 0
    ):
        raise BadInput(
            f"{path} holds no usable candles: needs two or more, in order of time, prices above 0", "feed"
        )
    return Candles(int(np.diff(open_ms).min()), open_ms, *prices)


def read_script(path: Path, into: dict[str, list[ScriptRow]]) -> None:
    """Add the quotes of a JSON-lines file (`t_ms, pair, bid, ask, last`) to `into`, by pair.

    :raises BadInput: with the line number of the first line that cannot be used.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the script {path} cannot be read", "feed") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=Decimal, parse_int=Decimal)
            quote = (
                int(row["t_ms"]),
                Decimal(row["bid"]),
                Decimal(row["ask"]),
                Decimal(row.get("last", row["bid"])),
            )
            rows = into.setdefault(_checked_pair(row["pair"]), [])
        except (ValueError, KeyError, TypeError, InvalidOperation, OverflowError) as error:
            raise BadInput(f"{path}, line {number}: needs t_ms, pair, bid, ask and last", "feed") from error
        t_ms, *prices = quote
        if t_ms < 0 or not all(price.is_finite() for price in prices):
            raise BadInput(f"{path}, line {number}: needs numbers, and t_ms from 0", "feed")
        if not 0 < quote[1] < quote[2] or quote[3] <= 0 or (rows and rows[-1][0] >= quote[0]):
            raise BadInput(f"{path}, line {number}: needs 0 < bid < ask, last > 0 and growing t_ms", "feed")
        rows.append(quote)
    if not into:
        raise BadInput(f"the script {path} holds no quotes", "feed")


def _script_feed(pair: Pair, rows: list[ScriptRow]) -> ScriptFeed:
    for row in rows:
        if any(price != floor_to(price, pair.price_precision) for price in row[1:]):
            raise BadInput(
                f"the script has a price of {pair.name} with more than {pair.price_precision} decimals",
                "feed",
            )
    times, *prices = zip(*rows, strict=True)
    bid, ask, last = ([pair.ticks(price) for price in column] for column in prices)
    return ScriptFeed(pair, list(times), bid, ask, last)
