"""The programs that are compared."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import BSQL, NATIVE, PROXY
from google import ENDPOINTS, token

INSTANCE = "acme-staging:europe-west1:payments"
NAME = "payments-staging"
USER = "ada@acme.example"
# SQL Server's instance, with nothing but a door that answers: what its connections cost is what they cost the tunnel.
DOOR, DOOR_NAME = "acme-staging:europe-west1:warehouse", "warehouse-staging"


def wait_for(condition, what):
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"60 s without {what}")
        time.sleep(0.002)


def free_ports(count):
    """Below those that the system gives to clients, which may come before whoever is to listen there."""
    free = set()
    while len(free) < count:
        port = random.randrange(18_000, 32_000)
        if not answers(port):
            free.add(port)
    return list(free)


def free_port():
    return free_ports(1)[0]


def answers(port):
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


class Contender:
    """A program that lends a way to a database; `env` is how libpq's programs find it."""

    def __init__(self, name, process, env=None):
        self.name, self.process, self.env = name, process, os.environ | (env or {})

    def cpu(self):
        """CPU seconds so far, of all threads, also of those that have ended; in nanoseconds, where /proc has ticks."""
        return time.clock_gettime(~self.process.pid << 3 | 2) if self.process else 0

    def resident(self):
        """Resident memory in MB. Not the proportional share: the sandbox is the same program as one of the contenders,
        which would look smaller for it."""
        return self.status("VmRSS")

    def own(self):
        """Resident memory in MB that is not the program's file, of which the system drops what it needs."""
        return self.status("RssAnon")

    def status(self, field):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1000

    def run(self, *command, stdin=subprocess.DEVNULL):
        return subprocess.run(command, env=self.env, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=stdin).stdout

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def bsql(*specs, env=None, flags=()):
    """Returns when all tunnels are open."""
    command = [os.environ["BSQL"], "tunnel", "--max-connections", "10000", *flags, *specs]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for _ in specs:
        if not process.stdout.readline():
            sys.exit(f"bsql opened no tunnel for one of {specs}")
    return Contender(BSQL, process, env)


def proxy(*instances, env=None, flags=()):
    """Returns at once: what says that it is ready differs."""
    command = [os.environ["PROXY"], "--sqladmin-api-endpoint", ENDPOINTS["sql_admin"], "--token", token("sqlservice.admin"), "--quiet"]
    # With --auto-iam-authn and a token from outside it asks for a new certificate each time, twice in 30 s at most.
    return Contender(PROXY, subprocess.Popen([*command, *flags, *instances], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), env)


def libpq(host, port, user, database="payments"):
    return {"PGHOST": str(host), "PGPORT": str(port), "PGUSER": user, "PGDATABASE": database}


def to_postgres(which, dir):
    """A tunnel to a PostgreSQL, with a Unix socket."""
    dir = Path(tempfile.mkdtemp(dir=dir))
    if which == BSQL:
        return bsql(f"{NAME}={dir}", env=libpq(dir, 5432, USER))
    host = dir / INSTANCE
    env = libpq(host, 5432, "app") | {"PGPASSWORD": "sbx-secret-app-password"}
    started = proxy(INSTANCE, env=env, flags=["--unix-socket", dir])
    wait_for((host / ".s.PGSQL.5432").exists, "the proxy's socket")
    return started


def to_door(which):
    """A tunnel to SQL Server's door, and its port."""
    port = free_port()
    if which == BSQL:
        return bsql(f"{DOOR_NAME}={port}", flags=["--user", "app"]), port
    started = proxy(f"{DOOR}?port={port}")
    wait_for(lambda: answers(port), "the proxy's port")
    return started, port


class NoTunnel(Contender):
    """A PostgreSQL with TLS of its own, which psql dials straight."""

    def __init__(self):
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
        port = free_port()
        options = f"-c ssl=on -c fsync=off -c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={home}"
        subprocess.run([*self.drop, "pg_ctl", "-w", "-D", self.data, "-l", home / "log", "-o", options, "start"], **quiet)
        super().__init__(NATIVE, None, libpq("127.0.0.1", port, "app", "postgres") | {"PGSSLMODE": "require"})

    def stop(self):
        subprocess.run([*self.drop, "pg_ctl", "-m", "immediate", "-D", self.data, "stop"], stdout=subprocess.DEVNULL, cwd="/")
        shutil.rmtree(self.home)
