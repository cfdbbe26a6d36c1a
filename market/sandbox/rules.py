"""What the field guide marks as inferred or odd about the venue: each can be switched."""

import re
from dataclasses import asdict, dataclass, fields
from decimal import Decimal

PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{0,18})?|\.[0-9]{1,18}")


@dataclass(slots=True)
class Quirks:
    """Switches of the imitation, with the venue's (likely) behaviour as default."""

    filled_quantity: bool = True  # query rows of pending and canceled orders show FilledQuantity = Quantity
    refuse_offset_0: bool = True  # query_order with offset=0 is refused
    spot_wallet: bool = True  # balance answers carry `SpotWallet`, as live
    wallet: bool = False  # balance answers (also) carry `Wallet`, as documented
    split_lock: bool = True  # PendingOrders and ShortCollateral beside Lock
    lock_includes_fee: bool = True  # a resting BUY locks its maker fee too
    strict_minimum: bool = True  # notional must exceed MiniOrder; off: may equal it
    marketable_limit_is_maker: bool = False  # off: fills at the touch as taker
    commission_coin_stays: bool = False  # a filled maker BUY keeps the coin as CommissionCoin
    shorts: bool = True  # accounts may open shorts
    tiny_exponent: bool = True  # tiny ticker prices are written like 6.51e-06
    count_unsigned: bool = False  # unsigned calls that carry a key count towards the rate limit

    def as_dict(self) -> dict[str, bool]:
        return asdict(self)


QUIRKS = tuple(field.name for field in fields(Quirks))


def plain_decimal(value: str | None) -> Decimal | None:
    """Return a number written plainly (`0.001`, never `1e-3`), or None."""
    return Decimal(value) if value is not None and PLAIN.fullmatch(value) else None
