"""`manage.py generate_keys`: fresh secrets for a production environment file."""

from typing import Any

from cryptography.fernet import Fernet
from django.core.management.utils import get_random_secret_key

from market.commands import ProductCommand


class Command(ProductCommand):
    help = "Print a new SECRET_KEY and FERNET_KEYS, ready for a .env file. Nothing is stored."

    def run(self, **options: Any) -> dict[str, Any]:
        keys = {"SECRET_KEY": get_random_secret_key(), "FERNET_KEYS": Fernet.generate_key().decode()}
        for name, value in keys.items():
            self.say(f"{name}='{value}'")
        return keys
