"""sb3-contrib's recurrent policy, whose LSTM reads the market only; the account's numbers go around it.

What the LSTM knows is then a function of the feature rows it has read. A live decision replays the last
`memory` of them from nothing, as an episode that old has met them: there is no state to lose, to store or to
reconcile, and a replay of the recorded bars decides alike.
"""

from typing import Any

import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import nn

from agents.policies.sight import Sight
from agents.rl.extractors import arrays_of


class MarketLstmPolicy(RecurrentActorCriticPolicy):
    """:param columns: feature columns at the head of an observation of one row, the account's numbers behind
    :param memory: rows that a live decision replays
    :param stride: bars between two of them, as between two decisions
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lr_schedule: Any,
        columns: int,
        memory: int,
        stride: int,
        lstm_hidden_size: int = 32,
        n_lstm_layers: int = 1,
        **others: Any,
    ) -> None:
        self.columns, self.memory, self.stride = columns, memory, stride
        self.rest = int(observation_space.shape[0]) - columns
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            lstm_hidden_size=lstm_hidden_size,
            n_lstm_layers=n_lstm_layers,
            **others,
        )
        self.lstm_actor = nn.LSTM(columns, lstm_hidden_size, num_layers=n_lstm_layers)
        self.lstm_critic = nn.LSTM(columns, lstm_hidden_size, num_layers=n_lstm_layers)
        kwargs: dict[str, Any] = {"lr": lr_schedule(1), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **kwargs)

    def _build_mlp_extractor(self) -> None:
        size = self.lstm_output_dim + self.rest
        self.mlp_extractor = MlpExtractor(size, self.net_arch, self.activation_fn, self.device)

    @staticmethod
    def _process_sequence(
        features: torch.Tensor, lstm_states: Any, episode_starts: torch.Tensor, lstm: nn.LSTM
    ) -> Any:
        market, account = features[:, : lstm.input_size], features[:, lstm.input_size :]
        seen, states = RecurrentActorCriticPolicy._process_sequence(market, lstm_states, episode_starts, lstm)
        return torch.cat([seen, account], dim=1), states

    @property
    def rows(self) -> int:
        """Rows of a live observation's window."""
        return (self.memory - 1) * self.stride + 1

    def sight_of(self, lstm: nn.LSTM) -> Sight:
        """Return one of the LSTMs in numpy."""
        inputs = self.rows * self.columns + self.rest
        return Sight("lstm", self.rows, self.columns, inputs, arrays_of(lstm), stride=self.stride)

    def answers(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (outputs, values) of live observations: (n, rows * columns + rest)."""
        size = self.rows * self.columns
        window = observations[:, :size].reshape(-1, self.rows, self.columns)[:, :: self.stride]
        account = observations[:, size:]
        lstms: tuple[Any, ...] = (self.lstm_actor, self.lstm_critic)
        seen, valued = (torch.cat([lstm(window.transpose(0, 1))[0][-1], account], dim=1) for lstm in lstms)
        towers = self.mlp_extractor
        return (
            self.action_net(towers.forward_actor(seen)),
            self.value_net(towers.forward_critic(valued)),
        )
