"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest
from django.db import connection
from hypothesis import settings

from tests import queue

# Machines may be busy: no property test is timed. In CI the same code meets the same examples.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real candle files beside the checkout; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real candle files (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Close what threads of finished tests left open, or PostgreSQL would not drop the test database."""
    yield
    if connection.vendor == "postgresql":
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608


@pytest.fixture(autouse=True)
def private_var_dir(settings, tmp_path):
    """Give every test its own state folder."""
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.mkdir()
    settings.MLFLOW_TRACKING_URI = ""  # starting it takes seconds: the tests of tracking switch it on
    return settings.VAR_DIR


@pytest.fixture(autouse=True)
def empty_queue(settings):
    """Start with nothing in the Redis queue; the database's is rolled back with the rest."""
    if "redis" in settings.Q_CLUSTER:
        queue.empty()


@pytest.fixture
def user(django_user_model):
    return django_user_model.objects.create_user("ada", password="correct horse battery")


@pytest.fixture
def other_user(django_user_model):
    return django_user_model.objects.create_user("bob", password="correct horse battery")
