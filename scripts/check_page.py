"""Is a page sound in a browser? Opened in headless Chromium, wide and narrow, light and dark.

    python scripts/check_page.py outputs/<run>/report.html [<page> ...] [--shots <folder>]

Looked for: messages in the console, requests to anywhere, content wider than the window, buttons of the confusion
matrix that show no images, tables that do not sort, and what axe-core finds against accessibility. Prints a line a
window, and ends with 1 where there is anything. It needs a Chromium (``apt-get install chromium``), ``pip install
playwright`` and ``axe.min.js`` of the npm package axe-core (``npm pack axe-core``), which --axe names; without that
accessibility is not checked.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
HEIGHT = 900


def problems_of(context: Any, page: Path, axe: str | None, shot: Path | None) -> list[str]:
    """What is wrong with a page in a window of its own."""
    tab, found, asked = context.new_page(), list[str](), list[str]()
    tab.on("console", lambda message: found.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: found.append(f"error: {error}"))
    tab.on("request", lambda request: asked.append(request.url))
    address = page.resolve().as_uri()
    tab.goto(address)
    found += _unclickable(tab) + _unsorted(tab)
    if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("content is wider than the window")
    if shot is not None:
        tab.screenshot(path=str(shot), full_page=True)
    if axe is not None:
        tab.evaluate(axe)
        for each in tab.evaluate("axe.run()")["violations"]:
            found.append(
                f"axe: {each['id']} ({each['impact']}), {len(each['nodes'])}: {each['nodes'][0]['html'][:200]}"
            )
    found += [f"request: {url}" for url in asked if url != address and not url.startswith("data:")]
    return found


def _unclickable(tab: Any) -> list[str]:
    """The cells of the confusion matrix, by the keyboard: each shows samples, and no more than its number."""
    noun = tab.evaluate('JSON.parse(document.getElementById("data").textContent).noun || "images"').rstrip("s")
    for button in tab.query_selector_all("button[data-cell]")[:5]:
        button.focus()
        tab.keyboard.press("Enter")
        label, number = button.get_attribute("aria-label"), int(button.inner_text())
        shown = len(tab.query_selector_all("#cell li"))
        if not 0 < shown <= number or f"{number} {noun}" not in tab.inner_text("#cell h3"):
            return [f"the cell {label} shows {shown}"]
    return []


def _unsorted(tab: Any) -> list[str]:
    """The first number column of each table that can be sorted."""
    for table in tab.query_selector_all("table.sortable"):
        heads = table.query_selector_all("th button")
        column = next(
            (n for n in range(len(heads)) if table.query_selector(f"tbody tr > :nth-child({n + 1})[data-v]")), None
        )
        if column is None:
            continue
        for way in (1, -1):
            heads[column].click()
            read = "(t, n) => [...t.tBodies[0].rows].map(r => r.cells[n].dataset.v).filter(v => v).map(Number)"
            values = table.evaluate(f"t => ({read})(t, {column})")
            if values != sorted(values, key=lambda each, way=way: way * each):
                return [f"the column {heads[column].inner_text()} does not sort"]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--shots", type=Path, help="folder for a picture a window")
    parser.add_argument("--axe", type=Path, help="axe.min.js")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    asked = parser.parse_args()
    if asked.chromium is None:
        parser.error("no chromium is installed; --chromium names one")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        parser.error("playwright is not installed: pip install playwright")
    axe = None if asked.axe is None else asked.axe.read_text(encoding="utf-8")
    print("accessibility is not checked: --axe names axe.min.js" if axe is None else f"with {asked.axe.name}")
    wrong = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=["--no-sandbox"])
        for page in asked.pages:
            for width, scheme in ((width, scheme) for width in WIDTHS for scheme in SCHEMES):
                window = {"width": width, "height": HEIGHT}
                shot = None if asked.shots is None else asked.shots / f"{page.parent.name}-{width}-{scheme}.png"
                # axe is a script from elsewhere as far as the page's policy is concerned
                with browser.new_context(viewport=window, color_scheme=scheme, bypass_csp=axe is not None) as context:
                    found = problems_of(context, page, axe, shot)
                print(f"{page}, {width} pixels, {scheme}: {'; '.join(found) or 'nothing found'}", flush=True)
                wrong += len(found)
        browser.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
