"""One session in detail, and lists of sessions."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from agents.observation import PORTFOLIO
from agents.spaces import ActionSpec
from market.kernel.triggers import EXIT_REASONS
from market.web.numbers import plain
from market.web.ownership import visible
from trading import short_books
from trading.execution import Execution
from trading.models import Alert, Decision, EquityPoint, LiveSession, PortfolioPlan
from trading.numbers import exact
from trading.selectors.figures import Figures, figures_of
from trading.selectors.history import given_up, risk_changes
from trading.states import dark_key
from trading.weighing.books import equity_of, have_begun, members_of
from trading.working import working

SHOWN, GIVEN_UP = 12, 5
CONTEST = ("contest_score", "contest_sortino", "contest_sharpe", "contest_calmar")


def with_latest(sessions: QuerySet[LiveSession]) -> QuerySet[LiveSession]:
    """Annotate `latest_equity` and `decided_ms`; no query per row."""
    points = EquityPoint.objects.filter(session=OuterRef("pk")).order_by("-at_ms")
    decisions = Decision.objects.filter(session=OuterRef("pk")).order_by("-bar_ms")
    return sessions.select_related("account", "model", "council", "risk", "plan").annotate(
        latest_equity=Subquery(points.values("equity")[:1]),
        decided_ms=Subquery(decisions.values("decided_ms")[:1]),
    )


def sessions_of(user: Any) -> QuerySet[LiveSession]:
    """Return the sessions `user` may see, newest first, ready to be listed."""
    return with_latest(visible(LiveSession, user))


def session_figures(session: LiveSession, *, now: datetime | None = None) -> Figures:
    """Return the figures of one session; its row should come from `sessions_of`."""
    if not hasattr(session, "latest_equity"):
        session = with_latest(LiveSession.objects.filter(pk=session.pk)).get()
    return figures_of(
        session,
        equity=session.latest_equity,  # type: ignore[attr-defined]
        decided_ms=session.decided_ms,  # type: ignore[attr-defined]
        now=now or timezone.now(),
    )


def live_state(session: LiveSession) -> dict[str, Any]:
    """Return the context of the part of the session page that is refreshed."""
    figures = session_figures(session)
    decisions = list(session.decisions.all()[:SHOWN])
    return {
        "session": figures.session,
        "figures": figures,
        "equity": plain(figures.equity),
        "collateral": collateral_of(figures.session),
        "distances": distances(figures),
        "levels": levels(figures.session),
        "decisions": decisions,
        "names": action_names(figures.session),
        "orders": session.orders.select_related("decision", "parent")[:SHOWN],
        "given_up": given_up(session)[:GIVEN_UP],
        "risk_changes": risk_changes(session)[:SHOWN],
        "fills": session.fills.select_related("order").order_by("-id")[:SHOWN],
        "days": session.days.all()[:14],
        "alerts": _alerts_of(session)[:5],
        **execution_facts(session),
    }


def _alerts_of(session: LiveSession) -> QuerySet[Alert]:
    """Return what is open about a session, or about the prices of its account."""
    of_account = Q(owner=session.owner_id, key=dark_key(session.account_id))
    return Alert.objects.filter(Q(session=session) | of_account, closed_at=None)


def execution_facts(session: LiveSession) -> dict[str, Any]:
    """Return how a session trades, what it works on now, and its contest figures at the last finished day."""
    parent = working(session)
    newest = session.days.values_list("metrics", flat=True).first() or {}
    return {
        "execution": Execution.from_dict(session.settings),
        "parent": parent,
        "parent_left": parent.left if parent else None,
        "contest": {name: newest.get(name) for name in CONTEST},
    }


def collateral_of(session: LiveSession) -> Decimal:
    """Return how much of the account's locked dollars is the collateral of the session's short."""
    if not session.shorted:
        return Decimal(0)
    short = short_books.of_account(session.account).get(session.pair)
    if short is None:
        return Decimal(0)
    return (short.collateral * session.shorted / short.quantity).quantize(short_books.CENT)


def session_facts(session: LiveSession) -> dict[str, Any]:
    """Return what does not change while the page is open."""
    return {"policy": f"baseline: {session.baseline}" if session.baseline else session.policy_name}


def distances(figures: Figures) -> list[dict[str, Any]]:
    """Return how far every limit is: `left` and `limit` as fractions, `used` 0..1 for a meter."""
    session, risk = figures.session, figures.session.risk
    rows = [
        _exit("Stop-loss", "stop_distance", session, session.stop_price, risk.stop_loss),
        _exit("Take-profit", "take_distance", session, session.take_price, risk.take_profit),
    ]
    equity, marks = watched(figures)
    rows.append(_limit("Daily loss", "day_loss_distance", _lost(equity, marks.day_equity), risk.daily_loss))
    rows.append(
        _limit("Weekly loss", "week_loss_distance", _lost(equity, marks.week_equity), risk.weekly_loss)
    )
    fallen = None if equity is None or not marks.peak_equity else 1 - equity / marks.peak_equity
    rows.append(_limit("Drawdown", "drawdown_distance", fallen, risk.max_drawdown))
    return rows


def watched(figures: Figures) -> tuple[Decimal | None, LiveSession | PortfolioPlan]:
    """Return the equity that loss limits act on, and what marks it: of a model's plan all its sessions'."""
    session = figures.session
    if not session.is_weighed or session.plan is None:
        return figures.equity, session
    members = members_of(session.plan)
    return equity_of(members) if have_begun(members) else None, session.plan


def breaker_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return every breaker with the share of it that is used, as `distances` does for the loss limits."""
    losses = [
        row for row in distances(figures) if row["name"].endswith(("loss_distance", "drawdown_distance"))
    ]
    return [*losses, *cautions(figures)]


