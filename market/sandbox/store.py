"""What survives kill -9: an append-only journal of every change, and the clock."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from market.errors import BadInput


class Store:
    """A folder holding `journal.jsonl` (one change per line, with the state after it), `clock` and `origin`.

    Each line is handed to the operating system before the request that caused it is answered; a torn last
    line (the process died while writing, so nobody was answered) is cut off on opening.

    :raises BadInput: when the folder cannot be written or another sandbox uses it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lines = folder, list[str]()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._journal = os.open(folder / "journal.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._clock = os.open(folder / "clock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise BadInput(f"the state folder {folder} cannot be used: {error.strerror}", "state") from error
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise BadInput(
                f"another sandbox uses the state folder {folder}; give another --state", "state"
            ) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the recorded changes, oldest first."""
        whole = 0
        with open(self.folder / "journal.jsonl", "rb") as journal:
            for line in journal:
                if not line.endswith(b"\n"):
                    break
                try:
                    event = json.loads(line)
                except ValueError as error:
                    where = f"line {len(self.lines) + 1} of {self.folder / 'journal.jsonl'}"
                    raise BadInput(f"{where} is damaged; --fresh starts anew", "state") from error
                whole += len(line)
                self.lines.append(line[:-1].decode())
                yield event
        os.ftruncate(self._journal, whole)

    def clear(self) -> None:
        """Forget everything."""
        self.lines.clear()
        os.ftruncate(self._journal, 0)
        os.ftruncate(self._clock, 0)

    def append(self, event: dict[str, Any]) -> None:
        """Write one change down."""
        line = json.dumps({"seq": len(self.lines) + 1, **event}, separators=(",", ":"))
        os.write(self._journal, line.encode() + b"\n")
        self.lines.append(line)

    def save_clock(self, now_ms: int) -> None:
        """Remember the time; called before a time is shown, so that the clock never runs backwards."""
        os.pwrite(self._clock, b"%020d" % now_ms, 0)

    def saved_clock(self) -> int | None:
        text = os.pread(self._clock, 20, 0)
        return int(text) if len(text) == 20 and text.isdigit() else None

    def close(self) -> None:
        for descriptor in (self._journal, self._clock):
            os.close(descriptor)
