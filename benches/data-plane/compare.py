"""Measures bsql and cloud-sql-proxy in alternating rounds, see run.sh."""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from google import ENDPOINTS, token

INSTANCE = "acme-staging:europe-west1:payments"
NAME = "payments-staging"
USER = "ada@acme.example"
ROUNDS = int(sys.argv[1])
COPY_ROWS = 400_000  # of 1,001 bytes
SECONDS = 2  # of each pgbench run
IDLE = int(os.environ.get("IDLE", "80"))  # connections; PostgreSQL's own limit is 100
GIGABYTE = 1e9

def wait_for(condition, what):
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"60 s without {what}")
        time.sleep(0.01)


class Contender:
    """A program that lends a Unix socket."""

    def __init__(self, name, process, host, port, user, password=""):
        self.name, self.process, self.user = name, process, user
        self.env = os.environ | {"PGHOST": host, "PGPORT": str(port), "PGUSER": user, "PGDATABASE": "payments"}
        self.env |= {"PGPASSWORD": password} if password else {}

    def cpu(self):
        """CPU seconds so far, of all threads, also of those that have ended; in nanoseconds, where /proc has ticks."""
        return time.clock_gettime(~self.process.pid << 3 | 2) if self.process else 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def resident(self):
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


class NoTunnel(Contender):
    """A PostgreSQL with TLS of its own, which psql dials straight."""

    def __init__(self, dir):
        # PostgreSQL does not run as root.
        self.drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.home, self.data = home, home / "data"
        if self.drop:
            shutil.chown(home, "postgres", "postgres")
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run([*self.drop, "initdb", "--no-sync", "-A", "trust", "-U", "app", "-D", self.data], **quiet)
        key = [self.data / "server.key", self.data / "server.crt"]
        openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
        subprocess.run([*self.drop, *openssl, "-keyout", key[0], "-out", key[1]], **quiet)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-c ssl=on -c fsync=off -c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={home}"
        subprocess.run([*self.drop, "pg_ctl", "-w", "-D", self.data, "-l", home / "log", "-o", options, "start"], **quiet)
        super().__init__("no tunnel", None, "127.0.0.1", port, "app")
        self.env |= {"PGSSLMODE": "require", "PGDATABASE": "postgres"}

    def stop(self):
        subprocess.run([*self.drop, "pg_ctl", "-m", "immediate", "-D", self.data, "stop"], stdout=subprocess.DEVNULL, cwd="/")
        shutil.rmtree(self.home)


def start_bsql(dir):
    hold = dir / "hold"
    hold.write_text(f'#!/bin/sh\necho "$PGHOST $PGPORT" >{dir}/endpoint.new && mv {dir}/endpoint.new {dir}/endpoint\nexec sleep 100000\n')
    hold.chmod(0o755)
    process = subprocess.Popen([os.environ["BSQL"], "connect", NAME, "--client", hold])
    wait_for((dir / "endpoint").exists, "bsql's socket")
    host, port = (dir / "endpoint").read_text().split()
    return Contender("bsql", process, host, port, USER)


def start_proxy(dir):
    flags = ["--sqladmin-api-endpoint", ENDPOINTS["sql_admin"], "--token", token("sqlservice.admin"), "--quiet"]
    # With --auto-iam-authn and a token from outside it asks for a new certificate each time, twice in 30 s at most.
    flags += ["--unix-socket", dir]
    process = subprocess.Popen([os.environ["PROXY"], *flags, INSTANCE], stdout=subprocess.DEVNULL)
    host = f"{dir}/{INSTANCE}"
    wait_for(Path(f"{host}/.s.PGSQL.5432").exists, "the proxy's socket")
    return Contender("cloud-sql-proxy", process, host, 5432, "app", "sbx-secret-app-password")


def run(contender, *command, stdin=subprocess.DEVNULL):
    return subprocess.run(command, env=contender.env, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=stdin).stdout


def copy_out(contender, _dir):
    sql = f"copy (select repeat('x', 1000) from generate_series(1, {COPY_ROWS})) to stdout"
    cpu, began = contender.cpu(), time.monotonic()
    subprocess.run(["psql", "-XAtqc", sql], env=contender.env, check=True, stdout=subprocess.DEVNULL)
    seconds, gigabytes = time.monotonic() - began, COPY_ROWS * 1001 / GIGABYTE
    return {"down MB/s": gigabytes * 1000 / seconds, "down CPU s/GB": (contender.cpu() - cpu) / gigabytes}


