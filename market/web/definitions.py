"""What every figure on the pages means, in one sentence each (shown on hover, listed in the API's docs)."""

DEFINITIONS = {
    # books
    "equity": "Cash plus holdings valued at the last good price, after all fees.",
    "equity_total": "Sum of the latest equity of your running and paused sessions.",
    "pnl_today": "Equity now minus equity at the start of the UTC day of the venue's clock, fees included.",
    "pnl_total": "Equity now minus the capital the session started with, fees included.",
    "capital": "Quote currency the session was given at its first turn.",
    "cash": "Quote currency of the session that is not invested, the proceeds of a short included.",
    "collateral": "Dollars that the venue keeps locked for the short. They are part of the equity already.",
    "collateral_sent": "A short is opened by collateral: the venue makes a quantity of it at its own price.",
    "turns_to": "Exposure on the other side, opened once the order that closes is proven, else not.",
    "position": "Units of the base coin held by the session; negative when short.",
    "entry": "Average price paid for what is held.",
    "unrealised": "Profit of the open position at the last good price, before fees of closing it.",
    "realised": "Profit of closed quantity, before fees.",
    "fees": "All fees paid to the venue so far.",
    "exposure": "Value of the position divided by equity.",
    "proven": "Last time our books and the venue's balances were compared and found equal.",
    "foreign": "Orders on this account that no session sent. Adopt: a position closed by hand is closed in "
    "its session, and you are told. Ignore: sessions keep their own view and nobody is told. The account's "
    "books follow the venue either way.",
    # time
    "heartbeat": "Time since a runner last completed a turn of the session (wall clock).",
    "decision_age": "Time since the last decision; in a replay of the past, up to its last good price.",
    "replay_clock": "The venue replays the past: bars, decisions, orders, trades and days carry its time. "
    "Changes of the risk state, and what is so long ago, go by this server's clock.",
    "filled_at": "On the venue's clock, which a replay of the past sets back; the zone shows on hover.",
    "price_stream": "Prices by WebSocket. While the connection is lost or silent they are polled instead.",
    "stream_gaps": "Times that the stream left out more than 5 s, by the venue's own times.",
    "stream_late": "Frames that were older than what was known, and left out.",
    "data_age": "Age of the last good price. Older ones than the risk profile allows count as unknown.",
    # alerts
    "alert_count": "How often it was reported while it lasted.",
    "acknowledged": "A person has seen it: nothing more is sent about it unless it becomes louder.",
    "delivery_attempts": "How often it was tried; after ten tries or a day it is given up, and that is told.",
    "channel_ok": "When a receiver last took a message of this channel.",
    "again": "The same thing is not told again before this time is over.",
    "quiet": "Between these hours only what is critical is sent at once; the rest waits for the end.",
    # risk
    "risk_state": "Active: trades. Safe: exits and tiny trades for a while. Reducing: leaves its position. "
    "Halted: nothing until a person resumes.",
    "stop_distance": "How far the price may move against the position before the stop-loss sells.",
    "take_distance": "How far the price must move in favour before take-profit sells.",
    "exit_level": "Price at which this rule would leave the position; levels only tighten.",
    "dca_lots": "Buys of the present cycle of averaging down, of those allowed.",
    "trade_record": "Closed positions after all fees, over the trades that Kelly looks back on.",
    "day_loss_distance": "How much more the day may lose, as a share of its start, before entries stop.",
    "plan_weight": "Share of the plan's equity that this pair should have.",
    "plan_wanted": "Shares of the plan's equity that the model wants, decided at the close of a bar.",
    "plan_share": "Share of the plan's equity that this pair has, at the last good price.",
    "week_loss_distance": "How much more the week (from Monday, UTC) may lose before the position is left.",
    "safe_drawdown": "Fall from the highest equity since safe mode was last entered.",
    "loss_streak": "Closing trades with a loss, one after the other.",
    "venue_errors": "Share of the latest calls to the venue that failed; the session's driver counts them.",
    "health": "Is the model used within what it was trained and validated on? Unknown trips nothing.",
    "health_entropy": "Mean entropy of the latest decisions' probabilities: 1 is chance, 0 always sure.",
    "health_psi": "Population stability index of the inputs against training, median over the features.",
    "health_ks": "Largest distance between the inputs' distribution and training, median over the features.",
    "health_turnover": "Turnover of the last day as a multiple of the validation backtest's.",
    "drawdown_distance": "How much further equity may fall below its peak before entries stop.",
    "drawdown": "How far equity is below its highest value so far.",
    # decisions
    "probabilities": "What the agent's policy gives each action; they sum to one.",
    "confidence": "Probability of the chosen action; below the risk profile's threshold the agent holds.",
    "value": "The agent's own estimate of the discounted reward to come.",
    "gate": "Why a wish was not followed before risk was asked: confidence or minimum move.",
    "latency": "Time from knowing the closed bar to having decided.",
    # councils
    "council_method": "How votes become a decision: majority, weighted, unanimity or veto. Ties hold.",
    "council_combine": "Whether each member's choice counts whole, or its probabilities are averaged.",
    "council_weight": "How much the member's voice counts; 0 watches only. By default its validated Sharpe "
    "where weights count, else 1.",
    "quorum": "Members with a weight that must be able to vote; below it the council holds.",
    "split": "Share of decisions at which the members that voted did not all vote alike.",
    "vote_entropy": "How evenly votes are spread, in bits: 0 all alike, 1.58 evenly over hold, buy and sell.",
    "agreement": "Share of the decisions at which both members voted and voted alike.",
    "adds_return": "Return of the whole council less its return without the member; one path of history.",
    "adds_sharpe": "Sharpe of the whole council less its Sharpe without the member; one path of history.",
    "followed": "Share of the member's votes that were also the council's decision.",
    "left_out": "Decisions at which the member could not vote.",
    # metrics
    "total_return": "Last equity divided by first equity, minus one, after all costs.",
    "annual_return": "Total return compounded to 365 days.",
    "volatility": "Standard deviation of bar returns, annualised with 365 days; missing bars count as time.",
    "sharpe": "Mean bar return divided by its standard deviation, annualised with 365 days in which "
    "missing bars count as time; no risk-free rate.",
    "sortino": "Like Sharpe, but only returns below zero count as risk.",
    "calmar": "Annualised return divided by the largest drawdown.",
    "max_drawdown": "Largest fall from a peak of equity to a later low.",
    "max_drawdown_bars": "Longest time equity stayed below an earlier peak, in bars.",
    "max_drawdown_days": "Longest time equity stayed below an earlier peak, in days.",
    "var_95": "Return per bar that is undercut in 5 % of the bars.",
    "cvar_95": "Mean return per bar within the worst 5 % of the bars.",
    "win_rate": "Share of closing fills that made a profit after fees.",
    "profit_factor": "Sum of gains divided by sum of losses over closing fills.",
    "turnover_per_day": "Traded value per day as a multiple of mean equity.",
    "notional": "Value of all fills, in quote currency.",
    "closed_trades": "Fills that closed something, wholly or in part.",
    "final_equity": "Equity at the end of the stretch.",
    "elapsed_days": "Days from the first bar to the last.",
    "bars": "Bars the figures are taken over.",
    "decisions": "How often the policy was asked.",
    "gated": "Decisions that the confidence threshold or the minimum move turned into holds.",
    "contest_sharpe": "Mean daily return divided by its standard deviation, not annualised.",
    "contest_sortino": "Mean daily return divided by its downside deviation, not annualised.",
    "contest_calmar": "Mean daily return divided by the largest drawdown of daily closes, not annualised.",
    "execution_style": "Market trades at once; limit rests at the touch, then goes to market; split trades "
    "in several orders over a time. Stops always leave at the market.",
    "parent_order": "What of the latest wish has not traded yet.",
    "given_up": "Wishes of a limit or split style that ended before all of them was traded, and why.",
    "parent_until": "A limit order is cancelled then, its rest goes to market; a split has sent all by then.",
    "deadline_s": "How long a limit order may rest, on the venue's clock, before the rest goes to market.",
    "children": "How many market orders one wish is split into, and over which time.",
    "activity_s": "So long before an idle UTC day ends one small trade is made the way the policy leans.",
    "turnover_budget": "Notional traded in a UTC day over its first equity; beyond it only exits are made.",
    "contest_score": "Over daily closes, not annualised: 0.4 Sortino + 0.3 Sharpe + 0.3 Calmar.",
    "fills": "Number of fills.",
    "benchmark_return": "What buying at the start and holding would have returned, after the same costs; "
    "of a portfolio equal weights, brought back at every decision.",
    "benchmark_sharpe": "Sharpe of buying at the start and holding; of a portfolio that of equal weights.",
    "benchmark_max_drawdown": "Largest fall of buying at the start and holding; of a portfolio that of equal "
    "weights.",
    "weights": "Share of equity that each pair has at each close; what is left is cash.",
    # learning
    "steps": "Environment steps done of those asked for.",
    "fps": "Environment steps per second of wall time, learning included.",
    "eta": "Estimated time left at the present speed.",
    "reward": "Mean reward per episode as the agent sees it; not money.",
    "episode_return": "Mean reward summed over an episode; for log returns it is the log growth of equity.",
    "return_deviation": "What rewards are divided by for the learner: the running deviation of their sums.",
    "stage": "Where episodes start: 1 calm bars, 2 volatile ones as well, 3 crashes as well.",
    "stage_score": "Mean return of the stage's last episodes; above the limit the next stage begins.",
    "weight": "Mean share of the account that the team's allocator gave the specialist.",
    "contribution": "What the specialist's slices of the account earned over the equity at first, its part "
    "of the costs paid; all specialists' contributions add up to the total return.",
    "own_reward": "Mean reward of a decision by the specialist's own terms, scaled as in training.",
    "funding": "Paid on a futures position; negative when more was received.",
    "liquidations": "Positions that the venue closed because their margin was used up.",
    "policy_loss": "PPO's clipped objective of the last update, as a loss.",
    "policy_objective": "TRPO's expected gain of the last update; it is made as large as its bound allows.",
    "value_loss": "Squared error of the value estimate in the last update.",
    "actor_loss": "What the actor minimises: the negative value of its actions, less SAC's entropy bonus.",
    "critic_loss": "Squared error of the critics' values against reward and discounted value ahead.",
    "action_value_loss": "Error of the chosen actions' values against reward and discounted value ahead.",
    "entropy_weight": "How much SAC pays for undecidedness; it sets this weight itself.",
    "exploration_rate": "Share of decisions drawn at random while learning.",
    "entropy": "How undecided the policy is; it falls as the agent makes up its mind.",
    "kl": "Approximate distance between the policy before and after the last update; big jumps are bad.",
    "clip_fraction": "Share of samples whose policy change was cut off by PPO's clip range.",
    "explained_variance": "How much of the returns the value estimate explains: 1 is all, 0 nothing.",
    "score": "t-statistic of the mean bar log return on the validation candles; cash scores 0. "
    "It chooses the checkpoint.",
    "action_share": "Share of the decisions of each validation backtest that chose the action; of a "
    "portfolio the mean share of equity in every pair.",
    "probe": "Probabilities of the actions in one fixed market state without a position, always the same; of "
    "a portfolio the weights it wants there.",
    "outputs": "What the network answers there before it becomes probabilities (logits), or a mean exposure; "
    "of a team its weights.",
    "cpu": "Processor cores the training process kept busy, sampled every few seconds.",
    "rss_mb": "Resident memory of the training process in MiB.",
    "device": "What the run computes on: the CPU, or the GPU that it asked for and found.",
    "gpu_mb": "Memory of the GPU that the training process holds, in MiB; empty for a run on the CPU.",
    "gpu": "Share of the last second in which the GPU was at work, for whomever; empty on the CPU "
    "and where the driver does not tell it.",
    "queue": "Training runs of everybody that wait for a worker.",
    "reproduced": "Trained again from the same card; the same weights means equal bit for bit.",
    "excess_return": "Total return less the benchmark's, both after costs.",
    "training_score": "Score on the end of the training part, over as many bars as judge.",
    "score_gap": "Training score less validation score: a wide gap is over-fitting.",
    "last_score": "Score of the last checkpoint, which need not be the best one.",
    "benchmark_score": "Score of buying at the start and holding; of a portfolio that of equal weights.",
    "best_step": "Training step of the checkpoint that was kept.",
    "checkpoints_compared": "How many checkpoints the best one was chosen from: more comparisons, more luck.",
    "test_part": "The last candles of the stretch, sealed in training. Opening them is recorded and "
    "counted: only the first look is free of any choice made by it.",
    "validation": "Result of the newest checkpoint on later data it has not learned from.",
    # what the agent sees of its own position
    "unrealised_return": "Price now against the average entry price, as a fraction.",
    "time_in_position": "Bars since the position was opened, divided by the scale chosen in training.",
    "cash_share": "Share of equity that is not invested.",
    # data
    "rows": "Number of stored candles.",
    "missing": "Bars that should exist between the first and the last, but do not. Gaps are never filled in.",
    "coverage": "Stored bars divided by the bars between first and last.",
    "fingerprint": "SHA-256 over all candles: equal fingerprints mean equal data.",
}


# What is measured of every specialist of a team carries its name behind these.
FAMILIES = {"weight_": "weight", "contribution_": "contribution", "reward_": "own_reward"}


def definition(name: str) -> str:
    """Return the sentence for a metric's name; empty when there is none."""
    if name in DEFINITIONS:
        return DEFINITIONS[name]
    family = next((family for family in FAMILIES if name.startswith(family)), "")
    return DEFINITIONS[FAMILIES[family]] if family else ""
