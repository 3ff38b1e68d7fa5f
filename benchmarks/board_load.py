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

import httpx

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

    address: str
    start: asyncio.Event
    until: float = 0.0
    ready: int = 0
    took: Took = field(default_factory=lambda: {"first list": [], "list": [], "answer": []})


async def person(number: int, morning: Morning) -> None:
    """One who signs in, waits for the start, and then reads and answers until it is over."""
    chance = random.Random(number)
    async with httpx.AsyncClient(base_url=morning.address, timeout=60) as client:
        page = (await client.get("/sign-in")).text
        teams = re.findall(r'<option value="([^"]+)"', page)
        data = {"csrf": CSRF.findall(page)[0], "role": "member", "team": teams[number % len(teams)]}
        place = (await client.post("/sign-in", data=data, follow_redirects=True)).url.path
        morning.ready += 1
        await morning.start.wait()
        page = await timed(client, "GET", place, morning.took["first list"])
        while time.perf_counter() < morning.until:
            await asyncio.sleep(chance.uniform(*THINKING))
            if chance.random() < ANSWERING and (tokens := PERSON.findall(page)):
                given = {"csrf": CSRF.findall(page)[0], "person": chance.choice(tokens), "kind": "seen"}
                await timed(client, "POST", place.replace("list.html", "answers"), morning.took["answer"], given)
            page = await timed(client, "GET", place, morning.took["list"])


async def timed(
    client: httpx.AsyncClient, method: str, place: str, took: list[float], data: dict[str, str] | None = None
) -> str:
    began = time.perf_counter()
    answer = await client.request(method, place, data=data)
    took.append(time.perf_counter() - began)
    assert answer.status_code == (200 if method == "GET" else 303), answer.status_code
    return answer.text


async def everybody(address: str, people: int, seconds: float, pid: int) -> tuple[Took, float, float]:
    """How long each request took, and how many seconds and the board's processor seconds went by from the start."""
    morning = Morning(address, asyncio.Event())
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
        told(*asyncio.run(everybody(f"http://127.0.0.1:{port}", given.people, given.seconds, server.pid)))
    finally:
        server.terminate()
        server.wait()
    return 0


def wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    while server.poll() is None:
        try:
            httpx.get(address).raise_for_status()
            return
        except httpx.HTTPError:
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
