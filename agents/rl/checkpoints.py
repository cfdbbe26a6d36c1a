"""The whole state of a run between two updates, on disk: a killed run goes on as if nothing had happened.

The library shuffles minibatches, draws from replay memories and explores with numpy's global generator, so
that one's state is part of it."""

import errno
import json
import os
import pickle
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from agents.rl.vec_env import TradingVecEnv
from agents.spec import TrainingSpec
from market.errors import BadInput

FORMAT = 4
ARRAY = "__array__"
COUNTERS = ("_n_updates", "_n_calls", "_episode_num", "exploration_rate", "_current_progress_remaining")
MEMORY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def capture(model: BaseAlgorithm, env: TradingVecEnv) -> dict[str, Any]:
    """Return a copy of everything that the next rollout and update depend on."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    modules, tensors = model._get_torch_save_params()
    return {
        "format": FORMAT,
        "steps": model.num_timesteps,
        "modules": {name: copied(recursive_getattr(model, name).state_dict()) for name in modules},
        "tensors": {name: copied(recursive_getattr(model, name)) for name in tensors},
        "counters": {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)},
        "torch_rng": torch.get_rng_state(),
        "numpy_rng": [str(kind), np.asarray(keys), int(position), int(has_gauss), float(cached)],
        "action_rng": model.action_space.np_random.bit_generator.state,
        "env": env.state(),
        "observations": _held(model._last_obs),
        "episode_starts": _held(model._last_episode_starts),
        "episodes": [dict(episode) for episode in model.ep_info_buffer or ()],
        "memory": _memory(model),
        "recurrent": copied([list(pair) for pair in getattr(model, "_last_lstm_states", None) or ()]),
    }


def _held(given: Any) -> Any:
    """Return a copy of an array, or of what stays on a device."""
    return copied(given) if isinstance(given, torch.Tensor) else np.array(given)


def restore(model: BaseAlgorithm, env: TradingVecEnv, state: dict[str, Any]) -> None:
    """Continue from what `capture` returned."""
    for name, module in state["modules"].items():
        recursive_getattr(model, name).load_state_dict(module)
    for name, tensor in state["tensors"].items():
        recursive_getattr(model, name).data.copy_(tensor)
    for name, value in state["counters"].items():
        setattr(model, name, value)
    model.num_timesteps = state["steps"]
    model._last_obs = state["observations"]
    model._last_episode_starts = state["episode_starts"]
    model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    if isinstance(model, OffPolicyAlgorithm):
        _remember(model, state["memory"])
    if state["recurrent"]:
        model._last_lstm_states = RNNStates(*(tuple(pair) for pair in state["recurrent"]))  # type: ignore[attr-defined]
    env.set_state(state["env"])
    torch.set_rng_state(state["torch_rng"])
    np.random.set_state(tuple(state["numpy_rng"]))
    model.action_space.np_random.bit_generator.state = state["action_rng"]


def _memory(model: BaseAlgorithm) -> dict[str, Any] | None:
    """Return the filled part of a replay memory."""
    if not isinstance(model, OffPolicyAlgorithm) or model.replay_buffer is None:
        return None
    buffer = model.replay_buffer
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: getattr(buffer, name)[:filled].copy() for name in MEMORY}
    return {"at": buffer.pos, "is_full": buffer.full, **arrays}


def _remember(model: OffPolicyAlgorithm, memory: dict[str, Any]) -> None:
    buffer = model.replay_buffer
    assert buffer is not None, "made by _setup_model"  # noqa: S101  programming error
    buffer.pos, buffer.full = memory["at"], memory["is_full"]
    for name in MEMORY:
        getattr(buffer, name)[: len(memory[name])] = memory[name]


def save(path: Path, state: dict[str, Any], fence: int = 0) -> None:
    """Write a checkpoint durably, or leave the last one as it is. :raises OSError: when the disk is full

    :param fence: of the lease that the run is trained under: who has lost it may still be writing
    """
    part = path.with_suffix(f".{fence}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            torch.save(_plain(state), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def clear(path: Path, fence: int) -> None:
    """Remove what trainers before the one of this fence have left half written."""
    for part in path.parent.glob(f"{path.stem}.*part"):
        number = part.name.removeprefix(f"{path.stem}.").removesuffix(".part")
        if not number.isdecimal() or int(number) < fence:  # of a later one: this trainer is superseded itself
            part.unlink(missing_ok=True)


class Damaged(Exception):
    """A file that no version of this program can have written whole."""


def load(path: Path) -> dict[str, Any] | None:
    """Return the checkpoint, None where there is none; the file stays as it is in any case.

    :raises BadInput: when another version of this program wrote it
    :raises Damaged: when it cannot be read
    :raises OSError: when the disk does not give it
    """
    try:
        state = _rich(torch.load(path, weights_only=True, map_location="cpu"))
    except FileNotFoundError:
        return None
    except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise Damaged(str(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Damaged("it is cut off") from error  # the end of its archive was sought before its beginning
    if not isinstance(state, dict) or "format" not in state:
        raise Damaged("it holds no state of a run")
    if state["format"] != FORMAT:
        raise BadInput(
            f"the checkpoint is of format {state['format']}, this version of the program reads {FORMAT}: go "
            "on with the version that wrote it, or start a new run; the checkpoint is kept as it is",
            "spec",
        )
    return state


def set_aside(path: Path) -> Path:
    """Move a damaged checkpoint out of the way, for whoever wants to look at it. Return where it lies."""
    aside = path.with_suffix(".bad")
    os.replace(path, aside)
    return aside


def present(identity: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's identity as the present version writes it; one that cannot be read stays."""
    try:
        spec = TrainingSpec.stored(json.loads(identity["spec"]))
    except (BadInput, ValueError, KeyError):
        return identity
    return {**identity, "spec": spec.completed().model_dump_json()}


def copied(state: Any) -> Any:
    """Return a deep copy of a state dict's tensors."""
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    return [copied(item) for item in state] if isinstance(state, list) else state


def _plain(value: Any) -> Any:
    """Turn arrays into tensors of bytes: a checkpoint is read back without running any code it names."""
    if isinstance(value, np.ndarray):
        raw = np.frombuffer(np.ascontiguousarray(value).tobytes(), dtype=np.uint8).copy()
        return {ARRAY: torch.from_numpy(raw), "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict) and ARRAY in value:
        return np.frombuffer(value[ARRAY].numpy().tobytes(), value["dtype"]).reshape(value["shape"]).copy()
    if isinstance(value, dict):
        return {key: _rich(item) for key, item in value.items()}
    return [_rich(item) for item in value] if isinstance(value, list) else value
