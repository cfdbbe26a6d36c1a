"""Typed reading of the environment: every setting a person may change, in one place, checked at start."""

from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
DEVELOPMENT_KEY = "development-only-key-never-use-it-where-others-can-reach-you"
MAKE_KEYS = "`PRODUCTION=0 manage.py generate_keys`"  # that command, too, reads these settings
DEVELOPMENT_FERNET = "ZGV2ZWxvcG1lbnQtb25seS1mZXJuZXQta2V5LTAwMDA="


class Environment(BaseSettings):
    """What the process environment (or a `.env` file in the project root) says. Unset means the default."""

    model_config = SettingsConfigDict(env_file=BASE_DIR / ".env", extra="ignore", frozen=True)

    production: bool = Field(False, description="Refuse development keys, require HTTPS, hide tracebacks")
    secret_key: str = Field(DEVELOPMENT_KEY, min_length=32, description="Django's signing key")
    fernet_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (DEVELOPMENT_FERNET,), description="Keys for venue secrets at rest, comma separated, newest first"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "localhost", "[::1]"), description="Host names served, comma separated"
    )
    trusted_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins allowed to post forms, comma separated, with scheme"
    )
    database_url: str = Field("", description="postgresql://user:password@host:port/name; empty means SQLite")
    redis_url: str = Field("", description="redis://host:port/0 as task broker; empty means the database")
    var_dir: Path = Field(BASE_DIR / "var", description="Where all state lives")
    time_zone: str = Field("UTC", description="Default display time zone")
    token_hours: int = Field(24 * 30, gt=0, le=87_600, description="Life of an API token in hours")
    ticks_keep_days: int = Field(
        7,
        ge=1,
        description="Days for which recorded quotes stay rows; older ones become Parquet files",
    )
    idempotency_hours: float = Field(
        48.0, gt=0, le=8760.0, description="Hours for which a repeated request gets its first answer"
    )
    lease_ttl_s: float = Field(
        15.0, ge=1.0, le=3600.0, description="Seconds after which a silent runner loses its sessions"
    )
    mlflow_tracking_uri: str = Field(
        "sqlite",
        description="MLflow store of training runs: sqlite (a file under VAR_DIR), an address, or off",
    )
    train_runs: int = Field(
        0,
        ge=0,
        le=256,
        description="Training runs side by side; 0 means one per core, as far as memory allows",
    )
    slice_s: float = Field(
        900.0, gt=0, le=86_400.0, description="Seconds a live task runs before it is handed over"
    )
    email_url: str = Field(
        "",
        description="smtp://user:password@host:587 or smtps://, for e-mail alerts; empty means none are sent",
    )
    email_from: str = Field("tradebot@localhost", min_length=3, description="Sender of e-mail alerts")
    site_url: str = Field(
        "http://127.0.0.1:8000", description="Where people reach the pages; alerts link there"
    )
    telegram_url: str = Field("https://api.telegram.org", description="Telegram's Bot API, or a proxy of it")
    alerts_to_private: bool = Field(
        False, description="Let alert channels reach private and loopback addresses"
    )
    watchdog_after_s: float = Field(
        20.0, ge=1.0, le=3600.0, description="Seconds without a driver after which the watchdog tells people"
    )
    watchdog_flatten_s: float = Field(
        0.0, ge=0.0, le=86_400.0, description="Seconds without a driver after which it sells; 0 means never"
    )
    watchdog_ping_url: str = Field(
        "", description="Address the watchdog calls every minute, for a dead man's switch; empty means none"
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Log level")

    @field_validator("fernet_keys", "allowed_hosts", "trusted_origins", mode="before")
    @classmethod
    def split_on_commas(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("fernet_keys")
    @classmethod
    def keys_are_fernet_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not keys or not all(_is_fernet_key(key) for key in keys):
            raise ValueError(f"every key must be 32 bytes in base64; {MAKE_KEYS} prints one")
        return keys

    @field_validator("allowed_hosts")
    @classmethod
    def some_host_is_served(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not hosts:
            raise ValueError("name at least one host, or leave the setting out")
        return hosts

    @field_validator("trusted_origins")
    @classmethod
    def origins_have_a_scheme(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if not all(origin.startswith(("https://", "http://")) for origin in origins):
            raise ValueError("every origin must begin with https:// (or http://)")
        return origins

    @field_validator("database_url")
    @classmethod
    def database_is_postgresql(cls, url: str) -> str:
        return _address(url, ("postgresql", "postgres"))

    @field_validator("redis_url")
    @classmethod
    def broker_is_redis(cls, url: str) -> str:
        return _address(url, ("redis", "rediss", "unix"))

    @field_validator("email_url")
    @classmethod
    def mail_server_is_smtp(cls, url: str) -> str:
        return _address(url, ("smtp", "smtps"))

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def tracking_is_known(cls, uri: str) -> str:
        if uri in ("", "off", "sqlite") or uri.startswith("sqlite:///"):
            return uri
        return _address(uri, ("https", "http"))

    @field_validator("site_url", "telegram_url", "watchdog_ping_url")
    @classmethod
    def pages_are_http(cls, url: str) -> str:
        return _address(url, ("https", "http")).rstrip("/")

    @field_validator("time_zone")
    @classmethod
    def time_zone_exists(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"there is no time zone {name!r}; write it like Europe/Zurich")
        return name

    @model_validator(mode="after")
    def production_has_its_own_keys(self) -> "Environment":
        if self.production and self.secret_key == DEVELOPMENT_KEY:
            raise ValueError(f"PRODUCTION is on: set SECRET_KEY to one of your own; {MAKE_KEYS} prints one")
        if self.production and (len(self.secret_key) < 50 or len(set(self.secret_key)) < 5):
            raise ValueError("PRODUCTION is on: SECRET_KEY must be at least 50 characters, chosen at random")
        if self.production and DEVELOPMENT_FERNET in self.fernet_keys:
            raise ValueError(f"PRODUCTION is on: set FERNET_KEYS to one of your own; {MAKE_KEYS} prints one")
        return self


def _is_fernet_key(key: str) -> bool:
    try:
        return len(urlsafe_b64decode(key)) == 32
    except ValueError:
        return False


def _address(url: str, schemes: tuple[str, ...]) -> str:
    """Return `url`; it may hold a password, so no message repeats it."""
    if url:
        parts = urlsplit(url)
        if parts.scheme not in schemes:
            raise ValueError(f"the address must start with {schemes[0]}://")
        _ = parts.port  # raises ValueError when it is no port
    return url


def read() -> Environment:
    """Return the checked environment.

    :raises SystemExit: with one line per wrong setting.
    """
    try:
        environment = Environment()  # type: ignore[call-arg]  # the fields come from the environment
        environment.var_dir.mkdir(parents=True, exist_ok=True)
        return environment
    except OSError as error:
        raise SystemExit(
            f"The environment is not usable:\n  VAR_DIR: {error.strerror}: {error.filename}"
        ) from None
    except ValidationError as error:
        lines = [
            "{}: {}".format(
                ".".join(map(str, e["loc"])).upper() or "SETTINGS", e["msg"].removeprefix("Value error, ")
            )
            for e in error.errors()
        ]
        raise SystemExit("The environment is not usable:\n  " + "\n  ".join(lines)) from None
