"""Which pairs are worth trading, and why the others are not."""

import numpy as np
import pytest

from market import archive, services
from market.candles import Candles
from market.errors import BadInput
from market.models import Series
from market.ranking import rank_archive, rank_from_ticker

START = 1_704_067_200_000
HOUR = 3_600_000


def stored(pair, *, swing=0.01, price=100.0, traded=1e6, hours=720, keep=lambda k: k >= 0, start=START):
    """Store hours that swing by `swing` around `price` while `traded` dollars an hour change hands."""
    k = np.flatnonzero(keep(np.arange(hours)))
    close = price * (1 + swing * (-1.0) ** k)
    series = Series.objects.create(source="test", pair=pair, interval_ms=HOUR)
    archive.merge(
        series, Candles(HOUR, start + k * HOUR, close, close * 1.001, close * 0.999, close, traded / close)
    )
    return series


def ranked(**given):
    return rank_archive(Series.objects.all(), **given)


def reason(pair, ranking=None):
    excluded = (ranking or ranked()).excluded
    return next(row["reason"] for row in excluded if row["pair"] == pair)


@pytest.fixture
def market(db):
    stored("BTC/USD", swing=0.005, traded=5e6)
    stored("DOGE/USD", swing=0.03, traded=1e6)
    stored("ADA/USD", swing=0.01, traded=2e6)


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("volatility", ["DOGE/USD", "ADA/USD", "BTC/USD"]),
        ("liquidity", ["BTC/USD", "ADA/USD", "DOGE/USD"]),
    ],
)
def test_pairs_are_ranked_by_what_was_asked(market, by, order):
    assert [row["pair"] for row in ranked(by=by).ranked] == order
    assert [row["rank"] for row in ranked(by=by).ranked] == [1, 2, 3]


def test_the_score_weighs_both_alike(market):
    assert [row["score"] for row in ranked().ranked] == [pytest.approx(2 / 3)] * 3


def test_volatility_is_a_year_of_365_days(market):
    row = next(row for row in ranked().ranked if row["pair"] == "ADA/USD")
    hourly = np.log(1.01 / 0.99)
    assert row["volatility"] == pytest.approx(hourly * np.sqrt(24 * 365), rel=1e-3)
    assert row["liquidity"] == pytest.approx(48e6)


def test_only_the_best_are_shown_when_asked(market):
    assert len(ranked(top=1).ranked) == 1


@pytest.mark.parametrize(
    ("pair", "given", "words"),
    [
        ("USDC/USD", {}, "stablecoin"),
        ("NEW/USD", {"price": 1.0, "swing": 0.001}, "stays within 1 % of a dollar"),
        ("THIN/USD", {"traded": 1e3}, "thin: 24,000 dollars traded"),
        ("HOLES/USD", {"keep": lambda k: k % 5 > 0}, "thin: 20% of its bars are absent"),
        ("ETH/BTC", {}, "quoted in BTC"),
        ("YOUNG/USD", {"hours": 12}, "only 12 bars"),
        ("OLD/USD", {"start": START - 100 * 86_400_000}, "before the others' window"),
    ],
)
def test_unfit_pairs_are_left_out_with_the_reason(market, pair, given, words):
    stored(pair, **given)
    assert words in reason(pair)
    assert pair not in [row["pair"] for row in ranked().ranked]


def test_a_pair_is_measured_once_on_its_newest_series(market):
    services.synthesize(name="old", bars=100, seed=1, pair="BTC/USD", interval="1h")
    assert [row["pair"] for row in ranked().ranked].count("BTC/USD") == 1


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{"by": "beauty"}, {"top": 0}])
def test_absurd_requests_are_refused(wrong):
    with pytest.raises(BadInput):
        ranked(**wrong)


def quote(**changed):
    return {"bid": 99.99, "ask": 100.01, "last": 100, "change_24h": 0.05, "quote_volume_24h": 1e8} | changed


TICKER = {
    "BTC/USD": quote(quote_volume_24h=1e10, change_24h=-0.01),
    "SOL/USD": quote(change_24h=-0.08),
    "USDC/USD": quote(),
    "PEG/USD": quote(bid=0.9999, ask=1.0001, last=1.0, change_24h=0.0001),
    "WIDE/USD": quote(bid=99, ask=101),
    "DRY/USD": quote(quote_volume_24h=10),
    "CROSSED/USD": quote(bid=102),
    "SILENT/USD": {},
    "NAN/USD": quote(last=float("nan")),
}


def test_a_ticker_ranks_by_the_days_change_and_volume():
    assert [row["pair"] for row in rank_from_ticker(TICKER, by="volatility").ranked] == ["SOL/USD", "BTC/USD"]
    assert [row["pair"] for row in rank_from_ticker(TICKER, by="liquidity").ranked] == ["BTC/USD", "SOL/USD"]


@pytest.mark.parametrize(
    ("pair", "words"),
    [("USDC/USD", "stablecoin"), ("PEG/USD", "stablecoin"), ("WIDE/USD", "spread of 200.0 bp"),
     ("DRY/USD", "thin"), ("CROSSED/USD", "no usable quote"),
     ("SILENT/USD", "no usable quote"), ("NAN/USD", "no usable quote")],
)  # fmt: skip
def test_unfit_quotes_are_left_out_with_the_reason(pair, words):
    assert words in reason(pair, rank_from_ticker(TICKER))


def test_real_pairs_of_the_same_weeks_are_ranked(db, shared_data):
    for name in ("BTC", "ETH", "DOGE"):
        services.import_file(path=shared_data / f"binance-{name}USDT-1h-20200101-20250131.parquet")
    assert ranked(by="volatility").ranked[0]["pair"] == "DOGE/USDT"
    assert ranked(by="liquidity").ranked[0]["pair"] == "BTC/USDT"
