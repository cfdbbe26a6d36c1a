"""Rows about acting on a venue: accounts, sessions, decisions, orders, books, alerts."""

from trading.models.account import Account, ForeignOrders, Holding, LedgerEntry, LedgerKind, Reconciliation
from trading.models.alert import Alert, AlertKind, AlertLevel
from trading.models.budget import CallBudget
from trading.models.caps import ExposureCap
from trading.models.channel import AlertChannel, AlertRule, ChannelKind, Delivery, DeliveryStatus
from trading.models.order import Fill, Order, OrderStatus, OrderType, ParentOrder, ParentStatus, Side
from trading.models.paper import PaperState
from trading.models.plan import PlanDecision, PlanPoint, PortfolioPlan
from trading.models.risk import RiskProfile
from trading.models.session import DailySummary, Decision, EquityPoint, LiveSession, RiskState, SessionStatus

__all__ = ["Account", "Alert", "AlertChannel", "AlertKind", "AlertLevel", "AlertRule", "CallBudget",
           "ChannelKind", "DailySummary", "Decision", "Delivery", "DeliveryStatus", "EquityPoint",
           "ExposureCap", "Fill", "ForeignOrders", "Holding", "LedgerEntry", "LedgerKind", "LiveSession",
           "Order", "OrderStatus", "OrderType", "PaperState", "ParentOrder", "ParentStatus",
           "PlanDecision", "PlanPoint", "PortfolioPlan", "Reconciliation", "RiskProfile", "RiskState",
           "SessionStatus", "Side"]  # fmt: skip
