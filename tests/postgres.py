"""A PostgreSQL server of the tests' own, with a password, from Debian's binaries."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "in-the-environment-only"
VARIABLE = "MINUSNINE_TEST_PASSWORD"


class Postgres:
    """A server on this machine alone. As root its processes are those of the user `postgres`: it runs as no other."""

    def __init__(self, binaries: Path, folder: Path, port: int) -> None:
        self.binaries, self.folder, self.port = binaries, folder, port
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def run(self, *words: str) -> None:
        subprocess.run(
            [*self.user, str(self.binaries / words[0]), *words[1:]], cwd=self.folder, check=True, capture_output=True
        )

    def make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self.user:
            for path in (self.folder, secret):
                shutil.chown(path, "postgres")
        words = ("--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--encoding=UTF8", "--locale=C")
        self.run("initdb", "-D", str(self.folder / "data"), "-U", "minusnine", *words)

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        data, log = self.folder / "data", self.folder / "log"
        self.run("pg_ctl", "-D", str(data), "-l", str(log), "-o", options, "-w", "start")

    def lose(self) -> None:
        """The server goes at once, as in a crash."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def create(self, names: Sequence[str]) -> None:
        import psycopg

        place = f"host=127.0.0.1 port={self.port} user=minusnine password={PASSWORD} dbname=postgres"
        with psycopg.connect(place, autocommit=True) as connection:
            for name in names:
                connection.execute(f"create database {name}")

    def url(self, name: str, driver: str = "psycopg") -> str:
        """As a configuration gives it: the password is in the environment."""
        return f"postgresql+{driver}://minusnine:${VARIABLE}@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres(port: int) -> Iterator[Postgres]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs PostgreSQL's binaries in /usr/lib/postgresql (Debian's package postgresql)")
    if os.geteuid() == 0 and not shutil.which("runuser"):
        pytest.skip("needs runuser: PostgreSQL does not run as root")
    folder = Path(tempfile.mkdtemp(prefix="minusnine-postgres-"))
    server = Postgres(found[-1].parent, folder, port)
    try:
        server.make()
        server.start()
        yield server
        server.lose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
