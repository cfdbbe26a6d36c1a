"""Settings from the environment: what is wrong stops the start with a line that names it."""

import pytest
from cryptography.fernet import Fernet
from django.core.management.utils import get_random_secret_key

from tradebot import env


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PRODUCTION", "maybe", "valid boolean"),
        ("SECRET_KEY", "short", "at least 32 characters"),
        ("FERNET_KEYS", "abc", "32 bytes in base64; `PRODUCTION=0 manage.py generate_keys` prints one"),
        ("FERNET_KEYS", "", "32 bytes in base64"),
        ("ALLOWED_HOSTS", "", "at least one host"),
        ("TRUSTED_ORIGINS", "example.org", "must begin with https://"),
        ("DATABASE_URL", "mysql://u:secret@h/x", "must start with postgresql://"),
        ("DATABASE_URL", "postgresql://u:secret@h:port/x", "Port could not be cast"),
        ("REDIS_URL", "nonsense", "must start with redis://"),
        ("VAR_DIR", "/dev/null", "File exists: /dev/null"),
        ("TIME_ZONE", "Nowhere/Here", "no time zone 'Nowhere/Here'"),
        ("TOKEN_HOURS", "99999999999", "less than or equal"),
        ("LEASE_TTL_S", "inf", "less than or equal"),
        ("LEASE_TTL_S", "nan", "or equal to"),
        ("SLICE_S", "-1", "greater than 0"),
        ("LOG_LEVEL", "LOUD", "should match"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as refused:
        env.read()
    first, line = str(refused.value).splitlines()
    assert first == "The environment is not usable:"
    assert line.startswith(f"  {name}: ")
    assert words in line
    assert "secret@" not in line


def test_production_takes_what_generate_keys_prints_and_refuses_weak_keys(monkeypatch, tmp_path):
    monkeypatch.setenv("PRODUCTION", "1")
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.setenv("FERNET_KEYS", Fernet.generate_key().decode())
    monkeypatch.setenv("SECRET_KEY", get_random_secret_key())
    assert env.read().production
    for weak in ("a" * 60, get_random_secret_key()[:40]):
        monkeypatch.setenv("SECRET_KEY", weak)
        with pytest.raises(SystemExit, match="at least 50 characters, chosen at random"):
            env.read()
