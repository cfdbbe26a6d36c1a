"""Where a run learns: on the GPU it asks for, or on the CPU and why."""

from typing import NamedTuple

import torch

from agents.spec import TrainingSpec
from agents.spec.devices import misfit
from market.errors import BadInput

CPU = "CPU"


class Placement(NamedTuple):
    device: torch.device | None  # of the tensors; None: the CPU's own learners
    name: str  # as people read it
    note: str = ""  # what is not as asked for, or not as it began


def gpu() -> torch.device | None:
    """Return the graphics processor of this machine, None where there is none that torch can use."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else None


def name_of(device: torch.device) -> str:
    """Return what people call a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "tensors on the CPU"


def placed(spec: TrainingSpec, begun_on: str = "") -> Placement:
    """Return where a run learns.

    :param begun_on: the name under which its checkpoint began; it goes on where it began, or not at all,
        because elsewhere it would end with other weights
    :raises BadInput: when it began on a GPU and there is none now
    """
    if spec.device == "cpu":
        return Placement(None, CPU)
    device, unfit = gpu(), misfit(spec)
    if begun_on == CPU:
        return Placement(None, CPU, "It goes on on the CPU, where its checkpoint began.")
    if begun_on and device is None:
        raise BadInput(
            f"this run began on a GPU ({begun_on}) and there is none here now: resume it where there is one, "
            "or start a new run with device=cpu",
            "device",
        )
    if unfit:
        return Placement(None, CPU, f"Learns on the CPU: {unfit}.")
    if device is None:
        return Placement(
            None, CPU, f"Learns on the CPU: device={spec.device} asks for a GPU, and torch finds none here."
        )
    name = name_of(device)
    moved = f"It began on {begun_on} and goes on on {name}: its weights are those of neither alone."
    return Placement(device, name, moved if begun_on not in ("", name) else "")
