"""The venue's real steps, and strategies over numbers that exist on them."""

from decimal import Decimal

from hypothesis import strategies as st

from market.kernel.instrument import Instrument
from market.kernel.plan import Plan
from market.kernel.step import Rules

# (price decimals, quantity decimals) of every pair the venue listed on 2026-11-21, minimum 1 USD everywhere
PRECISIONS = [
    (2, 3),
    (4, 1),
    (5, 1),
    (3, 2),
    (4, 2),
    (5, 0),
    (6, 0),
    (8, 0),
    (2, 4),
    (2, 2),
    (3, 1),
    (2, 5),
    (1, 4),
]
PRECISIONS += [(3, 3), (4, 0)]
FEE_STEP = Decimal("0.000001")


def instrument(places):
    price, quantity = places
    tick, step = Decimal(1).scaleb(-price), Decimal(1).scaleb(-quantity)
    fees = Decimal("0.001"), Decimal("0.0005")
    return Instrument("X/USD", "X", "USD", tick, step, Decimal(1), *fees, FEE_STEP)


instruments = st.sampled_from(PRECISIONS).map(instrument)


@st.composite
def priced(draw):
    """An instrument, a price on its tick and a signed quantity on its step, worth 1 to 100,000 dollars."""
    traded = draw(instruments)
    price = draw(st.integers(50, 9_999_999)) * traded.tick
    quantity = (Decimal(draw(st.integers(100, 10_000_000))) / 100 / price).quantize(traded.step)
    return traded, price, draw(st.sampled_from([1, -1])) * quantity


fractions = st.integers(0, 50).map(lambda thousandths: Decimal(thousandths) / 1000)
spreads = st.integers(0, 30).map(lambda parts: Decimal(parts) / 10_000)


@st.composite
def rules(draw):
    traded = draw(instruments)
    return traded, Rules(
        tick=traded.tick,
        step=traded.step,
        min_notional=traded.min_notional,
        fee_rate=draw(st.sampled_from([traded.taker_fee, traded.maker_fee])),
        fee_step=traded.fee_step,
        half_spread=draw(spreads),
        slippage=draw(spreads),
        stop_loss=draw(fractions),
        take_profit=draw(fractions),
        trailing=draw(fractions),
        max_order_share=draw(either("0.3", 1)),
        max_position=draw(either(700, 6_000)),
        guard=Decimal(0),
    )


def either(*values):
    """0, which is off, or one of the values."""
    return st.sampled_from([Decimal(0), *map(Decimal, values)])


plans = st.builds(
    Plan,
    is_on=st.just(Decimal(1)),
    stop_atr=either("1.5", 3),
    trailing_atr=either(2),
    trail_step=either("0.01"),
    reward_ratio=either("0.5", 2),
    break_even=either("0.005", "0.02"),
    max_bars=either(2, 5),
    size_fraction=either("0.3"),
    risk_per_trade=either("0.01"),
    volatility_target=either("0.01"),
    kelly_fraction=either("0.5"),
    kelly_cap=st.just(Decimal("0.6")),
    kelly_trades=st.sampled_from([Decimal(3), Decimal(50)]),
    kelly_min_trades=st.sampled_from([Decimal(1), Decimal(3)]),
    streak_losses=either(1, 2),
    streak_factor=st.just(Decimal("0.5")),
    resize_band=either("0.1"),
    dca_lots=either(4),
    dca_first=st.just(Decimal("0.1")),
    dca_spacing=st.just(Decimal("0.01")),
    dca_growth=st.sampled_from([Decimal(1), Decimal("1.5")]),
    dca_reluctance=st.sampled_from([Decimal(1), Decimal(4)]),
    dca_profit=st.just(Decimal("0.01")),
    dca_max_loss=either("0.02", "0.05"),
)
NO_PLAN = Plan(*[Decimal(0)] * len(Plan._fields))


def as_floats(values):
    """The same named tuple in floats, with the float guard."""
    floats = type(values)(*(float(value) for value in values))
    return floats._replace(guard=1e-9) if isinstance(values, Rules) else floats
