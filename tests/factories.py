"""Rows for tests: small, valid, and of one owner each."""

from datetime import timedelta
from decimal import Decimal

import factory
from django.contrib.auth.models import Group, User
from django.utils import timezone

from agents import models as agents
from market import models as market
from market.kernel.instrument import Instrument
from market.web.roles import Role
from trading import models as trading
from trading.notify.channels import sealed
from trading.secrets import seal

START_MS = 1_727_740_800_000  # 2024-10-01
MINUTE = 60_000
DAY = 86_400_000
INSTRUMENT = Instrument(
    "BTC/USD", "BTC", "USD", *map(Decimal, ("0.01", "0.00001", "1", "0.001", "0.0005", "0.000001"))
)


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    password = "!"  # no password: tests use force_login

    @factory.post_generation
    def role(self, create, role):
        if role is not None:
            self.groups.add(Group.objects.get(name=Role(role).group))


class SeriesFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = market.Series

    owner = None
    source = factory.Sequence(lambda n: f"source{n}")
    pair = "BTC/USD"
    interval_ms = MINUTE
    rows = 1440
    first_ms = START_MS
    last_ms = START_MS + DAY - MINUTE
    fingerprint = "f" * 64


class ImportFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = market.ImportReport

    owner = factory.SubFactory(UserFactory)
    file_name = "candles.csv"
    status = "done"
    rejects = [[7, "the high is below the low"]]


class RunFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = agents.TrainingRun

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"run {n}")
    series = factory.SubFactory(SeriesFactory)
    spec = {"algorithm": "ppo", "steps": 1000}
    steps_total = 1000


class ExperimentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = agents.Experiment
        skip_postgeneration_save = True

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"experiment {n}")
    series = factory.SubFactory(SeriesFactory)
    spec = {"algorithm": "ppo"}
    seeds = [0, 1]
    grid = {"ppo.lr": [0.001]}

    @factory.post_generation
    def runs(self, create, extracted):
        for seed in self.seeds:
            cell = {"seed": seed, "window": 0, "settings": {"ppo.lr": 0.001}}
            RunFactory(owner=self.owner, series=self.series, experiment=self, cell=cell)


class ModelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = agents.TrainedModel

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"model {n}")
    algorithm = "ppo"
    spec = {"algorithm": "ppo", "action": {"kind": "hold_buy_sell", "levels": [0.0, 1.0]}}
    feature_set = {"features": [{"name": "return_1"}, {"name": "rsi_14"}]}
    feature_set_hash = "a" * 64
    scaler = {}
    series = factory.SubFactory(SeriesFactory)
    train_from_ms = START_MS
    train_to_ms = START_MS + DAY
    valid_to_ms = START_MS + 2 * DAY
    data_fingerprint = "d" * 64
    code_version = "abc"
    metrics = {"total_return": 0.05, "sharpe": 1.2, "max_drawdown": -0.1}
    path = "models/1"
    file_hash = "e" * 64


class CouncilFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = agents.Council
        skip_postgeneration_save = True

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"council {n}")
    method = "majority"
    combine = "votes"
    hash = "c" * 64

    @factory.post_generation
    def members(self, create, names):
        for name in names or ("momentum", "cash"):
            self.members.create(name=name, baseline=name, weight=1.0, policy_hash="b" * 64)


class ReviewFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = agents.CouncilReview

    owner = factory.SubFactory(UserFactory)
    council = factory.SubFactory(CouncilFactory, owner=factory.SelfAttribute("..owner"))
    series = factory.SubFactory(SeriesFactory)
    from_ms = START_MS
    to_ms = START_MS + DAY
    status = "done"
    result = {
        "whole": {"total_return": 0.02, "sharpe": 1.0, "max_drawdown": -0.1, "fills": 4},
        "members": [
            {"name": name, "weight": 1.0, "votes": {"HOLD": 1, "BUY": 2, "SELL": 0}, "left_out": 0,
             "followed": 0.5, "adds_return": adds, "adds_sharpe": None,
             "without": {"total_return": 0.02, "sharpe": None, "max_drawdown": 0.0, "fills": 0}}
            for name, adds in (("momentum", 0.01), ("cash", -0.01))
        ],
        "disagreement": {"decisions": 3, "split": 0.5, "entropy": 0.5, "names": ["momentum", "cash"],
                         "agreement": [[1.0, None], [None, 1.0]]},
    }  # fmt: skip
    curve = {
        "t_ms": [START_MS], "whole": [1.0], "without": {"momentum": [1.0], "cash": [1.0]},
        "entropy_t_ms": [START_MS], "entropy": [0.5],
    }  # fmt: skip


class BacktestFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = agents.Backtest

    owner = factory.SubFactory(UserFactory)
    baseline = "momentum"
    series = factory.SubFactory(SeriesFactory)
    from_ms = START_MS
    to_ms = START_MS + DAY
    status = "done"
    metrics = {
        "total_return": 0.01,
        "benchmark_return": -0.02,
        "sharpe": 0.4,
        "fills": 1,
        "max_drawdown": -0.03,
    }
    assumptions = ["Orders fill at the next bar's open."]
    curve = {"t_ms": [START_MS], "equity": [1.0], "benchmark": [1.0], "drawdown": [0.0], "exposure": [0.0]}
    trades = [
        {"t_ms": START_MS, "side": "BUY", "quantity": 0.1, "price": 60000.0, "fee": 6.0, "reason": "signal"}
    ]


class AccountFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.Account

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"account {n}")
    venue = "roostoo"
    base_url = "http://127.0.0.1:1"
    api_key = factory.Sequence(lambda n: f"KEYKEYKEYKEYKEYKEY{n:06d}")
    secret = factory.LazyFunction(lambda: seal("a very secret secret"))


class RiskFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.RiskProfile

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"limits {n}")


class SessionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.LiveSession

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"session {n}")
    model = factory.SubFactory(ModelFactory, owner=factory.SelfAttribute("..owner"))
    account = factory.SubFactory(AccountFactory, owner=factory.SelfAttribute("..owner"))
    risk = factory.SubFactory(RiskFactory, owner=factory.SelfAttribute("..owner"))
    pair = "BTC/USD"
    interval_ms = MINUTE
    status = "running"
    capital = Decimal(50000)
    cash = Decimal("25000.5")
    held = Decimal("0.4")
    entry_price = Decimal(60000)
    price = Decimal(61000)
    price_ms = START_MS + DAY
    peak_equity = Decimal(50000)
    day_equity = Decimal(49500)
    stop_price = Decimal(58800)
    started_ms = START_MS
    turn_at = factory.LazyFunction(timezone.now)


class DecisionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.Decision

    session = factory.SubFactory(SessionFactory)
    bar_ms = factory.Sequence(lambda n: START_MS + n * MINUTE)
    decided_ms = factory.LazyAttribute(lambda row: row.bar_ms + MINUTE)
    price = Decimal(60000)
    action = "BUY"
    target = 1.0
    probabilities = [0.2, 0.7, 0.1]
    value = 0.01
    confidence = 0.7
    portfolio = [0.0, 0.0, 0.0, 0.0, 1.0]
    observation_hash = "0" * 64
    model_hash = "e" * 64


class OrderFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.Order

    client_ref = factory.Sequence(lambda n: f"1:{n}:BTC/USD:1")
    session = factory.SubFactory(SessionFactory)
    account = factory.SelfAttribute("session.account")
    pair = "BTC/USD"
    side = "BUY"
    quantity = Decimal("0.4")
    expected_price = Decimal(60000)
    reason = "signal"
    status = "filled"
    venue_order_id = factory.Sequence(str)
    fence = 1
    planned_ms = START_MS


class WaitingFactory(OrderFactory):
    status = "waiting"
    venue_order_id = ""
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(minutes=5))


class StuckFactory(OrderFactory):
    """An order that has been sought in vain."""

    class Meta:
        skip_postgeneration_save = True

    status = "uncertain"
    venue_order_id = ""
    pair = "ETH/USD"

    @factory.post_generation
    def changed(self, create, given, **options):
        trading.Order.objects.filter(pk=self.pk).update(changed_at=timezone.now() - timedelta(minutes=2))


class PlanFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.PortfolioPlan

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"plan {n}")
    account = factory.SubFactory(AccountFactory, owner=factory.SelfAttribute("..owner"))
    risk = factory.SubFactory(RiskFactory, owner=factory.SelfAttribute("..owner"))
    weights = {"BTC/USD": 0.5, "ETH/USD": 0.3}
    interval_ms = MINUTE
    capital = Decimal(1000)


class CapFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.ExposureCap

    owner = factory.SubFactory(UserFactory)
    max_total = Decimal(1000)


class FillFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.Fill

    order = factory.SubFactory(OrderFactory)
    session = factory.SelfAttribute("order.session")
    quantity = Decimal("0.4")
    price = Decimal(60000)
    fee = Decimal(24)
    role = "TAKER"
    filled_ms = START_MS


class EquityFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.EquityPoint

    session = factory.SubFactory(SessionFactory)
    at_ms = factory.Sequence(lambda n: START_MS + n * MINUTE)
    equity = Decimal("49400.5")
    cash = Decimal("25000.5")
    held = Decimal("0.4")
    price = Decimal(61000)
    drawdown = 0.012


class AlertFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.Alert

    owner = factory.SubFactory(UserFactory)
    level = "warning"
    key = factory.Sequence(lambda n: f"key{n}")
    text = "The price is stale."


class ChannelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.AlertChannel

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"channel {n}")
    kind = "webhook"
    sealed = factory.LazyFunction(lambda: sealed("https://hooks.example.com/t", "a very secret key"))
    shown = "https://hooks.example.com/t"


class RuleFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.AlertRule

    owner = factory.SelfAttribute("channel.owner")
    channel = factory.SubFactory(ChannelFactory)


class DeliveryFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = trading.Delivery

    owner = factory.SelfAttribute("channel.owner")
    channel = factory.SubFactory(ChannelFactory)
    alert = factory.SubFactory(AlertFactory, owner=factory.SelfAttribute("..owner"))
    key = factory.Sequence(lambda n: f"delivery-{n}")
    kind = "other"
    level = "warning"
    next_at = factory.LazyFunction(timezone.now)
    due_at = factory.LazyFunction(timezone.now)


def lived_in_session(owner=None, **given):
    """Return a session with a decision, an order, a fill and an equity point."""
    session = SessionFactory(**({"owner": owner} if owner else {}), **given)
    decision = DecisionFactory(session=session)
    FillFactory(order=OrderFactory(session=session, decision=decision))
    EquityFactory(session=session)
    AlertFactory(owner=session.owner, session=session)
    return session
