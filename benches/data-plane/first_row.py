"""Time to the first row at 50 ms of round trip: `bsql query`, cold and warm, and cloud-sql-proxy with psql.

A relay delays what comes through it by 25 ms each way, and a new connection by a round trip, as TCP's own opening takes.
It stands in front of Google's APIs, Backstage and the instance. The identity provider is not asked: there is a session.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import tomllib
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from contenders import INSTANCE, NAME
from figures import BSQL, PROXY
from google import ENDPOINTS, token

ONE_WAY = 0.025
ROUND_TRIP = 2 * ONE_WAY
CONFIG = Path(os.environ["BSQL_CONFIG"])
PROFILE = tomllib.loads(CONFIG.read_text())["profiles"]["sandbox"]


class Relay:
    """Delays bytes; all relays are served by one thread."""

    loop = asyncio.new_event_loop()
    connections = 0

    def __init__(self, host, port, listen=("127.0.0.1", 0)):
        self.to = host, port
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.serve, *listen), self.loop)
        self.port = starting.result().sockets[0].getsockname()[1]

    async def serve(self, near_reads, near_writes):
        Relay.connections += 1
        await asyncio.sleep(ROUND_TRIP)
        try:
            far_reads, far_writes = await asyncio.open_connection(*self.to)
        except OSError:
            near_writes.close()
            return
        await asyncio.gather(self.pass_on(near_reads, far_writes), self.pass_on(far_reads, near_writes))

    async def pass_on(self, reads, writes):
        late = asyncio.Queue()

        async def receive():
            while True:
                try:
                    data = await reads.read(1 << 16)
                except OSError:
                    data = b""
                late.put_nowait((self.loop.time() + ONE_WAY, data))
                if not data:
                    return

        receiving = self.loop.create_task(receive())
        try:
            while True:
                due, data = await late.get()
                await asyncio.sleep(due - self.loop.time())
                if not data:
                    break
                # The instance is as far away as everything else: its address becomes a relay's, of the same length, for
                # which answers must not be compressed.
                data = data.replace(b"ncoding: gzip", b"ncoding: none").replace(b'"ipAddress":"127.0.', b'"ipAddress":"127.9.')
                writes.write(data)
        finally:
            await receiving
            writes.close()


def delayed_config(dir):
    """The sandbox's configuration, with relays in front of Google's APIs and Backstage."""
    text = CONFIG.read_text()
    urls = {*PROFILE["google"]["endpoints"].values(), PROFILE["backstage"]["url"]}
    relays = {}
    for url in (url for url in urls if isinstance(url, str)):
        place = urlsplit(url)
        if place.port not in relays:
            relays[place.port] = Relay(place.hostname, place.port).port
        text = text.replace(f'"{url}"', f'"{place.scheme}://{place.hostname}:{relays[place.port]}{place.path}"')
    config = dir / "config.toml"
    config.write_text(text)
    config.chmod(0o600)
    return config, tomllib.loads(text)["profiles"]["sandbox"]["google"]["endpoints"]


def instance_address(access_token):
    project, _, instance = INSTANCE.split(":")
    url = f"{ENDPOINTS['sql_admin']}sql/v1beta4/projects/{project}/instances/{instance}/connectSettings"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {access_token}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["ipAddresses"][0]["ipAddress"]


def first_row(command, env):
    """Waits for the first row only: how a program leaves is not what a person waits for."""
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    row = process.stdout.readline()
    at = time.monotonic()
    process.communicate()
    assert row and not process.returncode, f"{command[0]} failed"
    return at


def measure(figures, rounds, dir):
    threading.Thread(target=Relay.loop.run_forever, daemon=True).start()
    config, endpoints = delayed_config(dir)
    port = endpoints["instance_port"]
    access_token = token("sqlservice.admin")
    address = instance_address(access_token)
    Relay(address, port, (address.replace("127.0.", "127.9.", 1), port))
    signed_in = dir / "signed-in"
    log_in = [os.environ["BSQL"], "login", "--no-browser", "--flow", "device"]
    subprocess.run(log_in, env=os.environ | {"BSQL_STATE_DIR": str(signed_in)}, check=True, stderr=subprocess.DEVNULL)
    warm_env = os.environ | {"BSQL_CONFIG": str(config)}

    def query(env):
        began = time.monotonic()
        return first_row([os.environ["BSQL"], "query", NAME, "-o", "csv", "select 1"], env) - began

    def clean():
        """Neither catalog nor certificate, but the session, with the key that was made while it was begun."""
        state, cache = Path(tempfile.mkdtemp(dir=dir)) / "state", tempfile.mkdtemp(dir=dir)
        shutil.copytree(signed_in, state)
        return warm_env | {"BSQL_STATE_DIR": str(state), "BSQL_CACHE_DIR": cache}

    def proxy_and_psql():
        sockets, began = tempfile.mkdtemp(dir=dir), time.monotonic()
        flags = ["--sqladmin-api-endpoint", endpoints["sql_admin"], "--token", access_token, "--quiet"]
        proxy = subprocess.Popen([os.environ["PROXY"], *flags, "--unix-socket", sockets, INSTANCE], stdout=subprocess.DEVNULL)
        host = f"{sockets}/{INSTANCE}"
        while not Path(f"{host}/.s.PGSQL.5432").exists():
            time.sleep(0.002)
        env = os.environ | {"PGHOST": host, "PGPORT": "5432", "PGUSER": "app", "PGDATABASE": "payments", "PGPASSWORD": "sbx-secret-app-password"}
        at = first_row(["psql", "-XAtqc", "select 1"], env)
        proxy.terminate()
        proxy.wait()
        return at - began

    warm, cold = "first row, warm, ms", "first row, cold, ms"
    query(warm_env)
    for _ in range(rounds):
        cold_env = clean()
        before = Relay.connections
        ours = {warm: query(warm_env), cold: query(cold_env)}
        theirs = proxy_and_psql()
        assert Relay.connections >= before + 3, "something did not go through a relay"
        for what, target in ((warm, ""), (cold, "≤ 0.6")):
            figures.note(BSQL, what, ours[what] * 1000, target)
            figures.note(PROXY, what, theirs * 1000)
        figures.note(BSQL, f"first row, warm, round trips of {ROUND_TRIP * 1000:.0f} ms", ours[warm] / ROUND_TRIP, "≤ 4")
