"""Accounts: adding one, changing its secret, testing its connection. Each act leaves an audit row."""

import time
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from market.web import numbers
from trading.exchanges.errors import (
    BadAnswer,
    BadCredentials,
    ClockSkew,
    ExchangeError,
    Throttled,
    Unreachable,
    VenueClosed,
)
from trading.exchanges.paper import OPENING_USD, open_books
from trading.exchanges.port import Balance, Exchange
from trading.exchanges.registry import KEYLESS, connect, factory_of
from trading.exchanges.stream_dialects import STREAMS
from trading.models import Account, ForeignOrders
from trading.secrets import seal, unseal

USUAL_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
MAX_CALLS_PER_MINUTE = 100_000
POLL_RANGE_S = (0.05, 3600.0)
OFFSET_WORTH_TELLING_MS = 2_000


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of testing a connection; `sentence` is for people."""

    ok: bool
    sentence: str
    balances: dict[str, Balance] = field(default_factory=dict)
    clock_offset_ms: int | None = None  # venue clock minus ours; None when the venue told no time


@transaction.atomic
def create_account(
    *,
    owner: User,
    name: str,
    venue: str,
    base_url: str,
    key: str = "",
    secret: str = "",
    candles_url: str = "",
    stream_url: str = "",
    calls_per_minute: int = 28,
    poll_s: float = 5.0,
    foreign_orders: str = ForeignOrders.ADOPT,
    paper_usd: Decimal | None = None,
    by: User | None = None,
) -> Account:
    """Add an account. Nothing is asked of the venue: see `check_account`.

    :param stream_url: where prices come from by WebSocket; without it they are polled.
    :param foreign_orders: what sessions make of orders placed by hand, "adopt" or "ignore".
    :param paper_usd: what a paper account starts with; 50,000 unless given.
    :raises BadInput: with the field that is wrong.
    """
    factory_of(venue)
    name, key, secret = name.strip(), key.strip(), secret.strip()
    if not 0 < len(name) <= 80:
        raise BadInput("an account needs a name of at most 80 characters", field="name")
    if Account.objects.filter(owner=owner, name=name).exists():
        raise Conflict(f"you already have an account named {name!r}; choose another name", field="name")
    base_url = _address(base_url, "base_url")
    candles_url = _address(candles_url, "candles_url") if candles_url.strip() else ""
    stream_url = _stream_address(stream_url, venue) if stream_url.strip() else ""
    if venue in KEYLESS:
        key = secret = ""
    else:
        _check_credentials(key, secret)
        _check_key_is_new(venue, base_url, key)
    _check_pace(calls_per_minute, poll_s)
    _check_policy(foreign_orders)
    try:
        with transaction.atomic():
            account = Account.objects.create(
                owner=owner, name=name, venue=venue, base_url=base_url, candles_url=candles_url,
                stream_url=stream_url, api_key=key,
                secret=seal(secret) if secret else b"", calls_per_minute=calls_per_minute, poll_s=poll_s,
                foreign_orders=foreign_orders,
            )  # fmt: skip
    except IntegrityError:
        if key:
            _check_key_is_new(venue, base_url, key)  # two requests at once: the constraint let one through
        raise Conflict(
            f"you already have an account named {name!r}; choose another name", field="name"
        ) from None
    if venue in KEYLESS:
        open_books(account.pk, _opening_money(paper_usd))
    _audit(account, "account.create", by or owner, venue=venue, base_url=base_url, key=masked_key(account))
    return account


def create_checked_account(*, by: User | None = None, **asked: Any) -> tuple[Account, CheckResult]:
    """Add an account and test its connection; one that does not work is not kept. Takes `create_account`'s.

    :raises BadInput: as `create_account`, or with what the test found.
    """
    account = create_account(by=by, **asked)
    try:
        result = check_account(account=account, by=by)
        if not result.ok:
            raise BadInput(f"{result.sentence} The account was not added.")
    except BaseException:
        with transaction.atomic():
            _audit(account, "account.discard", by or account.owner, name=account.name)
            account.delete()
        raise
    return account, result


@transaction.atomic
def rotate_secret(
    *, account: Account, secret: str, key: str | None = None, by: User | None = None
) -> Account:
    """Store a new secret, and a new key if one is given.

    :raises BadInput: when either cannot be one.
    """
    if account.venue in KEYLESS:
        raise BadInput("a paper account has no key and no secret", field="secret")
    key = account.api_key if key is None else key.strip()
    _check_credentials(key, secret.strip())
    if key != account.api_key:
        _check_key_is_new(account.venue, account.base_url, key)
    account.api_key, account.secret, account.last_error = key, seal(secret.strip()), ""
    try:
        with transaction.atomic():
            account.save(update_fields=["api_key", "secret", "last_error"])
    except IntegrityError:
        raise _key_is_known() from None
    _audit(account, "account.rotate_secret", by or account.owner, key=masked_key(account))
    return account


def open_secret(account: Account) -> str:
    """Return the account's secret. For adapters and the demo's sandbox only; never show or log it.

    :raises BadInput: when the stored secret cannot be opened with today's FERNET_KEYS.
    """
    return unseal(account.secret) if account.secret else ""


def masked_key(account: Account) -> str:
    """Return enough of the key to recognise it."""
    key = account.api_key
    if len(key) < 16:
        return "•" * 8 if key else ""
    return f"{key[:4]}…{key[-4:]}"


def account_named(name: str, *, user: str | None = None) -> Account:
    """Return the account of that name or id, for commands.

    :param user: name of the owner, needed where several people have an account of that name.
    :raises BadInput: when there is none, or more than one.
    """
    found = Account.objects.filter(name=name)
    if not found.exists() and name.isascii() and name.isdigit():
        found = Account.objects.filter(pk=int(name[:18]))
    if user is not None:
        found = found.filter(owner__username=user)
    matches = list(found[:2])
    if not matches:
        raise BadInput(f"there is no account {name!r}", field="account")
    if len(matches) > 1:
        raise BadInput(f"several people have an account {name!r}: say which with --user", field="account")
    return matches[0]


def check_account(*, account: Account, by: User | None = None) -> CheckResult:
    """Test the connection: is the venue there, does it take our clock, the key and the secret?"""
    result = _checked(account)
    account.last_error = "" if result.ok else result.sentence
    with transaction.atomic():
        account.save(update_fields=["last_error"])
        _audit(account, "account.check", by or account.owner, ok=result.ok, sentence=result.sentence)
    return result


def _checked(account: Account) -> CheckResult:
    offset_ms = None
    try:
        exchange = connect(account)
        offset_ms = exchange.server_ms() - time.time_ns() // 1_000_000
        return _read_all(exchange, offset_ms)
    except BadInput as error:
        return CheckResult(False, sentence_of(error.message), clock_offset_ms=offset_ms)
    except ExchangeError as error:
        return CheckResult(False, failure(account, error, offset_ms), clock_offset_ms=offset_ms)


def _read_all(exchange: Exchange, offset_ms: int) -> CheckResult:
    pairs = exchange.instruments()
    balances = exchange.balances(allow_empty=True)
    if not any(balance.total for balance in balances.values()):
        return CheckResult(True, "The connection works, but the account holds no money.", balances, offset_ms)
    sentence = f"The connection works: {len(pairs)} pairs, {_purse(balances)}"
    sentence += "." if exchange.tradable() else ", but the venue takes no orders at present."
    if abs(offset_ms) > OFFSET_WORTH_TELLING_MS:
        sentence += f" The venue's clock is {_apart(offset_ms)} ours; this is allowed for."
    return CheckResult(True, sentence, balances, offset_ms)


def failure(account: Account, error: ExchangeError, offset_ms: int | None = None) -> str:
    """Return one sentence that says what a failed call means and what to do."""
    url = account.base_url
    match error:
        case BadCredentials():
            return "The venue does not accept this key and secret: check both and enter them again."
        case ClockSkew():
            off = "" if offset_ms is None else f" (it is {_apart(offset_ms)} ours)"
            return (
                f"The venue refuses our time although its own clock was just read{off}: check the clock here."
            )
        case Throttled():
            return f"Too many calls this minute: try again in {error.wait_s:.0f} s."
        case VenueClosed():
            return f"The venue does not let this account trade now: {error}."
        case Unreachable():
            return f"The venue at {url} cannot be reached: {error}. Check the address, and whether it is up."
        case BadAnswer():
            return f"The server at {url} did not answer as the venue does: {error}."
    return sentence_of(str(error))


def sentence_of(text: str) -> str:
    """Return `text` with a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _apart(offset_ms: int) -> str:
    size_s = abs(offset_ms) / 1000
    span = f"{size_s:.1f} s" if size_s < 60 else numbers.seconds(size_s)
    return f"{span} {'ahead of' if offset_ms > 0 else 'behind'}"


