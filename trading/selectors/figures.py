"""The figures of one session, derived from its row and its latest equity point."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.models import LiveSession
from trading.models.session import DRIVEN as DRIVEN

REPLAY_APART_MS = 600_000  # a venue clock this far from the wall clock at the start replays the past
SILENT_S = 30.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Amounts in quote currency, shares as fractions, ages in seconds; None means not known."""

    session: LiveSession
    equity: Decimal | None  # latest EquityPoint
    pnl_today: Decimal | None
    pnl_total: Decimal | None
    return_total: Decimal | None
    unrealised: Decimal | None
    exposure: Decimal | None
    drawdown: Decimal | None
    sharpe: float | None
    decision_age_s: float | None  # of replays up to the last price, on their own clock
    data_age_s: float | None  # wall clock; None for replays, whose clock is their own
    is_replay: bool
    is_stale: bool

    @property
    def coin(self) -> str:
        return self.session.pair.split("/")[0]

    @property
    def currency(self) -> str:
        return self.session.pair.rpartition("/")[2]


def figures_of(
    session: LiveSession,
    *,
    equity: Decimal | None,
    decided_ms: int | None,
    now: datetime,
    sharpe: float | None = None,
) -> Figures:
    """Return what is shown of `session`.

    :param equity: of its latest equity point.
    :param decided_ms: venue clock of its last decision.
    """
    price_known = session.price > 0
    value = session.held * session.price if price_known else None
    is_replay = _is_replay(session)
    return Figures(
        session=session,
        equity=equity,
        pnl_today=_today(session, equity),
        pnl_total=_minus(equity, session.capital),
        return_total=_ratio(_minus(equity, session.capital), session.capital),
        unrealised=session.held * (session.price - session.entry_price) if price_known else None,
        exposure=_ratio(value, equity),
        drawdown=_drawdown(session, equity),
        sharpe=sharpe,
        decision_age_s=_decision_age(session, decided_ms, now, is_replay=is_replay),
        data_age_s=_data_age(session, now) if not is_replay else None,
        is_replay=is_replay,
        is_stale=_is_stale(session, now, is_replay=is_replay),
    )


def _minus(equity: Decimal | None, start: Decimal | None) -> Decimal | None:
    return equity - start if equity is not None and start else None


def _today(session: LiveSession, equity: Decimal | None) -> Decimal | None:
    """Return the day's profit, with what the day's limit no longer counts since a person resumed it."""
    earlier = session.forgiven if session.forgiven_on == session.day else Decimal(0)
    found = _minus(equity, session.day_equity)
    return None if found is None else found + earlier


def _drawdown(session: LiveSession, equity: Decimal | None) -> Decimal | None:
    highest = max(session.peak_equity, session.top_equity)
    return 1 - equity / highest if equity is not None and highest else None


def _ratio(value: Decimal | None, of: Decimal | None) -> Decimal | None:
    return value / of if value is not None and of else None


def _is_replay(session: LiveSession) -> bool:
    started_ms = session.started_ms
    return bool(started_ms) and abs(started_ms - session.created_at.timestamp() * 1000) > REPLAY_APART_MS


def _data_age(session: LiveSession, now: datetime) -> float | None:
    return max(0.0, now.timestamp() - session.price_ms / 1000) if session.price_ms else None


def _decision_age(
    session: LiveSession, decided_ms: int | None, now: datetime, *, is_replay: bool
) -> float | None:
    """Return how old a decision is by now: a price that has stopped moving does not keep it young."""
    if not decided_ms:
        return None
    by_price = max(0, session.price_ms - decided_ms) / 1000
    return by_price if is_replay else max(by_price, now.timestamp() - decided_ms / 1000)


def _is_stale(session: LiveSession, now: datetime, *, is_replay: bool) -> bool:
    """Say whether what is shown is old: no runner has reported, or its prices have not moved on."""
    if session.status not in DRIVEN:
        return False
    allowed = max(SILENT_S, 6 * session.account.poll_s)
    if (now - (session.turn_at or session.created_at)).total_seconds() > allowed:
        return True
    age = None if is_replay else _data_age(session, now)
    return age is not None and age > max(allowed, session.risk.max_stale_s)
