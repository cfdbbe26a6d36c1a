"""What README and docs say about settings and commands is what the program has."""

import re
from pathlib import Path

from django.core.management import get_commands, load_command_class

from tradebot.env import Environment

ROOT = Path(__file__).resolve().parents[1]
APPS = ("market", "agents", "trading")


def test_readme_lists_every_setting_with_its_meaning():
    text = (ROOT / "README.md").read_text()
    for name, field in Environment.model_fields.items():
        assert re.search(rf"^\| `{name.upper()}` \| .* \| {re.escape(field.description)} \|$", text, re.M), (
            name
        )


def test_every_local_link_in_the_documents_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_command_reference_names_every_command_and_option():
    text = (ROOT / "docs" / "commands.md").read_text()
    for name, app in get_commands().items():
        if app not in APPS:
            continue
        assert f"### {name}" in text, name
        section = text.split(f"### {name}\n")[1].split("\n### ")[0]
        parser = load_command_class(app, name).create_parser("manage.py", name)
        own = [action for action in parser._actions if not is_common(action)]
        for action in own:
            wanted = action.option_strings[-1] if action.option_strings else action.dest
            assert wanted in section, f"{name}: {wanted}"


def is_common(action):
    return action.dest in COMMON


COMMON = {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color",
          "skip_checks", "json"}  # fmt: skip


def test_production_refuses_the_development_keys(monkeypatch):
    import pytest

    from tradebot import env

    monkeypatch.setenv("PRODUCTION", "1")
    with pytest.raises(SystemExit, match="SECRET_KEY"):
        env.read()
