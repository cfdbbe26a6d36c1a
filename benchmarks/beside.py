"""Other projects' environments beside ours, in the same run on the same bars: see benchmarks/peers."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from market.candles import Candles
from market.errors import BadInput

MEASURE = Path(__file__).parent / "peers" / "measure.py"
LIMIT_S = 600


def peers(python: str, candles: Candles, rows: np.ndarray, *flags: str, seconds: float = 5.0) -> dict:
    """Return steps per second of each peer, None where it cannot be loaded.

    :param python: the interpreter of an environment made by `make peers`
    :raises BadInput: when there is no such interpreter, or it fails
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        names = ("open", "high", "low", "close", "volume")
        np.savez(data, rows=rows, **{name: getattr(candles, name) for name in names})
        command = [python, str(MEASURE), str(data), str(seconds), *flags]
        try:
            done = subprocess.run(  # noqa: S603  whoever runs a benchmark names the interpreter
                command, capture_output=True, text=True, timeout=LIMIT_S, check=True
            )
        except OSError as error:
            raise BadInput(f"no interpreter at {python}: run `make peers` first", "peers") from error
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip().splitlines() or ["no message"])[-1]
            raise BadInput(f"the peers could not be measured: {last}", "peers") from error
    return json.loads(done.stdout)
