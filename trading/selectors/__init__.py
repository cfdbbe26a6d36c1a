"""What pages and API show about sessions. One selector per figure: both show the same number."""

from trading.selectors.charts import chart, equity_series
from trading.selectors.figures import Figures, figures_of
from trading.selectors.history import parents_of, risk_changes
from trading.selectors.home import home, open_alerts
from trading.selectors.plans import (
    equity_of_plan,
    plan_chart,
    plan_detail,
    plan_facts,
    plan_figures,
    plans_of,
)
from trading.selectors.risk import cap_facts, risk_overview, stuck_orders, waiting_orders
from trading.selectors.session import (
    cautions,
    collateral_of,
    decision_facts,
    distances,
    execution_facts,
    levels,
    live_state,
    session_facts,
    session_figures,
    sessions_of,
    version,
)

__all__ = [
    "Figures",
    "cap_facts",
    "cautions",
    "chart",
    "collateral_of",
    "decision_facts",
    "distances",
    "equity_of_plan",
    "equity_series",
    "execution_facts",
    "figures_of",
    "home",
    "levels",
    "live_state",
    "open_alerts",
    "parents_of",
    "plan_chart",
    "plan_detail",
    "plan_facts",
    "plan_figures",
    "plans_of",
    "risk_changes",
    "risk_overview",
    "session_facts",
    "session_figures",
    "sessions_of",
    "stuck_orders",
    "version",
    "waiting_orders",
]  # fmt: skip
