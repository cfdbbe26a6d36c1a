"""`manage.py reconcile ACCOUNT`: compare our books with the venue's now."""

from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from trading import services
from trading.accounts import account_named
from trading.export import plain
from trading.reconciliation import holdings


class Command(ProductCommand):
    help = "Compare an account's books with the venue's, record it, and correct ours where they differ."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="id or name")
        parser.add_argument("--user", help="owner, where several people have an account of that name")

    def run(self, **options: Any) -> dict[str, Any]:
        account = account_named(options["account"], user=options["user"])
        done = services.reconcile_account(account=account)
        self.say(f"{account}: the books are equal" if done.equal else f"{account}: the books differed")
        for one in done.differences:
            self.say(f"  {one['coin']}: ours {one['ours']}, theirs {one['theirs']}; {one['done']}")
        ours = {coin: plain(quantity) for coin, quantity in holdings(account).items()}
        return {"id": done.pk, "equal": done.equal, "differences": done.differences, "holdings": ours}
