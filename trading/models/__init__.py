"""Rows about acting on a venue: accounts, sessions, decisions, orders, books, alerts."""

from trading.models.account import Account, Holding, LedgerEntry, LedgerKind, Reconciliation
from trading.models.alert import Alert, AlertLevel
from trading.models.order import Fill, Order, OrderStatus, OrderType, Side
from trading.models.risk import RiskProfile
from trading.models.session import DailySummary, Decision, EquityPoint, LiveSession, RiskState, SessionStatus

__all__ = ["Account", "Alert", "AlertLevel", "DailySummary", "Decision", "EquityPoint", "Fill", "Holding",
           "LedgerEntry", "LedgerKind", "LiveSession", "Order", "OrderStatus", "OrderType", "Reconciliation",
           "RiskProfile", "RiskState", "SessionStatus", "Side"]  # fmt: skip
