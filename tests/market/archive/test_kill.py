"""An import whose process is killed outright, at the points where most is at stake."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CHILD = """
import os, signal, django
django.setup()
from django.core.management import call_command
from market import archive, services
from market.archive import files, store
from market.models import Series, Gap

def killed(module, name):
    real = getattr(module, name)
    def die(*args):
        real(*args)
        os.kill(os.getpid(), signal.SIGKILL)
    child = os.fork()
    if child == 0:
        setattr(module, name, die)
        services.synthesize(name="s", bars=60_000, seed=1, pair="SIM/USD")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL

def facts():
    series = Series.objects.get(source="s")
    assert archive.fingerprint(archive.load(series)) == series.fingerprint
    return series.rows, series.partitions.count(), series.fingerprint, Gap.objects.count()

call_command("migrate", verbosity=0)
services.synthesize(name="s", bars=1_000, seed=1, pair="SIM/USD")
before = facts()
POINTS = ((files, "write"), (files, "sync_folder"), (store, "store_partitions"), (store, "store_gaps"))
for module, name in POINTS:
    django.db.connections.close_all()
    killed(module, name)
    assert facts() == before, name
series = Series.objects.get(source="s")
assert archive.remove_orphans(series, age_s=-1) > 0
services.synthesize(name="s", bars=60_000, seed=1, pair="SIM/USD")
assert facts()[0] == 60_000
print("whole")
"""


def test_a_process_killed_while_importing_changes_nothing(tmp_path):
    settings = {
        "DJANGO_SETTINGS_MODULE": "tradebot.settings",
        "VAR_DIR": str(tmp_path / "killed"),
        "DATABASE_URL": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("whole\n"), done.stderr