def _purse(balances: dict[str, Balance]) -> str:
    held = [f"{balance.total:,f} {coin}" for coin, balance in balances.items() if balance.total]
    return ", ".join(held[:4]) + (f" and {len(held) - 4} more coins" if len(held) > 4 else "")


def _stream_address(text: str, venue: str) -> str:
    if venue not in STREAMS:
        raise BadInput(
            f"{venue} has no price stream: leave its address out, prices are polled then", field="stream_url"
        )
    return _address(text, "stream_url", ("ws", "wss"), "wss://stream.binance.com:9443")


def _address(
    text: str,
    name: str,
    schemes: tuple[str, ...] = ("http", "https"),
    example: str = "https://mock-api.roostoo.com",
) -> str:
    """Return a base address: scheme and host in small letters, no usual port, no trailing slash."""
    text = text.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment or len(text) > 200 or " " in text:
        raise BadInput(f"{text!r} is not an address like {example}", field=name)
    return _spelled(parts)


def _spelled(parts: SplitResult) -> str:
    """Return an address as it is always spelled: one venue is one place, and one key there one account."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = "" if parts.port in (None, USUAL_PORTS[parts.scheme]) else f":{parts.port}"
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))


def _check_credentials(key: str, secret: str) -> None:
    for value, name in ((key, "key"), (secret, "secret")):
        if not value:
            raise BadInput(f"this venue needs a {name}", field=name)
        if len(value) > 200 or not (value.isascii() and value.isprintable()) or " " in value:
            raise BadInput(f"the {name} is not one: at most 200 printable characters, no spaces", field=name)


def _check_key_is_new(venue: str, base_url: str, key: str) -> None:
    """Two accounts with one key would each take the other's orders for foreign ones."""
    known = Account.objects.filter(venue=venue, api_key=key).values_list("base_url", flat=True)
    if any(_spelled(urlsplit(one)) == base_url for one in known):  # older ones are spelled as they were given
        raise _key_is_known()


