"""Pages as wide as a desk's screen and as narrow as a telephone's: nothing to be pressed or read is off."""

import mimetypes
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.urls import reverse

from tests import factories
from tests.pages.test_browser import CHROMIUM, FLAGS, NONE
from trading.models import LiveSession

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason=NONE)]
OFF = """() => [...document.querySelectorAll("td .button")].filter((one) => {
  const { left, right, width } = one.getBoundingClientRect();
  return width > 0 && (left < 0 || right > innerWidth);
}).map((one) => one.textContent)"""
CUT = """() => [...document.querySelectorAll(".scroll")].filter((one) => one.scrollWidth > one.clientWidth)
  .map((one) => one.textContent.slice(0, 80))"""


def measured(html, width, script):
    """Return what a script says of a page, drawn from its HTML and our files alone."""
    from playwright.sync_api import sync_playwright

    def answer(route):
        path = route.request.url.removeprefix("http://here/")
        if not path:
            return route.fulfill(body=html, content_type="text/html")
        found = finders.find(path.removeprefix("static/"))
        if found is None:
            return route.abort()
        kind = mimetypes.guess_type(path)[0]
        return route.fulfill(body=Path(found).read_bytes(), content_type=kind)

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.route("**/*", answer)
        page.goto("http://here/")
        page.wait_for_function("document.styleSheets.length > 0")
        try:
            return page.evaluate(script)
        finally:
            browser.close()


def test_every_column_of_home_is_seen_on_an_ordinary_screen(as_ada, world):
    for row in [world["session"], factories.SessionFactory(owner=world["session"].owner)]:
        LiveSession.objects.filter(pk=row.pk).update(
            name="a rule on a long named pair", risk_state="reducing"
        )
        factories.EquityFactory(session=row, equity=1_234_567)
        factories.DecisionFactory(session=row)
    html = as_ada.get(reverse("home")).content
    assert b"before its last price" in html
    assert measured(html, 1280, CUT) == []


def test_buttons_of_a_table_are_in_reach_on_a_telephone(as_ada, world):
    factories.WaitingFactory(session=world["session"])
    factories.StuckFactory(session=world["session"])
    html = as_ada.get(reverse("risk-overview")).content
    assert html.count(b'class="act"') > 2
    assert measured(html, 390, CUT), "the table is wider than the page"
    assert measured(html, 390, OFF) == []
