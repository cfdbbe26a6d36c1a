"""Start a session: everything that can be known to be wrong is said before a row is written."""

from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from django.db import IntegrityError, transaction

from agents import councils
from agents.decide import Decider, require_draws
from agents.models import Council, TrainedModel
from agents.policies.port import Policy
from agents.services import note_session
from market.candles import MS, interval_name
from market.errors import BadInput, Conflict
from market.models import AuditEvent
from market.sources.port import SourceUnavailable
from trading.accounts import failure
from trading.agent import decision_settings, policy_of
from trading.bars import BarFeed, TooFewBars
from trading.books import coins
from trading.exchanges.errors import ExchangeError
from trading.exchanges.registry import LABELS, SHORTING, connect
from trading.execution import Execution
from trading.locks import lock_account
from trading.models import Account, LiveSession, RiskProfile
from trading.purse import CENT, capital_of
from trading.seat import feed_of

LONGEST_NAME = 120
MAX_DURATION_S = 10 * 365 * 86_400


def prepared_session(
    *,
    account: Account,
    pair: str,
    interval: str,
    name: str = "",
    model: TrainedModel | None = None,
    baseline: str = "",
    council: Council | None = None,
    risk: RiskProfile | None = None,
    settings: dict[str, Any] | None = None,
    duration_s: int | None = None,
    capital: Decimal | None = None,
    in_plan: bool = False,
) -> LiveSession:
    """Return a session that can be started, not yet written; see `start_session`.

    :param in_plan: it is part of a plan, whose model may weigh several pairs
    """
    owner = account.owner  # whoever starts it: it trades that person's money, under that person's caps
    settings, pair, name = dict(settings or {}), pair.strip().upper(), " ".join(name.split())
    if len(name) > LONGEST_NAME:
        raise BadInput(f"the name must have at most {LONGEST_NAME} characters", field="name")
    capital = _amount(capital)
    _check_duration(duration_s)
    if sum((model is not None, council is not None, bool(baseline))) != 1:
        raise BadInput("choose either a model or a baseline or a council", field="model")
    interval_ms = _interval_ms(interval, model or council)
    profile = risk or default_profile(owner)
    if not in_plan:
        _check_one_pair(model)
    _check_spot(model, council)
    policy = policy_of(model, baseline, settings, council)
    if council is not None:
        councils.require_quorum(council, policy)
    decider = Decider(policy, decision_settings(profile, settings))
    require_draws(policy, decider.settings)
    Execution.from_dict(settings)
    _check_shorts(policy, account)
    _check_active(account)
    _check_features(decider.policy, account)
    check_not_driven(account, pair)
    wanted = LiveSession(
        owner=owner,
        model=model,
        baseline=baseline,
        council=council,
        account=account,
        pair=pair,
        interval_ms=interval_ms,
        risk=profile,
        settings=settings,
        duration_s=duration_s,
        capital=capital,
    )
    wanted.name = name or f"{wanted.policy_name} on {pair}"[:LONGEST_NAME]
    _check_history(feed_of(wanted, decider), _check_venue(wanted))
    return wanted


def start_session(*, by: Any = None, **wanted: Any) -> LiveSession:
    """Write down that a session is wanted; a runner takes it up within seconds.

    :param wanted: what `prepared_session` takes
    :param interval: of the bars it decides on, "1m"; of a model it must be the one it learned on.
    :param settings: sample, seed, confidence, min_move, move_bars, those of `trading.execution`, and a fixed
        rule's own parameters.
    :param duration_s: of the venue's clock; None is open-ended. When it is over the position is sold.
    :param capital: quote currency; None takes what is free in the account at the first turn.
    :raises BadInput: one sentence about the first thing that does not fit, nothing is written.
    """
    return write_session(prepared_session(**wanted), by)


def default_profile(owner: Any) -> RiskProfile:
    """Return the owner's profile called "default", made on first use."""
    return RiskProfile.objects.get_or_create(owner=owner, name="default")[0]


@transaction.atomic
def write_session(session: LiveSession, by: Any) -> LiveSession:
    """Store a prepared session, unless another one has taken its pair, or a person its account, meanwhile."""
    lock_account(session.account_id)
    account = Account.objects.get(pk=session.account_id)
    _check_active(account)  # once more: the venue was asked meanwhile
    check_not_driven(account, session.pair)
    try:
        session.save()
    except IntegrityError as error:
        raise Conflict("this session cannot be started beside another one", field="account") from error
    AuditEvent.objects.create(
        actor=by,
        owner=session.owner,
        action="session.start",
        object_type="livesession",
        object_id=str(session.pk),
        detail={
            "pair": session.pair,
            "account": session.account_id,
            "policy": session.policy_name,
        },
    )
    note_session(session.model, session.council, f"{session.pk}")
    return session


