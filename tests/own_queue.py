"""Gives every process of a parallel test run a Redis database of its own. Loaded before the settings are."""

import os

REDIS_DATABASES = 16


url, worker = os.environ.get("REDIS_URL", ""), os.environ.get("PYTEST_XDIST_WORKER", "")
if url and worker.startswith("gw"):
    os.environ["REDIS_URL"] = f"{url.rsplit('/', 1)[0]}/{(int(worker[2:]) + 1) % REDIS_DATABASES}"
