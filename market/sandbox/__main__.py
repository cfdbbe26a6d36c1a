"""`python -m market.sandbox`: the sandbox without Django (and so without `series:ID` feeds)."""

import argparse
import sys
from pathlib import Path

from market.errors import BadInput
from market.sandbox.options import add_arguments, options_of
from market.sandbox.run import run


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m market.sandbox", description=__doc__)
    add_arguments(parser, Path("var/sandbox"))
    arguments = vars(parser.parse_args())
    try:
        run(options_of(arguments), arguments["host"], arguments["port"], say)
    except BadInput as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(2)


main()
