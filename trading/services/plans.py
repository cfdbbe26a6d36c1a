"""Start, pause and stop portfolio plans. Their sessions are ordinary ones, seen like any other."""

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from agents.models import TrainedModel
from market.errors import BadInput, Conflict
from market.models import AuditEvent
from market.sources.port import SourceUnavailable
from trading.bars import TooFewBars, candle_source
from trading.books import coins
from trading.exchanges.errors import ExchangeError
from trading.exchanges.registry import connect
from trading.locks import lock_account
from trading.models import Account, LiveSession, PortfolioPlan, RiskProfile, SessionStatus
from trading.models.session import DRIVEN
from trading.purse import CENT
from trading.services.control import pause_session, resume_session, stop_session
from trading.services.start import prepared_session, write_session
from trading.weighing.mind import Mind, mind_of

MOST_PAIRS = 30
INTERVAL, BAND, EVERY = "1h", 0.05, 1  # of weights that a person sets
RULE = "target_weight"


def start_plan(
    *,
    name: str,
    account: Account,
    capital: Decimal,
    weights: dict[str, Any] | None = None,
    model: TrainedModel | None = None,
    pairs: Sequence[str] | None = None,
    interval: str | None = None,
    band: float | None = None,
    every: int | None = None,
    risk: RiskProfile | None = None,
    by: Any = None,
) -> PortfolioPlan:
    """Write down that a portfolio is wanted: one session per pair, all of them or none.

    Its weights are either given and stay, or a model's, which also says interval, band and rhythm.

    :param weights: {pair: share of equity}; together at most 1, the rest stays in cash
    :param model: trained on a portfolio
    :param pairs: of a model, as the venue spells them, in the model's order; None takes the model's names
    :param interval: of the bars, "1h" where weights are given; a model has its own
    :param band: how far a pair's share may stray (0.05: five points) before it is traded back
    :param every: bars of `interval` between two looks
    :raises BadInput: one sentence about the first thing that does not fit, nothing is written.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80:
        raise BadInput("give the plan a name of at most 80 characters", field="name")
    if (model is None) == (weights is None):
        raise BadInput("give either weights or a model that was trained on a portfolio", field="weights")
    plan = PortfolioPlan(owner=account.owner, name=name, account=account, risk=risk, model=model)
    if model is not None:
        if band is not None or every is not None:
            raise BadInput(f"{model} has its own band and rhythm: leave them out", field="band")
        return _write(plan, _weighed(plan, model, pairs, interval, capital), by)
    if pairs:
        raise BadInput("pairs are named for a model; weights name their own", field="pairs")
    plan.band, plan.every = BAND if band is None else band, EVERY if every is None else every
    return _write(plan, _fixed(plan, _weights(weights or {}), interval or INTERVAL, capital), by)


def _fixed(
    plan: PortfolioPlan, shares: dict[str, float], interval: str, capital: Decimal
) -> list[LiveSession]:
    """Return the sessions of a plan with given weights, not written yet."""
    if not 0 <= plan.band <= 0.5:
        raise BadInput("the band must be between 0 and 0.5 (0.05 is five points)", field="band")
    settings = {"share": round(sum(shares.values()), 9), "band": plan.band, "every": plan.every}
    common = {"interval": interval, "baseline": RULE, "settings": settings}
    plan.weights = shares
    return _parts(plan, common, shares, capital)


def _weighed(
    plan: PortfolioPlan, model: TrainedModel, pairs: Sequence[str] | None, interval: str | None,
    capital: Decimal,
) -> list[LiveSession]:  # fmt: skip
    """Return the sessions of a plan whose weights a model gives, not written yet."""
    if not model.is_portfolio:
        raise BadInput(f"{model} trades one pair: start a session with it", field="model")
    names = _names(model, pairs)
    mind = mind_of(model, account=plan.account, pairs=names, source=candle_source(plan.account))
    plan.band, plan.every = mind.spec.band, mind.policy.decision_every
    if mind.policy.observation.feature_set.needs_volume and not plan.account.candles_url:
        raise BadInput(
            f"{model} uses volume, and the account {plan.account} has no candle source (candles_url): quotes "
            "alone carry none",
            field="account",
        )
    common = {"interval": interval or model.series.interval, "model": model, "in_plan": True}
    rows = _parts(plan, common, dict.fromkeys(names, 1.0), capital)
    plan.weights = dict.fromkeys(names, 0.0)  # until its first decision
    _check_history(plan.account, mind)
    return rows


def _parts(
    plan: PortfolioPlan, common: dict[str, Any], shares: dict[str, float], capital: Decimal
) -> list[LiveSession]:
    """Return a session per pair, which own together what the plan does, each its share of it."""
    common = common | {"account": plan.account, "risk": plan.risk if plan.risk_id else None}
    total = sum(shares.values())
    whole = prepared_session(
        **common, pair=next(iter(shares)), capital=capital
    )  # all the money must be there
    assert whole.capital is not None  # noqa: S101  for the type checker: it was given
    plan.risk, plan.interval_ms, plan.capital = whole.risk, whole.interval_ms, whole.capital
    common["risk"] = whole.risk
    rows = []
    for pair, share in shares.items():
        part = (whole.capital * Decimal(repr(share)) / Decimal(repr(total))).quantize(CENT, ROUND_FLOOR)
        rows.append(prepared_session(**common, pair=pair, capital=part, name=f"{plan.name}: {pair}"))
    return rows


def _names(model: TrainedModel, pairs: Sequence[str] | None) -> list[str]:
    """Return the venue's names of a model's pairs. :raises BadInput: for pairs it did not learn on"""
    names = [str(pair).strip().upper() for pair in pairs or model.pairs]
    learned = [coins(pair)[0] for pair in model.pairs]
    if [coins(name)[0] for name in names] != learned:
        raise BadInput(
            f"{model} weighs {', '.join(learned)} in this order: name one pair of each, such as "
            f"{', '.join(f'{coin}/USD' for coin in learned)}",
            field="pairs",
        )
    _require_one_currency(names, "pairs")
    return names


def _check_history(account: Account, mind: Mind) -> None:
    """Ask the candle source whether it has what the first decision needs, of every pair."""
    try:
        now_ms = connect(account).now_ms()
        for feed in mind.feeds:
            feed.check(now_ms)
    except ExchangeError as error:
        raise BadInput(str(error), field="account") from error
    except SourceUnavailable as error:
        raise BadInput(
            f"the candles to warm up on cannot be read: {error.message}; check the account's candle source",
            field="account",
        ) from error
    except TooFewBars as error:
        raise BadInput(str(error), field="model") from error


@transaction.atomic
def stop_plan(*, plan: PortfolioPlan, flatten: bool = False, by: Any = None) -> int:
    """Stop every session of a plan; return how many were asked to stop.

    :raises Conflict: when all of them have ended already.
    """
    lock_account(plan.account_id)  # before its sessions: one that has failed needs it
    left = Q(status=SessionStatus.FAILED) & ~Q(held=0) if flatten else Q(pk=None)
    sessions = list(LiveSession.objects.filter(Q(status__in=DRIVEN) | left, plan=plan).order_by("pk"))
    if not sessions:
        raise Conflict(f"the plan {plan} has stopped already", field="plan")
    count = 0
    for session in sessions:
        session.refresh_from_db()
        is_asked = session.status == SessionStatus.STOPPING and flatten <= session.flatten_wanted
        try:
            if not is_asked:  # of a model's plan they stop together
                stop_session(session=session, flatten=flatten, by=by)
        except Conflict:  # it ended by itself meanwhile
            continue
        count += 1
    _audit(plan, "plan.stop", by, flatten=flatten)
    return count


@transaction.atomic
def pause_plan(*, plan: PortfolioPlan, by: Any = None) -> int:
    """Let every session of a plan guard its stops and decide nothing; return how many pause now.

    :raises Conflict: when none of them is trading.
    """
    return _each(plan, [SessionStatus.PENDING, SessionStatus.RUNNING], pause_session, "plan.pause", by)


@transaction.atomic
def resume_plan(*, plan: PortfolioPlan, by: Any = None) -> int:
    """Let every paused session of a plan decide again, and one that has failed; return how many do.

    :raises Conflict: when there is none.
    """
    return _each(plan, [SessionStatus.PAUSED, SessionStatus.FAILED], resume_session, "plan.resume", by)


def _each(
    plan: PortfolioPlan, allowed: list[SessionStatus], act: Callable[..., Any], action: str, by: Any
) -> int:
    lock_account(plan.account_id)  # before its sessions: one that has failed needs it
    sessions = list(LiveSession.objects.filter(plan=plan, status__in=allowed).order_by("pk"))
    if not sessions:
        words = " or ".join(allowed)
        raise Conflict(f"no session of the plan {plan} is {words}", field="plan")
    count = len(sessions)
    for session in sessions:
        session.refresh_from_db()
        if session.status in allowed:  # of a model's plan they change together
            act(session=session, by=by)
    _audit(plan, action, by)
    return count


def _require_one_currency(pairs: Iterable[str], field: str) -> None:
    if len({pair.rpartition("/")[2] for pair in pairs}) > 1:
        raise BadInput("all pairs of a plan must have the same quote currency", field=field)


def _weights(weights: dict[str, Any]) -> dict[str, float]:
    """Return checked weights by pair. :raises BadInput: for shares that cannot be held"""
    shares: dict[str, float] = {}
    for pair, value in weights.items():
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not 0 < value <= 1:
            raise BadInput(
                f"the weight of {pair} must be above 0 and at most 1, not {value!r}", field="weights"
            )
        shares[str(pair).strip().upper()] = float(value)
    if not 1 <= len(shares) <= MOST_PAIRS or len(shares) < len(weights):
        raise BadInput(f"give 1 to {MOST_PAIRS} different pairs with their weights", field="weights")
    _require_one_currency(shares, "weights")
    if sum(shares.values()) > 1 + 1e-9:
        raise BadInput(
            f"the weights add up to {sum(shares.values()):.4g}: at most 1 is there", field="weights"
        )
    return shares


@transaction.atomic
def _write(plan: PortfolioPlan, rows: list[LiveSession], by: Any) -> PortfolioPlan:
    try:
        with transaction.atomic():
            plan.save()
    except IntegrityError:
        raise Conflict(f"you have a plan called {plan.name} already", field="name") from None
    for row in rows:
        row.plan = plan
        write_session(row, by)
    model = plan.model.name if plan.model else None
    _audit(plan, "plan.start", by, weights=plan.weights, model=model, capital=str(plan.capital))
    return plan


def _audit(plan: PortfolioPlan, action: str, by: Any, **detail: Any) -> None:
    AuditEvent.objects.create(
        actor=by, owner=plan.owner, action=action, object_type="portfolioplan", object_id=str(plan.pk),
        detail=detail,
    )  # fmt: skip
