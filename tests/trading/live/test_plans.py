"""Portfolio plans: sessions that together hold target weights, through the ordinary path of orders."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests import factories
from tests.trading.live.conftest import Live
from trading import plans, selectors, services
from trading.models import LiveSession, OrderStatus, PortfolioPlan, RiskProfile, RiskState, SessionStatus

WEIGHTS = {"BTC/USD": 0.5, "ETH/USD": 0.3}
amounts = st.integers(0, 10**8).map(lambda cents: D(cents) / 100)
books = st.dictionaries(st.integers(1, 9), st.tuples(amounts, amounts, st.integers(1, 100)), min_size=1)


@given(books=books, busy=st.sets(st.integers(1, 9)))
def test_levelling_makes_no_money_and_nobody_gives_what_it_has_not(books, busy):
    money = {pk: (cash, cash + value) for pk, (cash, value, _) in books.items()}
    weights = {pk: D(weight) for pk, (_, _, weight) in books.items()}
    moves = plans.moves_between(money, weights, busy)
    total, share = sum(equity for _, equity in money.values()), sum(weights.values())
    assert sum(moves.values()) == 0
    for pk, amount in moves.items():
        cash, equity = money[pk]
        wanted = total * weights[pk] / share
        assert cash + amount >= 0
        assert amount == 0 or pk not in busy
        assert abs(equity + amount - wanted) <= abs(equity - wanted), "never further from its share"


@pytest.fixture
def profile(user):
    off = dict.fromkeys(("stop_loss", "daily_loss", "weekly_loss", "max_drawdown"), 0.0)
    return RiskProfile.objects.create(owner=user, name="plan", **off)


def start(user, account, profile, **changes):
    given = {"name": "core", "weights": WEIGHTS, "capital": D(40000), "interval": "1m", "band": 0.02}
    return services.start_plan(account=account, risk=profile, by=user, **(given | changes))


class Driven:
    """All sessions of a plan, driven by hand."""

    def __init__(self, plan, user, venue, account):
        self.plan, self.venue, self.members = plan, venue, []
        for session in plan.sessions.order_by("pk"):
            member = Live(user, venue, account)
            member.session = session
            self.members.append(member.take())

    def bar(self, count=1):
        for _ in range(count):
            self.venue.advance(60_000)
            for member in self.members:
                member.turn()

    def facts(self):
        return selectors.plan_facts(PortfolioPlan.objects.get(pk=self.plan.pk))

    def shares(self):
        return {part["session"].pair: part["share"] for part in self.facts()["parts"]}


@pytest.fixture
def core(user, account, profile, venue):
    return Driven(start(user, account, profile), user, venue, account)


def test_a_plan_reaches_its_weights_and_keeps_the_rest_in_cash(core):
    core.bar(3)
    assert core.shares() == pytest.approx(WEIGHTS, abs=0.02)
    assert core.members[0].books() == core.members[0].ledger()
    assert float(core.facts()["equity"]) == pytest.approx(40000, rel=0.01)


@pytest.mark.parametrize("weights", [WEIGHTS, {"BTC/USD": 0.6, "ETH/USD": 0.4}])
def test_a_pair_that_has_grown_is_sold_and_the_other_bought(user, venue, account, profile, weights):
    core = Driven(start(user, account, profile, weights=weights), user, venue, account)
    core.bar(3)
    big, small = (member.session for member in core.members)
    extra = (big.held * D("0.3")).quantize(D("0.00001"))
    LiveSession.objects.filter(pk=big.pk).update(held=big.held - extra)  # as if its price had fallen
    before = sum(row.capital for row in LiveSession.objects.all())
    core.bar(5)
    big.refresh_from_db()
    assert core.shares() == pytest.approx(weights, abs=0.03)
    for event in (levelled := AuditEvent.objects.filter(action="plan.level")):
        moved = event.detail["moved"]
        assert moved.keys() <= {f"session {row.pk} {row.pair}" for row in (big, small)}
        assert {text.rpartition(" ")[2] for text in moved.values()} == {"USD"}
        assert sum(D(text.rpartition(" ")[0]) for text in moved.values()) == 0
    assert 0 < levelled.count() <= big.orders.count(), "money moves where a trade follows, and nowhere else"
    assert small.orders.filter(side="SELL", status=OrderStatus.FILLED).exists()
    assert "the plan asks for" in " ".join(row.risk_reason for row in small.decisions.all())
    assert sum(row.capital for row in LiveSession.objects.all()) == before
    for row in LiveSession.objects.all():
        spent = sum(fill.quantity * fill.price + fill.fee for fill in row.fills.all())
        assert row.cash == row.capital - spent


def test_within_the_band_nothing_is_traded_and_no_money_moves(core):
    core.bar(3)
    count = sum(member.session.orders.count() for member in core.members)
    levelled = AuditEvent.objects.filter(action="plan.level").count()
    core.bar(5)
    assert sum(member.session.orders.count() for member in core.members) == count
    assert AuditEvent.objects.filter(action="plan.level").count() == levelled


def test_money_stays_where_what_it_would_buy_is_refused(core):
    """Its share may drift as it likes: whoever may not buy gets nothing, at every bar anew."""
    core.bar(3)
    big = core.members[0].session
    LiveSession.objects.filter(pk=big.pk).update(held=big.held * D("0.7"))
    RiskProfile.objects.update(max_spread=1e-9)
    levelled = AuditEvent.objects.filter(action="plan.level").count()
    core.bar(3)
    assert "the spread of" in big.decisions.first().risk_reason
    assert AuditEvent.objects.filter(action="plan.level").count() == levelled


def test_a_plan_of_fixed_weights_has_a_curve_with_its_figures(core):
    core.bar(5)
    points = list(core.plan.points.all())
    assert len(points) == 5
    worth = sum(row.equity_points.get(at_ms=points[-1].at_ms).equity for row in LiveSession.objects.all())
    assert abs(points[-1].equity - worth) < 1
    assert points[-1].drawdown == pytest.approx(float(1 - points[-1].equity / max(p.equity for p in points)))
    figures = selectors.plan_figures(core.plan)
    assert figures["sharpe"] is None, "minutes are one trade's luck"
    assert figures["max_drawdown"] <= 0
    drawn = selectors.plan_chart(core.plan)
    assert drawn["equity"] == [float(point.equity) for point in points]
    assert drawn["weights"] == {}
    later = points[-1].at_ms + 6 * 3_600_000
    core.plan.points.create(at_ms=later, equity=points[-1].equity, cash=0, drawdown=0)
    assert selectors.plan_figures(core.plan)["sharpe"] is not None


def test_money_that_moves_between_two_marks_of_a_bar_is_counted_once(core):
    """One session was marked before it gave, the other one after it got."""
    giver, taker = (member.session for member in core.members)
    core.bar()
    at_ms = 10**13
    for row, equity, capital in ((giver, 26000, 25000), (taker, 15200, 15100)):
        factories.EquityFactory(session=row, at_ms=at_ms, equity=equity, cash=equity, capital=capital)
    LiveSession.objects.filter(pk=giver.pk).update(capital=24900)
    LiveSession.objects.filter(pk=taker.pk).update(capital=15100)
    plans.mark(giver, at_ms)
    point = core.plan.points.get(at_ms=at_ms)
    assert (point.equity, point.cash) == (D(41100), D(41100))


def test_a_halted_member_neither_gives_nor_gets_an_order(core):
    core.bar(2)
    halted = core.members[0].session
    LiveSession.objects.filter(pk=halted.pk).update(risk_state=RiskState.HALTED, held=0)
    before = halted.orders.count()
    core.bar(2)
    assert halted.orders.count() == before


def test_money_that_moves_in_the_middle_of_a_turn_stops_its_order(core, monkeypatch):
    from trading import deciding

    member = core.members[0]
    real = deciding.portfolio_row

    def moved(session, *given):
        LiveSession.objects.filter(pk=session.pk).update(capital=session.capital - 1, cash=session.cash - 1)
        return real(session, *given)

    monkeypatch.setattr(deciding, "portfolio_row", moved)
    core.venue.advance(60_000)
    member.turn()
    assert member.session.orders.count() == 0
    assert "money has moved" in member.session.decisions.get().risk_reason


def test_a_plan_stops_with_all_its_sessions(core, user):
    core.bar(2)
    assert services.stop_plan(plan=core.plan, flatten=True, by=user) == 2
    core.bar(2)
    assert {member.session.status for member in core.members} == {SessionStatus.STOPPED}
    assert {member.session.held for member in core.members} == {0}
    assert all(
        order.status == OrderStatus.FILLED for member in core.members for order in member.session.orders.all()
    )
    with pytest.raises(Conflict, match="stopped already"):
        services.stop_plan(plan=core.plan)
    assert [event.action for event in AuditEvent.objects.filter(object_type="portfolioplan").order_by("pk")][
        ::2
    ]


@pytest.mark.parametrize(
    ("changes", "words", "field"),
    [
        ({"weights": {"BTC/USD": 0.7, "ETH/USD": 0.4}}, "add up to 1.1", "weights"),
        ({"weights": {"BTC/USD": 0}}, "above 0 and at most 1", "weights"),
        ({"weights": {}}, "1 to 30 different pairs", "weights"),
        ({"weights": {"BTC/USD": 0.5, "NOPE/USD": 0.1}}, "has no pair 'NOPE/USD'", "pair"),
        ({"capital": D(60000)}, "only 50000 USD of the account are free", "capital"),
        ({"capital": D(1)}, "too small", "capital"),
        ({"band": 0.7}, "band must be", "band"),
        ({"name": " "}, "give the plan a name", "name"),
        ({"interval": "7m"}, "no interval", "interval"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(user, account, profile, changes, words, field):
    with pytest.raises(BadInput) as refused:
        start(user, account, profile, **changes)
    assert words in refused.value.message
    assert refused.value.field == field
    assert not LiveSession.objects.exists()
    assert not PortfolioPlan.objects.exists()


def test_a_pair_that_is_traded_already_leaves_no_half_a_plan(live, user, account, profile):
    live.start("cash", pair="ETH/USD", capital=D(100))
    with pytest.raises(Conflict, match="already"):
        start(user, account, profile)
    assert LiveSession.objects.count() == 1


def test_a_member_that_ends_by_itself_meanwhile_does_not_keep_the_others_at_work(
    user, account, profile, monkeypatch
):
    plan = start(user, account, profile)
    stop, first = services.control.stop_session, plan.sessions.earliest("pk")

    def racing(*, session, **given):
        if session.pk == first.pk:
            LiveSession.objects.filter(pk=session.pk).update(status=SessionStatus.FAILED)
        return stop(session=session, **given)

    monkeypatch.setattr(services.plans, "stop_session", racing)
    assert services.stop_plan(plan=plan, by=user) == len(WEIGHTS) - 1
    assert not plan.sessions.filter(status=SessionStatus.PENDING).exists()
    assert AuditEvent.objects.filter(action="plan.stop").count() == 1
