"""What the venues behind ccxt do differently, as far as an order placed exactly once depends on it.

Only venues are listed whose orders can be asked for by an id of our own; the suite of the port runs against
a stand-in of each.
"""

from typing import Any, Protocol

from trading.exchanges.ccxt_wire import NoSuchOrder
from trading.exchanges.port import Proposal

RECEIVE_MS = 5_000  # a venue may accept an order so long after its timestamp; `settle.BOUND_MS` is longer


class Dialect(Protocol):
    """One venue's ways. Orders and trades are the library's own dicts."""

    name: str
    label: str
    options: dict[str, Any]
    most_orders: int
    most_trades: int

    def place(self, client: Any, order: Proposal) -> dict[str, Any]:
        """Send an order; what comes back may hold no more than its id."""
        ...

    def find(self, client: Any, pair: str, *, order_id: str = "", client_id: str = "") -> dict[str, Any]:
        """Return one order by one of its ids. :raises NoSuchOrder: or the library's OrderNotFound."""
        ...

    def orders(self, client: Any, pair: str, count: int) -> list[dict[str, Any]]:
        """Return the newest orders of a pair, open ones included, in any order."""
        ...


class Binance:
    """Spot, testnet or demo: an order's answer is complete."""

    name = "binance"
    label = "Binance (testnet, demo) through ccxt"
    options = {"recvWindow": RECEIVE_MS, "hasAlreadyAuthenticatedSuccessfully": False}
    most_orders = 1000
    most_trades = 1000

    def place(self, client: Any, order: Proposal) -> dict[str, Any]:
        more = {"newClientOrderId": order.client_id, "newOrderRespType": "FULL"}
        return _created(client, order, more)

    def find(self, client: Any, pair: str, *, order_id: str = "", client_id: str = "") -> dict[str, Any]:
        found: dict[str, Any] = client.fetch_order(
            order_id or None, pair, {"origClientOrderId": client_id} if client_id else {}
        )
        return found

    def orders(self, client: Any, pair: str, count: int) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = client.fetch_orders(pair, None, count)
        return listed


class Bybit:
    """Unified accounts, spot, testnet or demo: an order's answer holds its ids only."""

    name = "bybit"
    label = "Bybit (testnet, demo) through ccxt"
    options = {"recvWindow": RECEIVE_MS, "enableUnifiedAccount": True, "enableUnifiedMargin": False,
               "unifiedMarginStatus": 6}  # fmt: skip
    most_orders = 50
    most_trades = 100

    def place(self, client: Any, order: Proposal) -> dict[str, Any]:
        return _created(client, order, {"clientOrderId": order.client_id})

    def find(self, client: Any, pair: str, *, order_id: str = "", client_id: str = "") -> dict[str, Any]:
        asked = {"orderLinkId": client_id} if client_id else {"orderId": order_id}
        for read in self._lists(client):
            rows = self._rows(client, read, pair, asked)
            if rows:
                return rows[0]
        raise NoSuchOrder("the venue knows no order of that id")

    def orders(self, client: Any, pair: str, count: int) -> list[dict[str, Any]]:
        asked = {"limit": str(count)}
        found = [row for read in self._lists(client) for row in self._rows(client, read, pair, asked)]
        return list({row["id"]: row for row in reversed(found)}.values())  # the fresher list wins

    def _lists(self, client: Any) -> tuple[Any, ...]:
        """What is open or has just ended, then what is a little older."""
        return client.private_get_v5_order_realtime, client.private_get_v5_order_history

    def _rows(self, client: Any, read: Any, pair: str, asked: dict[str, str]) -> list[dict[str, Any]]:
        market = client.market(pair)
        answer = read({"category": "spot", "symbol": market["id"], **asked})
        return [client.parse_order(row, market) for row in answer["result"]["list"]]


DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Binance(), Bybit())}


def _created(client: Any, order: Proposal, more: dict[str, Any]) -> dict[str, Any]:
    placed: dict[str, Any] = client.create_order(
        order.pair, order.type.lower(), order.side.lower(), order.quantity, order.price, more
    )
    return placed
