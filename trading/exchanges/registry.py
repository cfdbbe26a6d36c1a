"""Venue name -> adapter for one account, with its HTTP client, clock, time limits, budget and secret."""

import time
from collections.abc import Callable
from typing import Any, cast

import requests
from django.conf import settings

from market.errors import BadInput
from market.sources.ccxt_client import PREFIX, open_client
from trading.budget import Budget
from trading.exchanges.binance_prices import BinancePrices
from trading.exchanges.ccxt_dialects import DIALECTS
from trading.exchanges.ccxt_venue import Ccxt
from trading.exchanges.ccxt_wire import CcxtWire
from trading.exchanges.clock import VenueClock
from trading.exchanges.http import JsonHttp
from trading.exchanges.paper import Paper, Prices
from trading.exchanges.port import Exchange
from trading.exchanges.roostoo import Roostoo
from trading.exchanges.roostoo_wire import Credentials, RoostooWire
from trading.exchanges.stream_dialects import STREAMS
from trading.exchanges.streamed import Streamed
from trading.models import Account
from trading.secrets import unseal

CONNECT_SHARE = 0.3  # of VENUE_TIMEOUT_S; the rest is for the answer


def _http(account: Account, clock: VenueClock, dialect: str) -> JsonHttp:
    total_s = settings.VENUE_TIMEOUT_S
    return JsonHttp(
        account.base_url,
        http=requests.Session(),
        timeout_s=(total_s * CONNECT_SHARE, total_s * (1 - CONNECT_SHARE)),
        local_s=clock.local_s,
        dialect=dialect,
    )


def _budget(account: Account) -> Budget:
    return Budget(account.pk, account.calls_per_minute)


def _roostoo(account: Account, clock: VenueClock, *, credentials: Credentials | None) -> Roostoo:
    http = _http(account, clock, "a Roostoo server")
    return Roostoo(RoostooWire(http, credentials, clock=clock, spend=_budget(account)))


def _live_roostoo(account: Account, clock: VenueClock) -> Exchange:
    return _roostoo(account, clock, credentials=Credentials(account.api_key, unseal(account.secret)))


def _paper(account: Account, clock: VenueClock) -> Exchange:
    return Paper(_roostoo(account, clock, credentials=None), account.pk)


def _binance_prices(account: Account, clock: VenueClock) -> Prices:
    return BinancePrices(_http(account, clock, "Binance"), clock=clock, spend=_budget(account))


def _paper_binance(account: Account, clock: VenueClock) -> Exchange:
    return Paper(_binance_prices(account, clock), account.pk)


def _with_stream(account: Account, clock: VenueClock) -> Exchange:
    from trading.exchanges.stream import PriceStream

    stream = PriceStream(STREAMS[account.venue], account.stream_url)
    if account.venue == "paper-binance":  # its fills want the same prices
        return Paper(cast(Prices, Streamed(_binance_prices(account, clock), stream)), account.pk)
    return cast(Exchange, Streamed(factory_of(account.venue)(account, clock), stream))


def _ccxt(account: Account, clock: VenueClock) -> Exchange:
    dialect = DIALECTS[account.venue.removeprefix(PREFIX)]
    secret = unseal(account.secret)

    def client() -> Any:
        opened = open_client(dialect.name, account.base_url, **dialect.options)
        opened.apiKey, opened.secret = account.api_key, secret
        return opened

    http = _http(account, clock, f"{dialect.name} (through ccxt)")
    wire = CcxtWire(http, client, clock=clock, spend=_budget(account))
    return Ccxt(wire, dialect, lambda: _pairs_of(account))


def _pairs_of(account: Account) -> set[str]:
    """Return the pairs that anything of ours has traded or trades on an account."""
    traded = account.orders.order_by().values_list("pair", flat=True).distinct()
    return {*traded, *account.sessions.values_list("pair", flat=True).distinct()}


Factory = Callable[[Account, VenueClock], Exchange]
VENUES: dict[str, Factory] = {
    "roostoo": _live_roostoo,
    "paper": _paper,
    "paper-binance": _paper_binance,
    **{PREFIX + name: _ccxt for name in DIALECTS},
}
LABELS = {
    "roostoo": "Roostoo (or the sandbox)",
    "paper": "Paper trading at Roostoo's prices",
    "paper-binance": "Paper trading at Binance's prices",
    **{PREFIX + name: dialect.label for name, dialect in DIALECTS.items()},
}
SHORTING = ("roostoo", "paper", "paper-binance")  # where sessions may go short
KEYLESS = frozenset({"paper", "paper-binance"})


def connect(account: Account, *, with_stream: bool = False, clock: VenueClock | None = None) -> Exchange:
    """Return the account's venue. Makes no call.

    :param clock: the market's, from whoever reads its prices for several accounts: an account that reads
        none could not tell how fast an accelerated market runs. None: a clock of this account alone.
    :param with_stream: take quotes from the account's price stream, if it has one: for those who read them
        again and again, and call `close` in the end.
    :raises BadInput: when the venue's name is unknown or the stored secret cannot be opened.
    """
    clock = clock or VenueClock(time.monotonic)
    if with_stream and account.stream_url:
        return _with_stream(account, clock)
    return factory_of(account.venue)(account, clock)


def stream_state(exchange: Exchange) -> dict[str, Any]:
    """Return how a venue's price stream goes; empty where there is none, or nobody has asked it yet."""
    prices = exchange.prices if isinstance(exchange, Paper) else exchange
    if not isinstance(prices, Streamed):
        return {}
    state = prices.stream.state
    return state if state["connections"] or state["failures"] else {}


def close(exchange: Exchange) -> None:
    """End what runs on behalf of a venue: its price stream, if it has one."""
    if isinstance(exchange, Streamed | Paper):
        exchange.close()


def factory_of(venue: str) -> Factory:
    """:raises BadInput: when no venue has that name."""
    if venue.startswith(PREFIX) and venue not in VENUES:
        known = ", ".join(PREFIX + name for name in DIALECTS)
        raise BadInput(
            f"{venue[:40]} is not known to place an order exactly once; through ccxt there are {known}",
            field="venue",
        )
    if venue not in VENUES:
        raise BadInput(f"there is no venue {venue!r}; use one of {', '.join(VENUES)}", field="venue")
    return VENUES[venue]
