"""The shape all our management commands share: one clear line on bad input, exit status 2, JSON last."""

import json
import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from market.errors import BadInput
from market.outages import outage

OUTDATED = "the database is not up to date: run `make setup`"


class OneLineParser(CommandParser):
    """Answers a wrong argument with one line; --help shows the usage."""

    def print_usage(self, file: Any = None) -> None:
        if file is not sys.stderr:
            super().print_usage(file)

    def error(self, message: str) -> Any:
        return super().error(f"{message} (--help explains)")


class ProductCommand(BaseCommand):
    """Implement `arguments(parser)` and `run(**options) -> dict | None`; --json prints the dict last."""

    requires_migrations_checks = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.__class__ = OneLineParser
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
        self.arguments(parser)

    def arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""

    def run(self, **options: Any) -> dict[str, Any] | None:
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Tell the person something; with --json this goes to stderr so that stdout stays parseable."""
        (self.stderr if self.as_json else self.stdout).write(text)
        (self.stderr if self.as_json else self.stdout).flush()

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json = options["json"]
        try:
            result = self.run(**options)
        except BadInput as error:
            raise CommandError(error.message, returncode=2) from error
        except (DatabaseError, OSError) as error:
            sentence = outage(error)
            if sentence is None and isinstance(error, DatabaseError) and not is_migrated():
                sentence = OUTDATED
            if sentence is None:
                raise
            raise CommandError(sentence, returncode=2) from error
        except KeyboardInterrupt:
            sys.exit(130)
        if self.as_json and result is not None:
            self.stdout.write(json.dumps(result, default=str))


def is_migrated() -> bool:
    """Say whether every migration has been applied."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def user_named(name: str | None) -> User | None:
    """Return the user called `name`; None stays None.

    :raises BadInput: when nobody has that name.
    """
    if name is None:
        return None
    user = get_user_model().objects.filter(username=name).first()
    if user is None:
        raise BadInput(f"there is no user named {name!r}", field="user")
    return user
