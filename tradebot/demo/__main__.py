"""`python -m tradebot.demo`: what `make demo` and `make smoke` run."""

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

from tradebot import env
from tradebot.demo.processes import DemoError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tradebot.demo", description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="candle file: trains on its first 80 %%, trades on the rest"
    )
    parser.add_argument("--speed", type=float, help="market seconds per second (demo 60, smoke 240)")
    parser.add_argument("--port", type=int, default=8000, help="port of the web pages")
    parser.add_argument("--sandbox-port", type=int, default=8010, help="port of the sandbox exchange")
    parser.add_argument("--steps", type=int, default=250_000, help="environment steps of training")
    parser.add_argument("--smoke", action="store_true", help="headless: check the whole chain once, then end")
    options = parser.parse_args()
    if options.speed is not None and options.speed <= 0:
        parser.error("--speed must be above 0")
    if options.steps < 1:
        parser.error("--steps must be at least 1")
    if options.data is not None and not options.data.is_file():
        parser.error(f"there is no file {options.data}")
    return options


def main() -> int:
    options = arguments()
    var = env.BASE_DIR / "var" / "smoke" if options.smoke else env.read().var_dir
    if options.smoke:
        shutil.rmtree(var, ignore_errors=True)
    os.environ.update(VAR_DIR=str(var), DJANGO_SETTINGS_MODULE="tradebot.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    os.environ.setdefault("SITE_URL", f"http://127.0.0.1:{options.port}")  # where alerts link to
    os.chdir(env.BASE_DIR)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # one door for both, also in a script's background
        signal.signal(number, signal.default_int_handler)

    import django

    django.setup()
    from tradebot.demo.show import Show

    show = Show(options, var)
    try:
        return show.run()
    except DemoError as error:
        sys.stdout.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stdout.write("\nstopping ...\n")
        return 0 if show.is_up else 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave anything behind
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        show.stop()


if __name__ == "__main__":
    sys.exit(main())
