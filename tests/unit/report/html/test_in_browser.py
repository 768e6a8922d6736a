"""Pages in Chromium: nothing is cut off or covered, and filters, sorting and links work.

One browser session for all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from harness.policy.check import Result, check
from harness.policy.registry import selected
from harness.policy.settings import Connection, Terms
from harness.report.html import policy_page
from harness.report.html.render import render
from tests.unit.report.html.browser import NARROW, WIDE, Browser
from tests.unit.report.html.faults_of_layout import COVERED, CUT_OFF, PALE
from tests.unit.report.html.pages import good, grid, many, named, page, printed, three

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("chromium"),
    pytest.mark.needs("chromedriver"),
]
RUNS = 500
MOST_BYTES = 10_000_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests here."""
    found = Browser()
    yield found
    found.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    long = msgspec.structs.replace(good(), events=(*good().events, *printed(200)))
    wordy = named(long, "outcomes/a-name", reason=f"a word that is long: {'x' * 300}")
    evil = named(
        good(), "<img src=http://192.0.2.1/x>", reason="<script>document.title = 1</script>"
    )
    texts = {
        "three": render(page(*three(), grid=grid())),
        "one": render(page(wordy)),
        "five": render(page(*many(5))),
        "many": render(page(*many(RUNS))),
        "evil": render(page(evil)),
        "check": policy_page.render(_findings(), title="TCP settings", command="harness check"),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text)
    return folder


def _findings() -> Result:
    silent = Connection(name="db", terms=Terms(keepalive=False, detect_within_s=60))
    late = Connection(name="queue", terms=Terms(idle_s=7200, detect_within_s=60, survive_s=30))
    return check([silent, late], selected([], []))


# --- lay-out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("name", ["three", "one", "check"])
def test_nothing_is_cut_off_or_covered(
    browser: Browser, pages: Path, name: str, width: int
) -> None:
    """On a telephone and on a desk; what is wider than the screen scrolls in a frame of its own."""
    browser.show(pages / f"{name}.html", width=width)
    assert browser.run(CUT_OFF) == []
    assert browser.run(COVERED) == []
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_figures_lie_within_the_screen(browser: Browser, pages: Path, width: int) -> None:
    """Both of an open run; a keyboard can scroll them where they are wider."""
    browser.show(pages / "one.html", width=width)
    frames = browser.run(
        "return [...document.querySelectorAll('.fig')].map((each) => {"
        " const box = each.getBoundingClientRect();"
        " return [box.left, box.right, each.tabIndex, each.querySelectorAll('svg').length]; })"
    )
    assert len(frames) == 2
    for left, right, index, pictures in frames:
        assert 0 <= left < right <= width
        assert (index, pictures) == (0, 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["three", "check"])
def test_text_is_legible(browser: Browser, pages: Path, name: str, scheme: str) -> None:
    """A contrast of 4.5 to 1 (WCAG 2.2, 1.4.3) in both schemes, and the page is as bright as
    asked for.
    """
    browser.show(pages / f"{name}.html", scheme="dark" if scheme == "dark" else "light")
    assert browser.run(PALE) == []
    bright = browser.brightness()
    assert bright < 0.3 if scheme == "dark" else bright > 0.8


@pytest.mark.parametrize("script", [True, False])
def test_paper_shows_all_details(browser: Browser, pages: Path, script: bool) -> None:  # noqa: FBT001
    """On white, without the parts that only a screen needs."""
    browser.show(pages / "five.html", media="print", scheme="light", script=script)
    seen = "return document.querySelector('#run-3 .why').getClientRects().length"
    assert browser.run(seen) == 1
    assert browser.texts(".filters, .bar, .cmd button") == []
    white = "return getComputedStyle(document.body).backgroundColor"
    assert browser.run(white) == "rgb(255, 255, 255)"


# --- the overview -------------------------------------------------------------------------------

NAMES = "#overview tbody tr th"
TIMES = "#overview tbody tr td:nth-child(4)"


@pytest.mark.parametrize("script", [True, False])
def test_filters(browser: Browser, pages: Path, script: bool) -> None:  # noqa: FBT001
    """By verdict, topic and fault, together; without JavaScript, too."""
    browser.show(pages / "three.html", script=script)
    assert len(browser.texts(NAMES)) == 3
    browser.find("label:has(#v-fail)").click()
    assert browser.texts(NAMES) == ["outcomes/late"]
    assert browser.texts("details.run h3") == ["outcomes/late"]
    browser.find("label:has(#v-all)").click()
    Select(browser.find("#topic")).select_by_visible_text("survival")
    assert browser.texts(NAMES) == ["survival/flap"]
    Select(browser.find("#fault")).select_by_visible_text("blackhole")
    assert browser.texts(NAMES) == []
    browser.find("button[type=reset]").click()
    assert len(browser.texts(NAMES)) == 3
    assert browser.texts("#find, #shown, #open") == [] if not script else True


def test_a_search_finds_words_of_names_and_reasons(browser: Browser, pages: Path) -> None:
    """And says how many runs are shown."""
    browser.show(pages / "three.html")
    browser.find("#find").send_keys("TOO LATE")
    assert browser.texts(NAMES) == ["outcomes/late"]
    assert browser.texts("details.run h3") == ["outcomes/late"]
    assert browser.texts("#shown") == ["1 of 3 shown"]