def _amount(capital: Decimal | str | float | None) -> Decimal | None:
    if capital is None:
        return None
    try:
        amount = Decimal(str(capital))
    except InvalidOperation:
        raise BadInput(f"{capital!r} is no amount of money", field="capital") from None
    if not amount.is_finite() or not CENT <= amount < Decimal(10) ** 12:
        raise BadInput("the capital must be above 0 and below 10^12, in whole cents", field="capital")
    return amount.quantize(CENT, ROUND_FLOOR)


def _check_duration(duration_s: int | None) -> None:
    if duration_s is not None and not 1 <= duration_s <= MAX_DURATION_S:
        raise BadInput("the duration must be from 1 second to 10 years, or open-ended", field="duration_s")


def _interval_ms(interval: str, learner: TrainedModel | Council | None) -> int:
    if interval not in MS or MS[interval] < 1000:
        raise BadInput(f"there is no interval {interval!r}; use one of {', '.join(MS)}", field="interval")
    learned_ms = learner.interval_ms if isinstance(learner, Council) else None
    if isinstance(learner, TrainedModel):
        learned_ms = learner.series.interval_ms
    if learned_ms is not None and MS[interval] != learned_ms:
        learned = interval_name(learned_ms)
        raise BadInput(
            f"{learner} has learned on {learned} bars and cannot trade {interval}", field="interval"
        )
    return MS[interval]


def _check_features(policy: Policy, account: Account) -> None:
    if policy.observation.feature_set.needs_volume and not account.candles_url:
        raise BadInput(
            f"{policy.name} uses volume, and the account {account} has no candle source (candles_url): "
            "quotes alone carry none",
            field="account",
        )


def _check_shorts(policy: Policy, account: Account) -> None:
    lowest = policy.action_spec.levels[0]
    if lowest < 0 and account.venue not in SHORTING:
        able = ", ".join(LABELS[name] for name in SHORTING)
        raise BadInput(
            f"{policy.name} may ask for short positions (down to {lowest:.0%} of equity), and {account} is "
            f"at a venue where sessions cannot go short: choose an account at one that can ({able}), or a "
            "policy with levels from 0 up",
            field="account",
        )


def _check_one_pair(model: TrainedModel | None) -> None:
    if model is not None and model.is_portfolio:
        raise BadInput(
            f"{model} shares one account out between {', '.join(model.pairs)}, and a session trades one "
            "pair: start a portfolio plan with it",
            field="model",
        )


def _check_spot(model: TrainedModel | None, council: Council | None) -> None:
    members = [] if council is None else council.members.select_related("model").exclude(model=None)
    for learned in [model, *(member.model for member in members)]:
        if learned is not None and learned.market != "spot":
            raise BadInput(
                f"{learned} learned to trade {learned.market}, with leverage, funding and liquidation, and "
                "sessions trade on spot markets: train one with market=spot",
                field="model",
            )


def _check_active(account: Account) -> None:
    if not account.is_active:
        raise BadInput(f"the account {account} is switched off", field="account")


def check_not_driven(account: Account, pair: str) -> None:
    """:raises Conflict: when a session of the account trades the pair already"""
    other = LiveSession.objects.driven().filter(account=account, pair=pair).first()
    if other is not None:
        raise Conflict(
            f"session {other.pk} ({other}) is trading {pair} on {account} already; stop it first",
            field="pair",
        )


def _check_history(feed: BarFeed, now_ms: int) -> None:
    """Ask the candle source whether it has what the first decision needs."""
    try:
        feed.check(now_ms)
    except SourceUnavailable as error:
        raise BadInput(
            f"the candles to warm up on cannot be read: {error.message}; check the account's candle source",
            field="account",
        ) from error
    except TooFewBars as error:
        raise BadInput(str(error), field="model") from error


def _check_venue(wanted: LiveSession) -> int:
    """Ask the venue whether the account works, the pair can be traded and the capital is there.

    :returns: the venue's clock.
    """
    account, pair = wanted.account, wanted.pair
    exchange = connect(account)
    try:
        listed = exchange.instruments()
        tradable = exchange.tradable()
        balances = exchange.balances(allow_empty=True)
        now_ms = exchange.now_ms()
    except ExchangeError as error:
        raise BadInput(failure(account, error), field="account") from error
    if pair not in listed:
        base = coins(pair)[0]
        alike = sorted(listed, key=lambda name: (coins(name)[0] != base, name))[:5]
        raise BadInput(
            f"{account.venue} has no pair {pair!r}; it has {len(listed)}, such as {', '.join(alike)}",
            field="pair",
        )
    if pair not in tradable:
        raise BadInput(f"the venue takes no orders for {pair} at present", field="pair")
    free = balances.get(coins(pair)[1])
    if free is not None:  # an empty wallet is unknown, not zero: the first turn asks again
        capital_of(wanted, free.free, listed[pair].min_notional)
    return now_ms
