"""The documentation as a site: it needs nothing from elsewhere, and fits narrow windows."""

import functools
import importlib.util
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin

import pytest

ROOT = Path(__file__).parents[2]
WIDTHS = (390, 1300)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Requests are no news."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    if importlib.util.find_spec("material") is None and not os.environ.get("LRP_REQUIRE_BROWSER"):
        pytest.skip("mkdocs-material is not installed")
    folder = tmp_path_factory.mktemp("site")
    config = ROOT / "docs" / "site" / "mkdocs.yml"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", folder],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served, on this machine."""
    handler = functools.partial(Quiet, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def open_page(browser, address):
    """Opens a page; the second value is what is wrong with it."""
    contexts = []

    def open_page(path, scheme="light"):
        context = browser.new_context(color_scheme=scheme)
        contexts.append(context)
        page, faults = context.new_page(), []

        def fetched(request):
            if not request.url.startswith((address, "data:", "blob:")):
                faults.append(request.url)

        page.on("request", fetched)
        page.on("console", lambda told: told.type == "error" and faults.append(told.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{address}{path}")
        page.wait_for_load_state("networkidle")
        return page, faults

    yield open_page
    for context in contexts:
        context.close()


def test_pages_fetch_nothing_from_elsewhere_and_fit_the_window(site, open_page):
    paths = [path.relative_to(site).as_posix() for path in site.rglob("*.html")]
    assert len(paths) >= 35
    page, faults = open_page("index.html")
    for path in paths:
        page.goto(urljoin(page.url, f"/{path}"))
        page.wait_for_load_state("networkidle")
        assert not faults, path
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{path} is {wide} too wide in {width}"


def test_search_finds_a_page(open_page):
    page, faults = open_page("index.html")
    page.get_by_placeholder("Search").click()
    page.keyboard.type("stabilizer")
    page.locator(".md-search-result__link").first.wait_for()
    found = page.locator(".md-search-result__link").evaluate_all("all => all.map(one => one.href)")
    assert any("mathematics.html" in link for link in found)
    assert not faults


def test_pages_outside_docs_are_there_and_lead_back(open_page):
    page, _ = open_page("project/index.html")
    page.locator("article a", has_text="Quick start").first.click()
    page.get_by_role("heading", name="Quick start").wait_for()


def test_what_is_in_no_page_is_told_by_its_path(open_page):
    page, _ = open_page("experiments/toy_arithmetic/index.html")
    assert page.locator("article code", has_text="sample_models/toy_addition").count() >= 1


def test_code_in_a_list_stays_in_its_item(open_page):
    page, _ = open_page("quick-start.html")
    assert page.locator("article li pre", has_text="lrp inspect model.h5").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_takes_the_scheme_of_the_system(open_page, scheme):
    page, _ = open_page("index.html", scheme=scheme)
    dark = page.evaluate("document.body.dataset.mdColorScheme") == "slate"
    assert dark == (scheme == "dark")
