"""The installer of `make setup`: what it installs, in which steps, what it says."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "requirements" / name for name in ("core.txt", "dev.txt")]
spec = importlib.util.spec_from_file_location("installer", ROOT / "requirements" / "install.py")
installer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(installer)


def test_every_pinned_package_is_installed_once_and_torch_first():
    found = installer.pins(FILES)
    lines = [line for file in FILES for line in file.read_text().splitlines() if line and line[0] not in "#-"]
    assert sorted(found) == sorted(lines)
    assert found[0].startswith("torch==")
    grouped = list(installer.steps(found, lambda pin: installer.TYPICAL_S.get(installer.name_of(pin), 1.0)))
    assert [pin for step in grouped for pin in step] == found
    assert grouped[0] == [found[0]]
    assert 10 < len(grouped) < 40


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=60))
def test_steps_keep_order_and_leave_nothing_out(costs):
    pins = [f"p{k}==1" for k in range(len(costs))]
    cost = dict(zip(pins, costs, strict=True))
    grouped = list(installer.steps(pins, cost.get))
    assert [pin for step in grouped for pin in step] == pins
    assert all(len(step) == 1 or sum(map(cost.get, step)) <= installer.STEP_S for step in grouped)


@pytest.mark.parametrize(
    ("given", "left"),
    [((0, 0, 100, 0, 75), 100), ((0, 0, 100, 50, 75), 50), ((0, 0, 100, 150, 75), 50),
     ((60, 20, 25, 0, 5), 50), ((60, 20, 25, 4, 5), 46), ((0, 20, 24, 0, 5), 12)],
)  # fmt: skip
def test_the_time_left_follows_the_pace_so_far(given, left):
    assert installer.left_s(*given) == pytest.approx(left)


def install(tmp_path, *lines, **environment):
    """Run the installer as make does, its memory in a folder of the test."""
    file = tmp_path / "some.txt"
    file.write_text("\n".join(lines))
    code = f"import sys, runpy; sys.prefix = {str(tmp_path)!r}; sys.argv[1:] = [{str(file)!r}]\n"
    code += f"runpy.run_path({str(ROOT / 'requirements' / 'install.py')!r}, run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1"} | environment,
    )  # fmt: skip


def test_progress_is_a_line_for_each_step_with_elapsed_time_and_what_is_left(tmp_path):
    from importlib.metadata import version

    names = ("orjson", "redis")
    done = install(tmp_path, *(f"{name}=={version(name)}" for name in names))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()  # a slow machine repeats one every 15 s
    assert lines[0].startswith("[setup] 2/2 orjson, redis … elapsed 0 s, about 7 s left")
    assert any(line.startswith("[setup] 2/2 checking that all fit together … elapsed ") for line in lines)
    assert lines[-1].startswith("[setup] 2 packages in ")
    assert set(json.loads((tmp_path / "setup-seconds.json").read_text())) == set(names)


def test_a_failure_shows_what_pip_said_and_fails(tmp_path):
    done = install(tmp_path, "there-is-no-such-package-at-all==1.0")
    assert done.returncode == 1
    assert "ERROR: " in done.stdout  # pip's own words
    assert "there-is-no-such-package-at-all==1.0" in done.stdout
    assert done.stdout.endswith("[setup] failed: pip install ended with an error\n")
