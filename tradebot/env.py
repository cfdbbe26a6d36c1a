"""Typed reading of the environment: every setting a person may change, in one place, checked at start."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
DEVELOPMENT_KEY = "development-only-key-never-use-it-where-others-can-reach-you"
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
    token_hours: int = Field(24 * 30, gt=0, description="Life of an API token in hours")
    lease_ttl_s: float = Field(
        15.0, ge=1.0, description="Seconds after which a silent runner loses its sessions"
    )
    slice_s: float = Field(900.0, gt=0, description="Seconds a live task runs before it is handed over")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Log level")

    @field_validator("fernet_keys", "allowed_hosts", "trusted_origins", mode="before")
    @classmethod
    def split_on_commas(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @model_validator(mode="after")
    def production_has_its_own_keys(self) -> "Environment":
        if self.production and self.secret_key == DEVELOPMENT_KEY:
            raise ValueError("PRODUCTION is on: set SECRET_KEY to a random value of at least 50 characters")
        if self.production and DEVELOPMENT_FERNET in self.fernet_keys:
            raise ValueError("PRODUCTION is on: set FERNET_KEYS (make one with `manage.py generate_keys`)")
        return self


def read() -> Environment:
    """Return the checked environment.

    :raises SystemExit: with one line per wrong setting.
    """
    try:
        return Environment()  # type: ignore[call-arg]  # the fields come from the environment
    except ValidationError as error:
        lines = [
            "{}: {}".format(".".join(map(str, e["loc"])).upper() or "SETTINGS", e["msg"])
            for e in error.errors()
        ]
        raise SystemExit("The environment is not usable:\n  " + "\n  ".join(lines)) from None
