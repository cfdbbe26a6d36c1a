"""Shapes of sessions and of what they did."""

from typing import Any

from rest_framework import serializers

from agents.api import only_one_policy
from agents.policies import BASELINES
from market.candles import MS, interval_name
from market.models import AuditEvent
from market.web.amounts import AmountField
from market.web.bodies import Body
from market.web.numbers import plain
from trading import selectors
from trading.models import DailySummary, Decision, Fill, LiveSession, Order, ParentOrder

BIGGEST = 2**53


class SessionSerializer(serializers.ModelSerializer):
    interval = serializers.SerializerMethodField()
    equity = AmountField(
        source="latest_equity", help_text="Of the latest equity point; null before the first", allow_null=True
    )
    capital = AmountField(allow_null=True)
    cash = AmountField()
    held = AmountField(help_text="Base coin; negative when short")
    shorted = AmountField(help_text="What of it is sold short, base coin, 0 or more")
    entry_price = AmountField()
    fees = AmountField()
    realised = AmountField()
    price = AmountField()
    peak_equity = AmountField()
    day_equity = AmountField()
    stop_price = AmountField()
    take_price = AmountField()
    week_equity = AmountField()
    health = serializers.DictField(
        source="shown_health", child=serializers.FloatField(allow_null=True), read_only=True,
        help_text="Of the model; null: unknown",
    )  # fmt: skip

    class Meta:
        model = LiveSession
        fields = ("id", "name", "status", "risk_state", "note", "model", "baseline", "council", "account",
                  "pair", "interval", "risk", "settings", "duration_s", "equity", "capital", "cash", "held",
                  "shorted",
                  "entry_price", "fees", "realised", "price", "price_ms", "peak_equity", "day_equity",
                  "stop_price", "take_price", "week_equity", "loss_streak", "safe_until_ms",
                  "health", "last_bar_ms", "flatten_wanted", "created_at", "started_ms",
                  "stopped_ms", "turn_at")  # fmt: skip

    def get_interval(self, session: LiveSession) -> str:
        return interval_name(session.interval_ms)


class LimitSerializer(serializers.Serializer):
    """How far a limit is: shares as fractions, losses as a count; null is not known, limit 0 is off."""

    name = serializers.CharField()
    limit = serializers.FloatField()
    left = serializers.FloatField(allow_null=True)
    used = serializers.FloatField(allow_null=True)


class LevelSerializer(serializers.Serializer):
    """One exit in force."""

    rule = serializers.CharField()
    level = serializers.CharField(help_text="Price in quote currency, or the bars left of a time stop")
    is_acting = serializers.BooleanField(help_text="The nearest stop, or the nearest target")


class SessionDetailSerializer(SessionSerializer):
    pnl_today = serializers.SerializerMethodField(allow_null=True)
    pnl_total = serializers.SerializerMethodField(allow_null=True)
    exposure = serializers.SerializerMethodField(allow_null=True)
    drawdown = serializers.SerializerMethodField(allow_null=True)
    is_stale = serializers.SerializerMethodField(help_text="No runner has reported lately, or prices are old")
    limits = serializers.SerializerMethodField()
    execution = serializers.SerializerMethodField(help_text="Style, order at work, contest figures")
    levels = serializers.SerializerMethodField()
    collateral = serializers.SerializerMethodField(
        help_text="Of its short, quote currency: locked at the venue, part of the equity already"
    )
    atr = AmountField(help_text="Average true range of closed bars; 0 where no rule needs it")
    open_equity = AmountField(help_text="Equity before the position was opened; 0 when flat")
    lot_price = AmountField()
    win_share = AmountField(help_text="Rolling, of closed positions")
    mean_gain = AmountField()
    mean_loss = AmountField()

    class Meta(SessionSerializer.Meta):
        fields = (*SessionSerializer.Meta.fields, "pnl_today", "pnl_total", "exposure", "drawdown",
                  "is_stale", "limits", "execution", "levels", "collateral", "atr",
                  "open_equity", "lots", "lot_price", "trades_closed", "win_share", "mean_gain", "mean_loss",
                  "losses_open")  # type: ignore[assignment]  # fmt: skip

    def to_representation(self, session: LiveSession) -> dict[str, Any]:
        self.figures = selectors.session_figures(session)
        return super().to_representation(session)

    def get_pnl_today(self, session: LiveSession) -> str | None:
        return plain(self.figures.pnl_today)

    def get_pnl_total(self, session: LiveSession) -> str | None:
        return plain(self.figures.pnl_total)

    def get_exposure(self, session: LiveSession) -> float | None:
        return None if self.figures.exposure is None else float(self.figures.exposure)

    def get_drawdown(self, session: LiveSession) -> float | None:
        return None if self.figures.drawdown is None else float(self.figures.drawdown)

    def get_is_stale(self, session: LiveSession) -> bool:
        return self.figures.is_stale

    def get_execution(self, session: LiveSession) -> dict[str, Any]:
        facts = selectors.execution_facts(session)
        parent = facts["parent"]
        at_work = parent and {
            "side": parent.side,
            "quantity": plain(parent.quantity),
            "left": plain(facts["parent_left"]),
            "until_ms": parent.until_ms,
        }
        return {**facts["execution"].to_dict(), "at_work": at_work, **facts["contest"]}

    def get_collateral(self, session: LiveSession) -> str | None:
        return plain(selectors.collateral_of(session))

    def get_limits(self, session: LiveSession) -> list[dict[str, Any]]:
        rows = [*selectors.distances(self.figures), *selectors.cautions(self.figures)]
        return list(LimitSerializer(rows, many=True).data)

    def get_levels(self, session: LiveSession) -> list[dict[str, Any]]:
        return list(LevelSerializer(selectors.levels(session), many=True).data)


