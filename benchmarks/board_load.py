"""How long a list takes at the board when two hundred people read theirs at once: `python benchmarks/board_load.py`.

A service of simulated people is needed, by default the demonstration's in `workspace`. Everybody is signed in before;
then all open their lists at the same moment, and go on for a while: each reads, now and then answers, and looks again.
"""

import argparse
import asyncio
import json
import os
import random
import re
import resource
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

PEOPLE, SECONDS = 200, 30.0
THINKING = (4.0, 12.0)
"""Seconds between what one person asks for."""
ANSWERING = 0.25
"""How often what they do is an answer."""
CSRF = re.compile(r'name="csrf" value="(\w+)"')
PERSON = re.compile(r'name="person" value="(\w+)"')


Took = dict[str, list[float]]


@dataclass
class Morning:
    """What everybody shares. ready: how many are signed in; until: when it is over."""

    port: int
    start: asyncio.Event
    until: float = 0.0
    ready: int = 0
    took: Took = field(default_factory=lambda: {"first list": [], "list": [], "answer": []})


class Browser:
    """As little of one as it takes: what it costs must not be taken for the board's."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = ""
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, place: str, data: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, where it is sent on to, and the text."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        reader, writer = self.streams
        body = urlencode(data or {}).encode()
        lines = [f"{method} {place} HTTP/1.1", f"host: 127.0.0.1:{self.port}", f"cookie: {self.cookie}"]
        lines += [f"content-length: {len(body)}", "content-type: application/x-www-form-urlencoded"] if data else []
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        text = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        self.cookie = headers.get("set-cookie", self.cookie).partition(";")[0]
        return int(head.split(" ", 2)[1]), headers.get("location", ""), text

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()


async def person(number: int, morning: Morning) -> None:
    """One who signs in, waits for the start, and then reads and answers until it is over."""
    chance, browser = random.Random(number), Browser(morning.port)
    _, _, page = await browser.ask("GET", "/sign-in")
    teams = re.findall(r'<option value="([^"]+)"', page)
    data = {"csrf": CSRF.findall(page)[0], "role": "member", "team": teams[number % len(teams)]}
    await browser.ask("POST", "/sign-in", data)
    _, place, _ = await browser.ask("GET", "/")
    assert place.endswith("/list.html"), place
    browser.close()
    browser.streams = None
    morning.ready += 1
    await morning.start.wait()
    page = await timed(browser, "GET", place, morning.took["first list"])
    while time.perf_counter() < morning.until:
        await asyncio.sleep(chance.uniform(*THINKING))
        if chance.random() < ANSWERING and (tokens := PERSON.findall(page)):
            given = {"csrf": CSRF.findall(page)[0], "person": chance.choice(tokens), "kind": "seen"}
            await timed(browser, "POST", place.replace("list.html", "answers"), morning.took["answer"], given)
        page = await timed(browser, "GET", place, morning.took["list"])
    browser.close()


async def timed(
    browser: Browser, method: str, place: str, took: list[float], data: dict[str, str] | None = None
) -> str:
    began = time.perf_counter()
    status, _, text = await browser.ask(method, place, data)
    took.append(time.perf_counter() - began)
    assert status == (200 if method == "GET" else 303), status
    return text


async def everybody(port: int, people: int, seconds: float, pid: int) -> tuple[Took, float, float]:
    """How long each request took, and how many seconds and the board's processor seconds went by from the start."""
    morning = Morning(port, asyncio.Event())
    tasks = [asyncio.create_task(person(number, morning)) for number in range(people)]
    while morning.ready < people and not any(task.done() for task in tasks):
        await asyncio.sleep(0.1)
    began, processor = time.perf_counter(), spent(pid)
    morning.until = began + seconds
    morning.start.set()
    await asyncio.gather(*tasks)
    return morning.took, time.perf_counter() - began, spent(pid) - processor


def share(values: list[float], wanted: float) -> float:
    """A quantile, in milliseconds."""
    return 1000 * sorted(values)[min(len(values) - 1, int(wanted * len(values)))] if values else float("nan")


def spent(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    port = free_port()
    command = [str(Path(sys.executable).with_name("minusnine")), "board", "--demo", "--port", str(port)]
    server = subprocess.Popen([*command, "--workspace", str(given.workspace)], stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        told(*asyncio.run(everybody(port, given.people, given.seconds, server.pid)))
    finally:
        server.terminate()
        server.wait()
    return 0


def wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    while server.poll() is None:
        try:
            urlopen(address).close()
            return
        except URLError:
            time.sleep(0.2)
    sys.exit("the board did not come up")


def told(took: Took, seconds: float, server: float) -> None:
    asked = sum(map(len, took.values()))
    figures = {
        what: {"requests": len(values), **{f"p{q:.0%}": round(share(values, q), 1) for q in (0.5, 0.95, 0.99)}}
        for what, values in took.items()
    }
    mine = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(
        json.dumps(
            {
                "milliseconds": figures,
                "requests a second": round(asked / seconds, 1),
                "processor ms of the board a request": round(1000 * server / asked, 2),
                "processor seconds of those who ask": round(mine.ru_utime + mine.ru_stime, 1),
                "load": [round(one, 1) for one in os.getloadavg()],
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