def test_sorting_by_time_to_detect(browser: Browser, pages: Path) -> None:
    """By number, up and down; what was not detected comes last both times."""
    browser.show(pages / "many.html")
    head = browser.find("#overview thead th:nth-child(4)")
    for direction, order in (("ascending", 1), ("descending", -1)):
        head.find_element(By.TAG_NAME, "button").click()
        assert head.get_attribute("aria-sort") == direction
        cells = browser.texts(TIMES)
        assert len(cells) == RUNS
        found = [float(cell.split()[0]) if cell[0].isdigit() else None for cell in cells]
        times = [each for each in found if each is not None]
        assert times == sorted(times)[::order]
        assert found[len(times) :] == [None] * (RUNS - len(times))
        assert len(set(times)) > 400


def test_sorting_with_the_keyboard(browser: Browser, pages: Path) -> None:
    """The first column: failures first when it is sorted down."""
    browser.show(pages / "three.html")
    button = browser.find("#overview thead th button")
    button.send_keys(Keys.ENTER)
    button.send_keys(Keys.ENTER)
    assert browser.texts(NAMES)[0] == "outcomes/late"


@pytest.mark.parametrize("script", [True, False])
def test_a_link_opens_its_run(browser: Browser, pages: Path, script: bool) -> None:  # noqa: FBT001
    """Of the overview, and in an address that somebody has sent."""
    browser.show(pages / "five.html", script=script)
    browser.find("#overview a[href='#run-4']").click()
    opened = "return [...document.querySelectorAll('details.run[open] > .inside')].map((e) => e.id)"
    assert browser.run(opened) == ["run-4"]
    browser.show(pages / "five.html", script=script, part="#run-5")
    assert browser.run(opened) == ["run-5"]


def test_the_matrix_leads_to_runs_that_a_filter_hides(browser: Browser, pages: Path) -> None:
    """Each cell has a symbol beside its colour."""
    browser.show(pages / "three.html")
    assert browser.texts("#matrix td") == ["✓\n5.1 s", "✗\nnever", "?\nbusy", "not run"]
    browser.find("label:has(#v-fail)").click()
    browser.find("#matrix a[href='#run-3']").click()
    assert "survival/flap" in browser.texts("details.run h3")


# --- what a page is -----------------------------------------------------------------------------


def test_500_runs_are_one_light_file(browser: Browser, pages: Path) -> None:
    """Of which a browser lays out no figure that nobody has opened."""
    assert (pages / "many.html").stat().st_size < MOST_BYTES
    browser.show(pages / "many.html", width=NARROW)
    assert browser.texts("#shown") == [f"{RUNS} of {RUNS} shown"]
    assert browser.run("return document.documentElement.scrollWidth") == NARROW
    assert browser.complaints() == []
    laid_out = (
        "return [...document.querySelectorAll('svg')].filter((each) => each.checkVisibility({"
        "contentVisibilityAuto: true})).length"
    )
    assert browser.run(laid_out) == 0


def test_text_of_a_run_does_nothing(browser: Browser, pages: Path) -> None:
    """No script of it runs, no picture of it is asked for."""
    browser.show(pages / "evil.html")
    assert browser.driver.title == "A title"
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.complaints() == []


def test_the_policy_stops_a_script_that_got_in(browser: Browser, pages: Path) -> None:
    """Even where escaping had a gap."""
    text = (pages / "evil.html").read_text().replace("</main>", "<script>x = 1</script></main>")
    (pages / "gap.html").write_text(text)
    browser.show(pages / "gap.html")
    assert browser.run("return typeof window.x") == "undefined"
    assert any("Content Security Policy" in each for each in browser.complaints())


@pytest.mark.parametrize("name", ["three", "check"])
def test_a_screen_reader_finds_its_way(browser: Browser, pages: Path, name: str) -> None:
    """Language, one title, headings without gaps, named tables and fields."""
    browser.show(pages / f"{name}.html")
    assert browser.run("return document.documentElement.lang") == "en"
    levels = browser.run(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].map((e) => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    unnamed = browser.run(
        "return [...document.querySelectorAll('input, select, [role=region]')].filter((e) =>"
        " !(e.labels?.length || e.getAttribute('aria-label'))).map((e) => e.outerHTML)"
    )
    assert unnamed == []
    assert browser.run("return document.querySelectorAll('th:not([scope])').length") == 0


def test_command_lines_can_be_copied(browser: Browser, pages: Path) -> None:
    """By a button, where the browser lets a page do it."""
    browser.show(pages / "one.html")
    assert browser.texts(".cmd button") == ["copy"]
    selects = "return getComputedStyle(document.querySelector('.cmd code')).userSelect"
    assert browser.run(selects) == "all"


def test_findings_can_be_filtered(browser: Browser, pages: Path) -> None:
    """By level and connection; the rules' pages open from a link."""
    browser.show(pages / "check.html", script=False)
    total = len(browser.texts(".findings > li"))
    Select(browser.find("#connection")).select_by_visible_text("queue")
    mine = browser.texts(".findings > li h3")
    assert 0 < len(mine) < total
    assert all("queue:" in each for each in mine)
    browser.find(".findings > li[data-c=c1] a").click()
    assert len(browser.texts("pre.page")) == 1
