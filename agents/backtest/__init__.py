"""What a policy would have done on past candles, through the same decision path and kernel as live."""

from agents.backtest.report import Report, report
from agents.backtest.settings import BacktestSettings, Limits
from agents.backtest.simulate import Simulation, simulate

__all__ = ["BacktestSettings", "Limits", "Report", "Simulation", "report", "simulate"]
