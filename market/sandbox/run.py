"""Serve a sandbox in the foreground."""

from collections.abc import Callable

from market.sandbox.feeds import SeriesReader
from market.sandbox.options import Options, build
from market.sandbox.server import Server, listen


def run(
    options: Options, host: str, port: int, say: Callable[[str], None], series: SeriesReader | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then return; says one line when ready.

    :raises BadInput: when the port is taken or an option cannot be used.
    """
    listener = listen(host, port)
    try:
        sandbox = build(options, series)
    except BaseException:
        listener.close()
        raise
    address = f"http://{host}:{listener.getsockname()[1]}"
    Server(sandbox, listener, ready=lambda: say(f"sandbox ready at {address}")).serve_until_stopped()