def cautions(figures: Figures) -> list[dict[str, Any]]:
    """Return how far every breaker that leads to safe mode is, as `distances` does."""
    session, risk = figures.session, figures.session.risk
    fall = _lost(*_cautious(figures))
    rows = [_limit("Safe mode drawdown", "safe_drawdown", fall, risk.safe_drawdown)]
    streak = Decimal(session.loss_streak)
    rows.append(_limit("Losses in a row", "loss_streak", streak, risk.max_loss_streak))
    for label, name, limit in (
        ("PSI", "psi", risk.max_psi),
        ("KS", "ks", risk.max_ks),
        ("Turnover", "turnover", risk.max_turnover),
    ):
        value = session.shown_health.get(name)
        rows.append(_limit(label, f"health_{name}", None if value is None else Decimal(str(value)), limit))
    rows.append(_limit("Failed calls", "venue_errors", None, risk.max_error_share))  # its driver counts them
    rows.append(_least("Entropy", "health_entropy", session.shown_health.get("entropy"), risk.min_entropy))
    return rows


def _cautious(figures: Figures) -> tuple[Decimal | None, Decimal]:
    equity, marks = watched(figures)
    return equity, marks.caution_peak


def _lost(equity: Decimal | None, start: Decimal) -> Decimal | None:
    return max(Decimal(0), 1 - equity / start) if equity is not None and start else None


def _exit(label: str, name: str, session: LiveSession, level: Decimal, limit: float) -> dict[str, Any]:
    """Return the distance to the acting level, named after the rule that set it."""
    left = _gap(session, level)
    rule = EXIT_REASONS.get(session.stop_kind if name == "stop_distance" else session.take_kind, "")
    if left is None or not rule or not session.entry_price:
        return _distance(label, name, left, limit)
    whole = abs(session.entry_price - level) / session.entry_price
    return {**_distance(rule[:1].upper() + rule[1:], name, left, float(whole)), "is_on": True}


def levels(session: LiveSession) -> list[dict[str, Any]]:
    """Return every exit in force: its rule, its price or what is left of its time, whether it acts first."""
    acting = {EXIT_REASONS.get(kind) for kind in (session.stop_kind, session.take_kind)}
    return [
        {
            "rule": rule,
            "level": level,
            "price": None if level.endswith("bars") else Decimal(level),
            "is_acting": rule in acting,
        }
        for rule, level in session.levels.items()
    ]


def _gap(session: LiveSession, trigger: Decimal) -> Decimal | None:
    return (
        abs(session.price - trigger) / session.price if session.held and trigger and session.price else None
    )


def _distance(label: str, name: str, left: Decimal | None, limit: float) -> dict[str, Any]:
    used = (
        None
        if left is None or not limit
        else float(min(Decimal(1), max(Decimal(0), 1 - left / Decimal(limit))))
    )
    return {"label": label, "name": name, "left": left, "limit": limit, "used": used, "is_on": limit > 0}


def _limit(label: str, name: str, spent: Decimal | None, limit: float) -> dict[str, Any]:
    left = None if spent is None else max(Decimal(0), Decimal(str(limit)) - spent)
    used = (
        None
        if spent is None or not limit
        else float(min(Decimal(1), max(Decimal(0), spent / Decimal(limit))))
    )
    return {"label": label, "name": name, "left": left, "limit": limit, "used": used, "is_on": limit > 0}


def _least(label: str, name: str, value: float | None, least: float) -> dict[str, Any]:
    """Return the distance to a limit that a value must not fall below."""
    used = None if value is None or not least else min(1.0, least / value) if value > 0 else 1.0
    left = None if value is None else max(Decimal(0), exact(value) - exact(least))
    return {"label": label, "name": name, "left": left, "limit": least, "used": used, "is_on": least > 0}


def decision_facts(decision: Decision) -> dict[str, Any]:
    """Return the context of the decision page."""
    return {
        "decision": decision,
        "session": decision.session,
        "names": action_names(decision.session),
        "orders": decision.orders.all(),
        "portfolio": [
            (name, name.replace("_", " ").capitalize(), value)
            for name, value in zip(PORTFOLIO, decision.portfolio, strict=False)
        ],
    }


def action_names(session: LiveSession) -> tuple[str, ...]:
    """Return the names of the actions that probabilities belong to."""
    if session.is_weighed:
        return ()  # weights have no probabilities; the plan's page shows them
    stated = session.model.spec.get("action") if session.model else None
    if not isinstance(stated, dict):
        return ActionSpec().names
    return ActionSpec(stated.get("kind", "hold_buy_sell"), tuple(stated.get("levels", (0.0, 1.0)))).names


def version(session_id: int) -> dict[str, Any]:
    """Return a small fact that differs whenever the page should be refreshed."""
    row = (
        LiveSession.objects.filter(pk=session_id)
        .annotate(decision=Max("decisions__id"))
        .values("status", "risk_state", "turn_at", "price_ms", "note", "decision")
        .first()
    )
    if row is None:
        return {}
    session = LiveSession(pk=session_id)
    changed = session.orders.aggregate(at=Max("changed_at"))["at"]
    return {**row, "orders": changed}
