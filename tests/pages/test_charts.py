"""What the scripts of pages make of numbers, in a browser; the files are handed to it, no server runs."""

from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from tests.pages.test_browser import CHROMIUM, FLAGS, NONE

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason=NONE)]
PAGE = """<!doctype html><script src="http://here/unfold/js/chart/chart.js"></script>
<body><div class="chart"><canvas id="drawdown" width="400" height="200"></canvas></div>"""
AXIS = """async (depths) => {
  const { drawFall, points } = await import("http://here/js/charts.js");
  drawFall(document.querySelector("#drawdown"), points(depths.map((_, at) => 60000 * at), depths));
  const { min, max } = Chart.getChart("drawdown").scales.y;
  return [min, max];
}"""
SHORT = 'async (ms) => (await import("http://here/js/times.js")).shortStamp(ms)'


@pytest.fixture(scope="module")
def page():
    from playwright.sync_api import sync_playwright

    def answer(route):
        name = route.request.url.removeprefix("http://here/")
        kind = "text/html" if not name else "text/javascript"
        body = PAGE if not name else Path(finders.find(name)).read_text()
        route.fulfill(body=body, content_type=kind)

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.route("**/*", answer)
        page.goto("http://here/")
        yield page
        browser.close()


def test_the_axis_of_a_drawdown_that_has_not_been_shows_one_percent(page):
    assert page.evaluate(AXIS, [0, 0, 0]) == [-0.01, 0]
    low, high = page.evaluate(AXIS, [0, 0.02, 0.3])
    assert -0.6 < low <= -0.3
    assert high == 0
    low, high = page.evaluate(AXIS, [0, 0.0002, 0])
    assert (low > -0.001, high) == (True, 0)


def test_a_short_time_has_its_year_where_that_is_not_this_one(page):
    assert page.evaluate(SHORT, 1_727_740_800_000) == "2024-10-01 00:00:00"
    now = page.evaluate("new Date().toISOString()")
    assert page.evaluate(SHORT, page.evaluate(f'Date.parse("{now}")')) == now[5:19].replace("T", " ")