class SessionRequest(Body):
    model = serializers.IntegerField(required=False, min_value=1, max_value=BIGGEST)
    baseline = serializers.ChoiceField(required=False, choices=sorted(BASELINES))
    council = serializers.IntegerField(required=False, min_value=1, max_value=BIGGEST)
    account = serializers.IntegerField(min_value=1, max_value=BIGGEST)
    pair = serializers.CharField(max_length=30)
    interval = serializers.ChoiceField(choices=list(MS))
    risk = serializers.IntegerField(required=False, min_value=1, max_value=BIGGEST)
    capital = serializers.DecimalField(20, 8, required=False, min_value=0)
    duration_s = serializers.IntegerField(required=False, min_value=1, max_value=10 * 365 * 86400)
    name = serializers.CharField(required=False, max_length=120)
    settings = serializers.DictField(
        required=False, help_text="Of the policy and its gate, and of execution: style, deadline_s, …"
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        return only_one_policy(given)


class StopRequest(Body):
    flatten = serializers.BooleanField(default=False, help_text="Also sell what is held")


class UnhaltRequest(Body):
    reason = serializers.CharField(max_length=200, help_text="Why; kept in the audit trail")


class DecisionSerializer(serializers.ModelSerializer):
    price = AmountField()
    probabilities = serializers.ListField(child=serializers.FloatField(), read_only=True)
    portfolio = serializers.ListField(child=serializers.FloatField(), read_only=True)
    votes = serializers.DictField(
        read_only=True, help_text="Of a council or a team: every member's vote, and why it held; else empty"
    )

    class Meta:
        model = Decision
        fields = ("id", "bar_ms", "decided_ms", "price", "action", "target", "sized", "turns_to", "atr",
                  "probabilities", "value", "confidence", "gate_reason", "risk_reason", "portfolio", "votes",
                  "observation_hash", "model_hash", "latency_us")  # fmt: skip


class OrderSerializer(serializers.ModelSerializer):
    quantity = AmountField(help_text="Of SHORT_OPEN only expected: the fill says what it became")
    collateral = AmountField(allow_null=True, help_text="Of SHORT_OPEN: what is sent, quote currency")
    price = AmountField(allow_null=True)
    expected_price = AmountField()
    parent_note = serializers.CharField(
        source="parent.note", default="", read_only=True, help_text="Why the wish behind it was given up"
    )

    class Meta:
        model = Order
        fields = ("id", "client_ref", "decision", "parent", "parent_note", "pair", "side", "type", "quantity",
                  "collateral", "price", "expected_price", "reason", "status", "venue_order_id",
                  "answer", "planned_ms", "sent_ms", "settled_ms")  # fmt: skip


class ParentSerializer(serializers.ModelSerializer):
    quantity = AmountField()
    traded = AmountField(help_text="What its orders have filled")
    note = serializers.CharField(help_text="Why it was given up before all was traded; else empty")

    class Meta:
        model = ParentOrder
        fields = ("id", "decision", "style", "side", "quantity", "traded", "target", "reason", "status",
                  "note", "planned_ms", "until_ms")  # fmt: skip


class RiskChangeSerializer(serializers.ModelSerializer):
    before = serializers.CharField(source="detail.before", default="", read_only=True)
    after = serializers.CharField(source="detail.after", default="", read_only=True)
    reason = serializers.CharField(source="detail.reason", default="", read_only=True)
    actor = serializers.CharField(
        source="actor.username", default=None, read_only=True, allow_null=True, help_text="null: a limit"
    )

    class Meta:
        model = AuditEvent
        fields = ("at", "before", "after", "reason", "actor")


class FillSerializer(serializers.ModelSerializer):
    quantity = AmountField()
    price = AmountField()
    fee = AmountField()
    realised = AmountField()
    relief = AmountField(help_text="Loss beyond a short's collateral, which nobody pays")

    class Meta:
        model = Fill
        fields = ("id", "order", "quantity", "price", "fee", "role", "realised", "relief", "filled_ms")


class DaySerializer(serializers.ModelSerializer):
    pnl = AmountField()
    fees = AmountField()

    class Meta:
        model = DailySummary
        fields = ("from_ms", "to_ms", "pnl", "fees", "trades", "metrics")


class EquitySerializer(serializers.Serializer):
    at_ms = serializers.IntegerField()
    equity = serializers.CharField()
    cash = serializers.CharField()
    held = serializers.CharField()
    price = serializers.CharField()
    drawdown = serializers.FloatField()
