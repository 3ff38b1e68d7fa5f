"""Draws docs/board.png from a demonstration's board: `python docs/board_picture.py [workspace]`."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
PORT = int(os.environ.get("BOARD_PORT", "8019"))
WIDTH, HEIGHT = 1180, 1100


def main(arguments: list[str]) -> int:
    workspace = Path(arguments[0]) if arguments else HERE.parent / "workspace"
    chromium = shutil.which("chromium")
    wanting = {
        f"lists in {workspace}; run `make demo` or name a workspace": (workspace / "lists" / "latest").exists(),
        "chromium on the path; apt-get install chromium": chromium is not None,
    }
    missing = [need for need, met in wanting.items() if not met]
    if missing:
        sys.stderr.write(f"The picture needs {'; and '.join(missing)}.\n")
        return 1
    command = [Path(sys.executable).with_name("minusnine"), "board", "--demo", "--port", str(PORT)]
    server = subprocess.Popen([*map(str, command), "--workspace", str(workspace)], stdout=subprocess.DEVNULL)
    try:
        draw(f"http://127.0.0.1:{PORT}", HERE / "board.png", str(chromium), server)
    finally:
        server.terminate()
        server.wait()
    return 0


def draw(address: str, picture: Path, chromium: str, server: "subprocess.Popen[bytes]") -> None:
    """A list on which a nurse has answered about two people."""
    _wait(address, server)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address)
        page.get_by_role("button", name="Team member").click()
        _answer(page, 0, "Visited")
        _answer(page, 1, "Escalated to urgent response")
        page.goto(page.url.partition("#")[0])
        page.locator(".today").evaluate("e => e.scrollIntoView()")
        page.screenshot(path=picture)
        browser.close()


def _answer(page: Any, number: int, name: str) -> None:
    beside = page.locator(".answers").nth(number)
    if name not in beside.locator(".given").all_inner_texts():
        beside.get_by_role("button", name=name, exact=True).click()


def _wait(address: str, server: "subprocess.Popen[bytes]") -> None:
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health").close()
            return
        except URLError:
            time.sleep(0.3)
    message = "The board did not come up."
    raise RuntimeError(message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
