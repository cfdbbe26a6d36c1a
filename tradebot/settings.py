"""Django settings. Everything a person may change comes from `tradebot.env`."""

import sys
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from csp.constants import NONE, SELF

from agents.parallel import parallel_runs
from tradebot import env

ENV = env.read()
BASE_DIR = env.BASE_DIR
VAR_DIR = ENV.var_dir
TESTING = "pytest" in sys.modules

SECRET_KEY = ENV.secret_key
FERNET_KEYS = ENV.fernet_keys
DEBUG = False
ALLOWED_HOSTS = list(ENV.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENV.trusted_origins)

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "axes",
    "csp",
    "django_q",
    "market",
    "agents",
    "trading",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "market.web.policy.LooserPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "tradebot.urls"
ASGI_APPLICATION = "tradebot.asgi.application"
WSGI_APPLICATION = "tradebot.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "market.web.context.chrome",
            ],
            "builtins": ["market.web.tags"],
        },
    }
]


def _database() -> dict[str, Any]:
    if not ENV.database_url:
        # WAL and IMMEDIATE: with Django's defaults concurrent workers lose writes to "database is locked".
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR_DIR / "db.sqlite3",
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
            },
        }
    url = urlsplit(ENV.database_url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname or "",
        "PORT": str(url.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AXES_VERBOSE = False
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_ENABLED = not TESTING

LANGUAGE_CODE = "en-gb"
TIME_ZONE = ENV.time_zone
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "staticfiles"
STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_USE_FINDERS = True  # one process serves everything; no collectstatic step for a first run
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": VAR_DIR / "uploads"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 5_000_000

# Only our static files. unfold and Swagger UI carry inline code: market.web.policy loosens it for them.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.production
SECURE_SSL_REDIRECT = ENV.production
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.production else None
SECURE_HSTS_SECONDS = 31_536_000 if ENV.production else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = ENV.production

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["market.web.filters.OwnedFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "market.web.pagination.NewestFirst",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "PAGE_SIZE": 100,
    "EXCEPTION_HANDLER": "market.web.problems.as_problem",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": "600/min"},
    "COERCE_DECIMAL_TO_STRING": True,
}
REST_KNOX = {"TOKEN_TTL": timedelta(hours=ENV.token_hours), "AUTO_REFRESH": False}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tradebot API",
    "DESCRIPTION": "Amounts are exact decimal strings, instants epoch milliseconds or ISO 8601 UTC, shares "
    "fractions. Errors are RFC 9457 problem documents. Every object belongs to a user; others answer 404.",
    "VERSION": "1",
    "ENUM_NAME_OVERRIDES": {
        "DesiredEnum": "agents.models.run.Desired",
        "JobStatusEnum": "agents.models.JobStatus",
        "ModelStatusEnum": "agents.models.ModelStatus",
        "SessionStatusEnum": "trading.models.SessionStatus",
        "OrderStatusEnum": "trading.models.OrderStatus",
        "ImportStatusEnum": "market.models.ImportStatus",
        "DeliveryStatusEnum": "trading.models.DeliveryStatus",
        "AlertKindEnum": "trading.models.AlertKind",
        "AlertLevelEnum": "trading.models.AlertLevel",
        "ChannelKindEnum": "trading.models.ChannelKind",
    },
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "market.web.schema.with_problems",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Starts and supervises only; the truth about jobs is in leases and rows (docs/architecture.md).
TRAIN_RUNS = parallel_runs(ENV.train_runs)
Q_CLUSTER: dict[str, Any] = {
    "name": "tradebot",
    "workers": 1,
    "queue_limit": 2,
    "bulk": 1,
    "poll": 0.1,
    "guard_cycle": 0.5,
    "timeout": 300,
    "retry": 1200,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "recycle": 200,
    "save_limit": 1000,
    "save_limit_per": "func",
    "ALT_CLUSTERS": {
        "train": {
            "workers": TRAIN_RUNS,
            "queue_limit": TRAIN_RUNS,
            "timeout": 86_400,
            "retry": 260_000,
            "recycle": 1,
            "scheduler": False,
        },
        "live": {
            "workers": 2,
            "queue_limit": 1,
            "timeout": 1_200,
            "retry": 4_000,
            "recycle": 10,
            "scheduler": False,
        },
    },
}
if ENV.redis_url:
    Q_CLUSTER["redis"] = ENV.redis_url
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": ENV.redis_url}
    }
else:
    Q_CLUSTER["orm"] = "default"

# A runner renews before every venue call; a call must end well before the lease could pass to somebody else.
LEASE_TTL_S = ENV.lease_ttl_s
VENUE_TIMEOUT_S = ENV.lease_ttl_s / 3
SLICE_S = ENV.slice_s
IDEMPOTENCY_HOURS = ENV.idempotency_hours
TICKS_KEEP_DAYS = ENV.ticks_keep_days

MLFLOW_TRACKING_URI = {
    "": "", "off": "", "sqlite": f"sqlite:///{ENV.var_dir / 'mlflow.db'}",
}.get(ENV.mlflow_tracking_uri, ENV.mlflow_tracking_uri)  # fmt: skip

# Alerts (docs/alerts.md). Mail goes out with STARTTLS on port 587, with TLS from the start for smtps://.
_mail = urlsplit(ENV.email_url)
EMAIL_HOST = _mail.hostname or ""
EMAIL_PORT = _mail.port or (465 if _mail.scheme == "smtps" else 587)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_mail.username or ""), unquote(_mail.password or "")
EMAIL_USE_SSL = _mail.scheme == "smtps"
EMAIL_USE_TLS = _mail.scheme == "smtp" and EMAIL_PORT == 587
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = ENV.email_from
SITE_URL, TELEGRAM_URL = ENV.site_url, ENV.telegram_url
ALERTS_TO_PRIVATE = ENV.alerts_to_private
WATCHDOG_AFTER_S, WATCHDOG_FLATTEN_S = ENV.watchdog_after_s, ENV.watchdog_flatten_s
WATCHDOG_PING_URL = ENV.watchdog_ping_url

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": ENV.log_level},
    "loggers": {"urllib3": {"level": "INFO"}},  # its debug lines would hold the secret parts of addresses
}
UNFOLD = {
    "SITE_TITLE": "Tradebot",
    "SITE_HEADER": "Tradebot",
    "SITE_URL": "/",
    "SITE_SYMBOL": "monitoring",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/img/favicon.svg"}],
    "SHOW_BACK_BUTTON": True,
    "COLORS": {
        "primary": {
            "50": "#eef3fe",
            "100": "#e0e9fd",
            "200": "#c3d4fb",
            "300": "#9bb8f8",
            "400": "#6f9bff",
            "500": "#4a7bf0",
            "600": "#2a5bd7",
            "700": "#234bb4",
            "800": "#1f3f92",
            "900": "#1c3775",
            "950": "#142449",
        }
    },
    "SIDEBAR": {"show_search": True, "navigation": "market.web.sidebar.navigation"},
}