def _key_is_known() -> Conflict:
    return Conflict("an account with this key exists already; use that one", field="key")


@transaction.atomic
def treat_foreign_orders(*, account: Account, foreign_orders: str, by: User | None = None) -> Account:
    """Say what the account's sessions make of orders placed by hand from now on.

    :raises BadInput: for anything but "adopt" and "ignore".
    """
    _check_policy(foreign_orders)
    account.foreign_orders = foreign_orders
    account.save(update_fields=["foreign_orders"])
    _audit(account, "account.foreign_orders", by or account.owner, policy=foreign_orders)
    return account


@transaction.atomic
def poll_every(*, account: Account, poll_s: float, by: User | None = None) -> Account:
    """Read the account's prices so often from now on; its sessions at work follow with their next price.

    :param poll_s: seconds of the wall clock between two reads
    :raises BadInput: when that is too often or too seldom.
    """
    _check_pace(account.calls_per_minute, poll_s)
    account.poll_s = poll_s
    account.save(update_fields=["poll_s"])
    _audit(account, "account.poll", by or account.owner, poll_s=poll_s)
    return account


def _check_policy(foreign_orders: str) -> None:
    if foreign_orders not in ForeignOrders.values:
        raise BadInput(
            f"orders placed by hand: choose adopt or ignore, not {str(foreign_orders)[:20]!r}",
            field="foreign_orders",
        )


def _check_pace(calls_per_minute: int, poll_s: float) -> None:
    if not 1 <= calls_per_minute <= MAX_CALLS_PER_MINUTE:
        raise BadInput(
            f"calls per minute must be 1 to {MAX_CALLS_PER_MINUTE:,}, not {calls_per_minute}",
            field="calls_per_minute",
        )
    if not POLL_RANGE_S[0] <= poll_s <= POLL_RANGE_S[1]:
        raise BadInput(f"seconds between polls must be 0.05 to 3600, not {poll_s}", field="poll_s")


def _opening_money(paper_usd: Decimal | None) -> Decimal:
    if paper_usd is None:
        return OPENING_USD
    try:
        amount = Decimal(paper_usd)
    except InvalidOperation:
        raise BadInput(f"{paper_usd!r} is no amount of money", field="paper_usd") from None
    if not amount.is_finite() or not 0 < amount <= 10**12:
        raise BadInput("a paper account starts with more than 0 and at most 10^12 USD", field="paper_usd")
    return amount


def _audit(account: Account, action: str, actor: User, **detail: Any) -> None:
    AuditEvent.objects.create(
        actor=actor, owner=account.owner, action=action, object_type="account", object_id=str(account.pk),
        detail=detail,
    )  # fmt: skip
