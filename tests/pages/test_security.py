"""What protects people: policy, CSRF, nothing inline, few queries, static files from our own packages."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_holds_inline_script_or_style(path):
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)


@pytest.mark.parametrize("name", ["django_htmx/htmx-2.min.js", "unfold/js/chart/chart.js", "js/theme.js",
                                  "css/app.css", "img/favicon.ico", "img/icons.svg"])  # fmt: skip
def test_static_files_come_from_installed_packages(name):
    assert finders.find(name)


def test_modules_import_only_modules_that_exist():
    for module in (ROOT / "static" / "js").glob("*.js"):
        for name in re.findall(r'from "\./(\w+\.js)"', module.read_text()):
            assert (module.parent / name).exists(), f"{module.name} -> {name}"


def test_only_one_module_knows_the_chart_library():
    knowing = [
        path.name
        for path in (ROOT / "static" / "js").glob("*.js")
        if "Chart" in re.sub(r"//.*|Charts", "", path.read_text())
    ]
    assert [name for name in knowing if name not in ("charts.js", "series.js")] == []


def test_pages_carry_a_strict_policy(as_ada):
    policy = as_ada.get("/")["Content-Security-Policy"]
    assert {"script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert "unsafe" not in policy


def test_the_admin_has_a_policy_too(as_boss):
    policy = as_boss.get("/admin/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy


@pytest.mark.parametrize("name", ["stop-all", "session-start", "settings", "token-create", "risk", "markets"])
def test_a_form_without_its_token_is_refused(ada, name):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert client.post(reverse(name), {}).status_code == 403


def test_the_api_refuses_a_browser_session_without_the_token(ada):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert client.post(reverse("api:sessions-list"), {}).status_code == 403


@pytest.mark.parametrize(("name", "budget"), [("home", 12), ("session", 16)])
def test_pages_stay_within_their_query_budget(as_ada, world, django_assert_max_num_queries, name, budget):
    from tests import factories

    for _ in range(5):
        factories.lived_in_session(world["session"].owner)
    address = reverse(name, args=[world["session"].pk] if name == "session" else [])
    with django_assert_max_num_queries(budget):
        assert as_ada.get(address).status_code == 200


def test_the_web_process_imports_no_learning_library():
    import subprocess
    import sys

    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tradebot.settings'; django.setup(); "
        "import tradebot.urls; sys.exit(bool({'torch', 'stable_baselines3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_an_unknown_page_is_answered_in_our_own_look(as_ada):
    answer = as_ada.get("/nothing/here/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()
