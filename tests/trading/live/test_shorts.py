"""Sessions that go short: closed before turned, settled by asking, counted once."""

from decimal import Decimal

import pytest

from market.errors import BadInput
from trading import services
from trading.models import Alert, Order, Reconciliation, SessionStatus
from trading.models import OrderStatus as S

FLIPS = {"baseline": "random_long_short", "settings": {"turnover": 1.0, "share": 0.8, "seed": 1}}


def flips(live, **options):
    return live.start(**{**FLIPS, **options})


def short_at(live, pair="BTC/USD"):
    return next((one for one in live.venue.account()["shorts"] if one["pair"] == pair), None)


def filled(live):
    return list(live.session.orders.filter(status=S.FILLED).order_by("id").values_list("side", flat=True))


def books_agree(live):
    """Coins and dollars as the venue's ledger, shorts as its positions: to the last digit."""
    ours = live.books()
    shorts = {f"{one['pair']} short": Decimal(one["quantity"]) for one in live.venue.account()["shorts"]}
    assert ours == live.ledger() | shorts
    for one in live.venue.account()["shorts"]:
        row = live.account.holdings.get(coin=f"{one['pair']} short")
        assert (row.entry_price, row.collateral) == (Decimal(one["entry"]), Decimal(one["collateral"]))
    return True


def test_a_policy_that_flips_closes_before_it_opens_and_the_books_are_the_venues(live):
    flips(live)
    live.turn()
    live.bar(4)
    assert filled(live)[:5] == ["BUY", "SELL", "SHORT_OPEN", "SHORT_CLOSE", "BUY"]
    assert books_agree(live)
    assert not live.account.ledger.filter(kind="adjustment").exists()


def test_a_sessions_equity_is_the_venues_short_or_long(live):
    flips(live)
    live.turn()
    for _ in range(4):
        live.bar()
        session, theirs = live.session, live.venue.account()
        owned = sum(Decimal(part) for part in theirs["purses"]["USD"].values())
        price = Decimal(live.venue.state()["prices"]["BTC/USD"]["ask" if session.held < 0 else "bid"])
        worth = owned + sum(
            (Decimal(one["quantity"]) * (Decimal(one["entry"]) - price) for one in theirs["shorts"]), Decimal(0)
        )
        worth += sum((Decimal(part) for part in theirs["purses"].get("BTC", {}).values()), Decimal(0)) * price
        assert session.cash + session.held * price == worth
