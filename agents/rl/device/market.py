"""Tens of thousands of accounts on one market, stepped together on one device."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.envs.batched import BatchedMarket, PackedMarket, Stepped
from agents.envs.settings import EnvSettings
from agents.rl.device import exits, fills, sizing, starts
from agents.rl.device.reward import bar_reward
from agents.spec.devices import require_carried
from market.errors import BadInput
from market.kernel.plan import Plan
from market.kernel.reward import Moments
from market.kernel.step import Book, Rules

FRESH = np.array([0.0, 0.0, 0.0, 0.0, 1.0], np.float32)  # portfolio row of cash alone
LOST = np.array([0.0, 0.0, 0.0, -1.0, 0.0])  # of one that is worth nothing
ENDS = torch.uint8


class Moved(NamedTuple):
    """What one decision of N accounts gave, on the device."""

    rewards: Tensor  # float32 (N,)
    ends: Tensor  # uint8 (N,): GOES_ON, TERMINATED or TRUNCATED
    rows: Tensor  # int64 (N,), the row the decision led to; an episode that ended there has begun anew since
    portfolios: Tensor  # float32 (N, 5), the account's part of the observation there


class DeviceMarket(BatchedMarket):
    """`BatchedMarket` as torch tensors: equal observations, rewards, ends and starts, on any device.

    `advance` takes and gives tensors and waits for nothing. `step` and what else comes from `BatchedMarket`
    take and give arrays, by a transfer each. Money and prices are float64, because floors to a step need its
    digits; what the learner sees is float32, as on the CPU.

    :raises BadInput: for rules that only the compiled market carries (`agents.spec.devices`)
    """

    def __init__(
        self,
        market: PackedMarket,
        settings: EnvSettings,
        accounts: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        require_carried(settings)
        super().__init__(market, settings, accounts, seed)
        self.device = torch.device(device)
        self.features = self._tensor(market.scaled)  # float32 (n, F)
        self._prices = self._tensor(market.prices[:, :4])  # float64 (n, 4)
        self._atr = self._tensor(self._ranges)
        self._exposures = self._tensor(self._table)
        self._offsets = torch.arange(1 - settings.window, 1, device=self.device)
        self._places = self._tensor(self._starts.astype(np.int64))
        self._counters = starts.counters(accounts, self.device)
        self._fresh, self._lost = self._tensor(FRESH), self._tensor(LOST)
        self._floats, self._sizes, self._weights = settings.rules(), settings.plan(), settings.reward
        self._exits = exits.has_exits(self._floats, self._sizes)
        self._row, self._last = self._drawn(0)
        self._book, self._bracket, self._noted = self._opened(), self._zeros(), self._unnoted()
        self.portfolios = self._fresh.expand(accounts, -1)  # float32 (N, 5), of the present observations

    def reset(self, seed: int | None = None) -> np.ndarray:
        self.turn = self.turn + 1 if seed is None else 0
        self.seed = self.seed if seed is None else seed
        self._row, self._last = self._drawn(self.turn)
        self._book, self._bracket, self._noted = self._opened(), self._zeros(), self._unnoted()
        self.portfolios = self._fresh.expand(self.size, -1)
        return self.observations()

    def step(self, actions: np.ndarray) -> Stepped:
        places, table = self._asked(actions)
        if places.min() < 0 or places.max() >= len(table):
            raise ValueError(f"actions must lie in 0..{len(table) - 1}")
        moved = self.advance_to(self._tensor(table[places]))
        ends = moved.ends.cpu().numpy()
        ended = int(np.count_nonzero(ends))
        if ended:
            over = self._tensor(np.flatnonzero(ends))
            last = self.observed(moved.rows[over], moved.portfolios[over])
            self.last_observations[ends > 0] = last.cpu().numpy()
        return Stepped(self.observations(), moved.rewards.cpu().numpy(), ends, ended)

    def advance(self, actions: Tensor) -> Moved:
        """Take one decision per account.

        :param actions: int64 (N,), each one that there is, for discrete actions; float (N, 1) within [-1, 1]
            for continuous ones
        """
        if self.action.kind != "continuous":
            return self.advance_to(self._exposures[actions])
        low, high = self.action.levels
        share = (actions.reshape(self.size).double() + 1.0) / 2.0
        return self.advance_to(low + share * (high - low))

    def advance_to(self, targets: Tensor) -> Moved:
        """Trade towards exposures, float64 (N,); NaN keeps what is held."""
        row, close = self._row, self._prices[self._row, 3]
        is_order, targets = self._orders(targets, row, close)
        earned, after = self._bar(is_order, targets)
        for _ in range(1, self.settings.decision_every):
            is_live = ~(self._is_lost(after) | (self._row == self._last))
            before = (self._row, self._book, self._bracket, self._noted)
            more, later = self._bar(None, targets)
            earned = earned + torch.where(is_live, more, 0.0)
            after = torch.where(is_live, later, after)
            self._keep(is_live, *before)
        return self._ended(earned, after)

    def observed(self, rows: Tensor, portfolios: Tensor) -> Tensor:
        """Return observations, float32 (m, D), at rows (m,) with the portfolio's part (m, 5)."""
        if self.settings.window == 1:
            return torch.cat([self.features[rows], portfolios], dim=1)
        seen = self.features[rows[:, None] + self._offsets]  # (m, W, F)
        return torch.cat([seen.flatten(1), portfolios], dim=1)

    @property
    def at(self) -> Tensor:
        """Return the row each account stands at, int64 (N,)."""
        return self._row

    @property
    def rows(self) -> np.ndarray:
        return self._row.cpu().numpy().astype(np.int32)

    def observations(self) -> np.ndarray:
        return self.observed(self._row, self.portfolios).cpu().numpy()

    def set_starts(self, rows: np.ndarray) -> None:
        super().set_starts(rows)
        self._places = self._tensor(self._starts.astype(np.int64))

    def set_costs(self, share: float) -> None:
        super().set_costs(share)
        self._floats = Rules(*self._rules.tolist())

    def state(self) -> dict[str, Any]:
        return {"seed": self.seed, "turn": self.turn, **{k: v.clone() for k, v in self._tensors().items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        for name, tensor in self._tensors().items():
            found = tuple(state[name].shape)
            if found != tuple(tensor.shape):
                raise BadInput(
                    f"the saved market has {name} of shape {found}, not {tuple(tensor.shape)}", "n_envs"
                )
        kept = {name: state[name].to(self.device).clone() for name in self._tensors()}
        self._row, self._last, self._bracket = kept["row"], kept["last"], kept["bracket"]
        self._book, self._noted = Book(*kept["book"]), Moments(*kept["moments"])
        self.portfolios = kept["portfolios"]
        self.seed, self.turn = int(state["seed"]), int(state["turn"])

    def _tensors(self) -> dict[str, Tensor]:
        return {
            "row": self._row,
            "last": self._last,
            "bracket": self._bracket,
            "book": torch.stack(list(self._book)),
            "moments": torch.stack(list(self._noted)),
            "portfolios": self.portfolios,
        }

    def _orders(self, targets: Tensor, row: Tensor, close: Tensor) -> tuple[Tensor, Tensor]:
        """Return (is there an order, exposure to trade towards)."""
        book, band = self._book, self.settings.action.band
        worth = book.cash + book.held * close
        exposure = torch.where(worth > 0, book.held * close / worth, 0.0)
        is_order = ~targets.isnan() & ~sizing.is_kept(targets, exposure, band)
        targets = targets.nan_to_num(nan=0.0)
        if self._sizes.is_on > 0:
            is_due, targets = sizing.sized_order(
                targets, exposure, band, close, self._atr[row], self._floats, self._sizes
            )
            is_order &= is_due
        return is_order, targets

    def _bar(self, is_order: Tensor | None, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Move every account one bar on; return (unscaled reward, equity at the close).

        :param is_order: None where nobody orders
        """
        rules, plan, book = self._floats, self._sizes, self._book
        past_row, self._row = self._row, (self._row + 1).clamp(max=len(self._prices) - 1)
        open_, high, low, close = self._prices[self._row].unbind(1)
        past = self._prices[past_row, 3]
        traded = None
        if is_order is not None:
            order = fills.ordered(book, is_order, targets, open_, rules)
            book, is_same = fills.filled(book, order)
            self._bracket, traded = torch.where(is_same, self._bracket, 0.0), order.notional
        if self._exits:
            book, left = self._exited(book, past_row, (open_, high, low), rules, plan)
            traded = left if traded is None else traded + left
        peak, before = self._book.peak, self._book.cash + self._book.held * past
        self._book = fills.marked(book, high, low, close)
        after = book.cash + book.held * close
        worth, self._noted = bar_reward(
            before, after, (peak, self._book.peak), (past, close), traded, self._noted, self._weights
        )
        return worth, after

    def _exited(
        self, book: Book, past_row: Tensor, bar: tuple[Tensor, Tensor, Tensor], rules: Rules, plan: Plan
    ) -> tuple[Book, Tensor]:
        """Return (book, notional sold) once levels have been tightened and what they force is done."""
        is_open = book.held != 0
        stop, take, bracket = exits.levels(book, self._bracket, self._atr[past_row], rules, plan)
        book = book._replace(stop=torch.where(is_open, stop, book.stop))
        price, is_left = exits.bar_leave(book, bar, stop, take, plan)
        fill = fills.left(book, price, is_left, rules)
        book, is_same = fills.filled(book, fill)
        self._bracket = torch.where(is_same, bracket, 0.0)
        return book, fill.notional

    def _keep(self, is_live: Tensor, row: Tensor, book: Book, bracket: Tensor, noted: Moments) -> None:
        """Put accounts that are not live back to where they were."""
        self._row = torch.where(is_live, self._row, row)
        self._book = Book(*(torch.where(is_live, *pair) for pair in zip(self._book, book, strict=True)))
        self._bracket = torch.where(is_live, self._bracket, bracket)
        self._noted = Moments(*(torch.where(is_live, *pair) for pair in zip(self._noted, noted, strict=True)))

    def _ended(self, earned: Tensor, after: Tensor) -> Moved:
        """Begin anew where an episode ended; return what the decision gave."""
        is_lost = self._is_lost(after)
        ends = torch.where(is_lost, 1, torch.where(self._row == self._last, 2, 0)).to(ENDS)
        rows, portfolios = self._row, self._portfolios(after)
        is_over = ends > 0
        self.turn += 1
        row, last = self._drawn(self.turn)
        self._row, self._last = torch.where(is_over, row, rows), torch.where(is_over, last, self._last)
        fresh = self._opened()
        self._book = Book(*(torch.where(is_over, *pair) for pair in zip(fresh, self._book, strict=True)))
        self._bracket = torch.where(is_over, 0.0, self._bracket)
        self._noted = Moments(*(torch.where(is_over, 0.0, moment) for moment in self._noted))
        self.portfolios = torch.where(is_over[:, None], self._fresh, portfolios)
        return Moved((earned * self.settings.reward_scale).float(), ends, rows, portfolios)

    def _is_lost(self, worth: Tensor) -> Tensor:
        is_ruined = worth <= self.settings.ruin * self.settings.initial_cash
        if self.settings.max_drawdown <= 0:
            return is_ruined
        return is_ruined | (worth <= self._book.peak * (1 - self.settings.max_drawdown))

    def _portfolios(self, worth: Tensor) -> Tensor:
        """Return the portfolio rows at the present close, float32 (N, 5), see `portfolio.portfolio_row`."""
        book, close = self._book, self._prices[self._row, 3]
        is_open = book.held != 0
        change = close / book.entry - 1
        exposure = torch.where(is_open, book.held * close / worth, 0.0)
        unrealised = torch.where(is_open, torch.where(book.held > 0, change, -change), 0.0)
        waited = torch.where(is_open, book.bars_held / (book.bars_held + self.settings.bars_scale), 0.0)
        found = torch.stack([exposure, unrealised, waited, worth / book.peak - 1, 1 - exposure], dim=1)
        return torch.where((worth > 0)[:, None], found, self._lost).float()

    def _drawn(self, turn: int) -> tuple[Tensor, Tensor]:
        """Return (row, last row) of the episodes that begin at a turn, int64 (N,)."""
        row = self._places[starts.places(self._draw(turn), self._counters, len(self._places))]
        bars = self.settings.episode_bars
        return row, row + bars if bars else torch.full_like(row, len(self._prices) - 1)

    def _opened(self) -> Book:
        cash, zero = torch.full_like(self._zeros(), self.settings.initial_cash), self._zeros()
        return Book(cash, zero, zero, zero, cash, zero, zero)

    def _unnoted(self) -> Moments:
        return Moments(self._zeros(), self._zeros(), self._zeros())

    def _zeros(self) -> Tensor:
        return torch.zeros(self.size, dtype=torch.float64, device=self.device)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.device)
