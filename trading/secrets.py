"""Venue secrets at rest: Fernet tokens under the newest of FERNET_KEYS; any of them may open one."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from market.errors import BadInput


def seal(secret: str) -> bytes:
    """Return `secret` encrypted.

    :raises BadInput: when FERNET_KEYS holds something that is no key.
    """
    return _fernet().encrypt(secret.encode())


def unseal(token: bytes | memoryview) -> str:
    """Return what `seal` was given.

    :raises BadInput: when none of FERNET_KEYS opens the token.
    """
    try:
        return _fernet().decrypt(bytes(token)).decode()
    except InvalidToken:
        raise BadInput(
            "the stored secret cannot be opened with FERNET_KEYS: add the key it was stored under, "
            "or enter the secret again",
            field="secret",
        ) from None


def _fernet() -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in settings.FERNET_KEYS])
    except ValueError:
        raise BadInput(
            "FERNET_KEYS is unusable: every key must be one that `manage.py generate_keys` printed",
            field="secret",
        ) from None