def copy_in(contender, dir):
    rows = dir / "rows"
    if not rows.exists():
        with rows.open("wb") as file:
            for _ in range(COPY_ROWS // 1000):
                file.write((b"x" * 1000 + b"\n") * 1000)
    sql = "create temp table rows (t text); copy rows from stdin where false"
    cpu, began = contender.cpu(), time.monotonic()
    with rows.open("rb") as file:
        run(contender, "psql", "-XAtqc", sql, stdin=file)
    seconds, gigabytes = time.monotonic() - began, rows.stat().st_size / GIGABYTE
    return {"up MB/s": gigabytes * 1000 / seconds, "up CPU s/GB": (contender.cpu() - cpu) / gigabytes}


def pgbench(contender, dir, clients, *flags):
    script = dir / "select.sql"
    script.write_text("select 1;\n")
    cpu = contender.cpu()
    out = run(contender, "pgbench", "-n", "-f", script, "-T", str(SECONDS), "-c", str(clients), *flags).decode()
    done = int(re.search(r"actually processed: (\d+)", out)[1])
    rate = float(re.search(r"tps = (\S+)", out)[1])
    return rate, (contender.cpu() - cpu) / done * 1e6


def selects(clients):
    def measure(contender, dir):
        rate, cpu = pgbench(contender, dir, clients, "-M", "prepared")
        return {f"{clients} clients: latency ms": clients / rate * 1000, f"{clients} clients: CPU us/query": cpu}

    return measure


def connects(contender, dir):
    rate, cpu = pgbench(contender, dir, 4, "-C")
    return {"connections/s": rate, "CPU us/connection": cpu}


def idle(contender, _dir):
    """Memory with idle sessions, each of which has said a word."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    sessions = [subprocess.Popen(["psql", "-XAtq"], env=contender.env, **pipes) for _ in range(IDLE)]
    for session in sessions:
        session.stdin.write(b"select 1;\n")
        session.stdin.flush()
    for session in sessions:
        assert session.stdout.readline() == b"1\n", "a session was refused"
    resident = contender.resident()
    for session in sessions:
        session.communicate()
    return {f"MB with {IDLE} idle sessions": resident}


def print_table(contenders, figures):
    ours, theirs, native = contenders
    print(f"{'':<28} {'bsql':>10} {'proxy':>10} {'ratio':>7} {'no tunnel':>10} {'ratio':>7}   medians of {ROUNDS} alternating rounds, {os.cpu_count()} CPUs")
    for what, by_name in figures.items():
        median = {name: statistics.median(values) for name, values in by_name.items()}
        line = f"{what:<28} {median[ours.name]:>10.2f} {median[theirs.name]:>10.2f} {median[ours.name] / median[theirs.name]:>7.2f}"
        if median.get(native.name):
            line += f" {median[native.name]:>10.2f} {median[ours.name] / median[native.name]:>7.2f}"
        print(line)


def main():
    with tempfile.TemporaryDirectory() as name:
        dir = Path(name)
        subprocess.run([os.environ["BSQL"], "login", "--no-browser", "--flow", "device"], check=True, stderr=subprocess.DEVNULL)
        contenders, figures = [], {}

        def note(contender, found):
            for what, value in found.items():
                figures.setdefault(what, {}).setdefault(contender.name, []).append(value)

        try:
            for start in (start_bsql, start_proxy, NoTunnel):
                contenders.append(start(dir))
            tunnels = contenders[:2]
            for contender in tunnels:
                run(contender, "psql", "-XAtqc", "select 1")  # The first connection asks Google; the others do not.
                note(contender, {"MB without sessions": contender.resident()})
            for measure in (copy_out, copy_in, selects(1), selects(32), connects):
                for round in range(ROUNDS + 1):
                    for contender in contenders if round % 2 else reversed(contenders):
                        found = measure(contender, dir)
                        if round:  # The first one warms up.
                            note(contender, found)
            for contender in tunnels:
                note(contender, idle(contender, dir))
        finally:
            for contender in contenders:
                contender.stop()
    print_table(contenders, figures)


main()
