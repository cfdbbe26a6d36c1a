"""The whole product as separate processes with state of its own, for tests that need the real thing."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tradebot.demo.processes import Child, free_port

ROOT = Path(__file__).resolve().parents[1]
READY_S = 60
KEY, SECRET = "k" * 64, "s" * 64
PASSWORD = "correct horse battery"


class Stack:
    """Sandbox, workers and web on free ports; `manage` runs a command against the same database."""

    def __init__(self, var: Path, *, speed: float = 120.0, lease_ttl_s: float = 4.0) -> None:
        self.var, self.speed = var, speed
        self.children: list[Child] = []
        self.port, self.sandbox_port = free_port(), free_port()
        changed = {"VAR_DIR": str(var), "LEASE_TTL_S": str(lease_ttl_s), "LOG_LEVEL": "WARNING"}
        left_out = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
        self.environment = {k: v for k, v in os.environ.items() if k not in left_out} | changed

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"

    def manage(self, *arguments: str, **extra_environment: str) -> dict:
        """Run a management command with --json and return its object; fail the test when it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments, "--json"],
            cwd=ROOT, env=self.environment | extra_environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def prepare(self) -> None:
        """Make the database, a superuser `ada`, candles and an account at the sandbox."""
        plain = {
            "cwd": ROOT,
            "env": self.environment | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD},
            "check": True,
        }
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], timeout=120, **plain)
        create = ["createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.com"]
        subprocess.run([sys.executable, "manage.py", *create], timeout=60, capture_output=True, **plain)
        made = self.manage(
            "synthesize", "--market", "regime", "--bars", "20000", "--seed", "3", "--pair", "SIM/USD"
        )
        self.series_id = made["id"]

    def start_sandbox(self) -> None:
        arguments = ["manage.py", "sandbox", "--port", str(self.sandbox_port), "--speed", str(self.speed)]
        arguments += [
            "--feed",
            f"series:{self.series_id}",
            "--account",
            f"{KEY}:{SECRET}:50000",
            "--no-rate-limit",
        ]
        self._start("sandbox", [*arguments, "--state", str(self.var / "sandbox")], "sandbox ready")

    def start_workers(self) -> None:
        self._start("workers", ["manage.py", "workers"], "workers ready")

    def start_web(self) -> None:
        serve = [
            "-m",
            "uvicorn",
            "tradebot.asgi:application",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        self._start("web", [*serve, "--timeout-graceful-shutdown", "2"], "Uvicorn running")

    def add_account(self) -> None:
        where = ["--venue", "roostoo", "--base-url", self.sandbox_url, "--candles-url", self.sandbox_url]
        limits = ["--calls-per-minute", "6000", "--poll", "0.2", "--user", "ada"]
        keys = ["--key", KEY, "--secret-env", "STACK_SECRET"]
        self.manage("add_account", "sandbox", *where, *limits, *keys, STACK_SECRET=SECRET)

    def stop(self) -> None:
        for child in reversed(self.children):
            child.stop(timeout_s=20)

    def _start(self, name: str, arguments: list[str], ready: str) -> None:
        child = Child(name, arguments, log_dir=self.var / "logs", ready=ready, environment=self.environment)
        self.children.append(child)
        child.wait_ready(READY_S, lambda: None)
