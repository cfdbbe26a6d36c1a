"""A venue seen through a lease: no call leaves this process unless the lease is ours and long enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from django.conf import settings
from django.db import transaction

from market.leases import Held
from trading.exchanges.port import Balance, ByClientId, Exchange, OrderReport, Proposal, ShortPosition
from trading.models import Account


class LeaseLost(Exception):
    """Somebody else drives this session now: stop, and touch nothing more."""


class KeyReplaced(Exception):
    """The venue refuses our key, and a person has stored another one since: connect anew."""


def require_key(account_id: int, key_mark: str) -> None:
    """Call when the venue has refused the key.

    :param key_mark: of the account as it was when its venue was connected
    :raises KeyReplaced: when another key or secret is stored by now
    """
    if Account.objects.get(pk=account_id).key_mark != key_mark:
        raise KeyReplaced(f"account {account_id}")


class Leased:
    """The calls of an `Exchange` that a session makes, each after a renewal of the session's lease."""

    def __init__(self, exchange: Exchange, lease: Held) -> None:
        self.exchange, self.lease = exchange, lease

    def require(self) -> None:
        """:raises LeaseLost: when the lease has passed on, or could pass on before a call's timeout."""
        if not self.lease.renew():
            raise LeaseLost(self.lease.name)
        self.require_time()

    @contextmanager
    def required(self) -> Iterator[None]:
        """Begin a transaction with `require`: what is written in the block is committed with the renewal.

        Nobody else can have taken the lease before that, and one commit costs half of two.
        """
        before_ms = self.lease.until_ms
        try:
            with transaction.atomic():
                self.require()
                yield
        except BaseException:
            self.lease.until_ms = min(self.lease.until_ms, before_ms)  # the renewal is undone as well
            raise

    def keep(self) -> None:
        """Renew when half of the lease is used up: for turns that make no call.

        :raises LeaseLost: see `require`.
        """
        if self.lease.remaining_s() < settings.LEASE_TTL_S / 2:
            self.require()

    def require_time(self) -> None:
        """Check the time left without renewing: a process that was suspended after its renewal stops here.

        :raises LeaseLost: when the lease would end before a call could.
        """
        if self.lease.remaining_s() <= settings.VENUE_TIMEOUT_S:
            raise LeaseLost(self.lease.name)

    def now_ms(self) -> int:
        return self.exchange.now_ms()

    def server_ms(self) -> int:
        self.require()
        return self.exchange.server_ms()

    def balances(self) -> dict[str, Balance]:
        self.require()
        return self.exchange.balances()

    def report(self, venue_order_id: str) -> OrderReport | None:
        self.require()
        return self.exchange.report(venue_order_id)

    def reports(self, pair: str | None) -> list[OrderReport]:
        self.require()
        return self.exchange.reports(pair, limit=LISTED)

    def short_positions(self) -> list[ShortPosition]:
        self.require()
        return self.exchange.short_positions()

    @property
    def has_client_ids(self) -> bool:
        return self.exchange.has_client_ids

    @property
    def lists_emptied(self) -> bool:
        return self.exchange.lists_emptied

    def find(self, pair: str, client_id: str) -> OrderReport | None:
        self.require()
        return cast(ByClientId, self.exchange).find(pair, client_id)

    def cancel(self, venue_order_id: str) -> bool:
        self.require()
        return self.exchange.cancel(venue_order_id)

    def place(self, order: Proposal) -> OrderReport:
        """Send; the caller has renewed before it committed the intent, so only the time is checked.

        It is checked where the order leaves the adapter: a process may be suspended anywhere before that.
        """
        return self.exchange.place(replace(order, before_send=self.require_time))


LISTED = 100  # rows asked for in one order query
