"""What a tunnel costs PostgreSQL's clients: throughput, latency, new sessions."""

import re
import subprocess
import time

from contenders import NoTunnel, to_postgres
from figures import BSQL, PROXY, alternate

COPY_ROWS = 400_000  # of 1,001 bytes
SECONDS = 2  # of each pgbench run
GIGABYTE = 1e9


def copy_out(contender, _dir):
    sql = f"copy (select repeat('x', 1000) from generate_series(1, {COPY_ROWS})) to stdout"
    cpu, began = contender.cpu(), time.monotonic()
    subprocess.run(["psql", "-XAtqc", sql], env=contender.env, check=True, stdout=subprocess.DEVNULL)
    seconds, gigabytes = time.monotonic() - began, COPY_ROWS * 1001 / GIGABYTE
    yield "COPY from the database, MB/s", gigabytes * 1000 / seconds, "≥ 1.5"
    yield "COPY from the database, CPU s/GB of the tunnel", (contender.cpu() - cpu) / gigabytes, "≤ 0.5"


def copy_in(contender, dir):
    rows = dir / "rows"
    if not rows.exists():
        with rows.open("wb") as file:
            for _ in range(COPY_ROWS // 1000):
                file.write((b"x" * 1000 + b"\n") * 1000)
    sql = "create temp table rows (t text); copy rows from stdin where false"
    cpu, began = contender.cpu(), time.monotonic()
    with rows.open("rb") as file:
        contender.run("psql", "-XAtqc", sql, stdin=file)
    seconds, gigabytes = time.monotonic() - began, rows.stat().st_size / GIGABYTE
    yield "COPY to the database, MB/s", gigabytes * 1000 / seconds, "≥ 1.5"
    yield "COPY to the database, CPU s/GB of the tunnel", (contender.cpu() - cpu) / gigabytes, "≤ 0.5"


def pgbench(contender, dir, clients, *flags):
    """Transactions a second, and the tunnel's CPU time for each in microseconds."""
    script = dir / "select.sql"
    script.write_text("select 1;\n")
    cpu = contender.cpu()
    out = contender.run("pgbench", "-n", "-f", script, "-T", str(SECONDS), "-c", str(clients), *flags).decode()
    done = int(re.search(r"actually processed: (\d+)", out)[1])
    rate = float(re.search(r"tps = (\S+)", out)[1])
    return rate, (contender.cpu() - cpu) / done * 1e6


def selects(clients):
    def measure(contender, dir):
        rate, cpu = pgbench(contender, dir, clients, "-M", "prepared")
        noun = "client" if clients == 1 else "clients"
        yield f"`select 1`, {clients} {noun}, latency in µs", clients / rate * 1e6, "≤ 1"
        yield f"`select 1`, {clients} {noun}, CPU µs of the tunnel", cpu, ""

    return measure


def sessions(contender, dir):
    rate, cpu = pgbench(contender, dir, 4, "-C")
    yield "new sessions with PostgreSQL a second, 4 clients", rate, "≥ 2"
    yield "new session, CPU µs of the tunnel", cpu, ""


def measure(figures, rounds, dir):
    contenders = []
    try:
        for start in (lambda: to_postgres(BSQL, dir), lambda: to_postgres(PROXY, dir), NoTunnel):
            contenders.append(start())
        for contender in contenders:
            contender.run("psql", "-XAtqc", "select 1")  # The first connection asks Google; the others do not.
        for one in (copy_out, copy_in, selects(1), selects(32), sessions):

            def note(contender, counts):
                for what, value, target in one(contender, dir):
                    if counts and value:
                        figures.note(contender.name, what, value, target)

            alternate(contenders, rounds, note)
    finally:
        for contender in contenders:
            contender.stop()
