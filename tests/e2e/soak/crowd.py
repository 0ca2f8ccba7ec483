"""2,000 programs at once through one tunnel, each with bytes of its own, and the tunnel's process watched: crowd.py BSQL DIR.

The sandbox's SQL Server answers each log-in with the database's name as it was sent, so a connection gets back its own bytes
or the test fails. PostgreSQL would need a process for each."""

import asyncio
import collections
import os
import pathlib
import random
import resource
import signal
import struct
import subprocess
import sys
import time

BSQL, DIR = sys.argv[1], pathlib.Path(sys.argv[2])
STEPS = [1, 100, 1_000, 2_000]
ROUNDS = 5
# So often the whole crowd comes once more, all at once.
AGAIN = 3
# What most systems give a process that does not ask for more.
USUAL_LIMIT = 1_024
# Seconds, on a busy machine.
PATIENCE = 120
PASSWORD = "sbx-secret-app-password"

hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
# Two for each, here, in the tunnel and in the sandbox.
if hard_limit != resource.RLIM_INFINITY and (room := hard_limit // 2 - 200) < STEPS[-1]:
    print(f"a limit of {hard_limit} open files has room for {room} connections, not {STEPS[-1]:,}")
    STEPS = [step for step in STEPS if step < room] + [room]


class Tunnel:
    """A tunnel at a port, in a process that begins with few descriptors."""

    def __init__(self, *args, limit=(USUAL_LIMIT, hard_limit)):
        self.log = DIR / f"{args[0]}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [BSQL, "tunnel", *args],
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),
            )
        ready = self.process.stdout.readline().decode().split()
        if not ready:
            sys.exit(self.log.read_text())
        self.host, port = ready[1].rsplit(":", 1)
        self.port = int(port)
        self.proc = pathlib.Path(f"/proc/{self.process.pid}")

    def descriptors(self):
        return len(os.listdir(self.proc / "fd"))

    def kib(self):
        status = (self.proc / "status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    async def connect(self):
        return await asyncio.open_connection(self.host, self.port)

    async def settles_at(self, descriptors):
        end = time.monotonic() + PATIENCE
        while self.descriptors() > descriptors:
            if time.monotonic() > end:
                sys.exit(f"{self.descriptors()} descriptors are left, of which {descriptors} are its own")
            await asyncio.sleep(0.1)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        if (status := self.process.wait(timeout=60)) != 143:
            sys.exit(f"the tunnel ended with {status}\n{self.log.read_text()[-4000:]}")


def packet(kind, body):
    """A message of TDS, [MS-TDS] 2.2.3.1."""
    return struct.pack(">BBHHBB", kind, 1, 8 + len(body), 0, 1, 0) + body


def log_in(database):
    """LOGIN7, [MS-TDS] 2.2.6.4, with what the sandbox reads of it."""
    user, name = "app".encode("utf-16-le"), database.encode("utf-16-le")
    hidden = bytes(((byte << 4 | byte >> 4) & 0xFF) ^ 0xA5 for byte in PASSWORD.encode("utf-16-le"))
    fixed = bytearray(94)
    at = len(fixed)
    for field, text in ((40, user), (44, hidden), (68, name)):
        struct.pack_into("<HH", fixed, field, at, len(text) // 2)
        at += len(text)
    return packet(16, bytes(fixed) + user + hidden + name)


def said_of(database):
    """ENVCHANGE, [MS-TDS] 2.2.7.9: the database that the session is in now, and the one before."""
    name, was = database.encode("utf-16-le"), "master".encode("utf-16-le")
    body = bytes([1, len(database)]) + name + bytes([len("master")]) + was
    return b"\xe3" + struct.pack("<H", len(body)) + body


class Client:
    """One of the crowd. What it sends nobody else does."""

    def __init__(self, nth):
        self.nth, self.rng, self.bytes = nth, random.Random(nth), 0

    async def arrive(self, tunnel):
        self.reader, self.writer = await tunnel.connect()
        await self.exchange()

    async def exchange(self):
        name = f"{self.nth}-" + "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyzäöü", k=self.rng.randint(1, 100)))
        sent, expected = log_in(name), said_of(name)
        self.writer.write(sent)
        header = await self.reader.readexactly(8)
        answer = await self.reader.readexactly(struct.unpack(">H", header[2:4])[0] - 8)
        # Behind it are the same bytes for everybody: LOGINACK, and DONE.
        assert answer.startswith(expected), f"{self.nth} sent {expected!r} and got {answer!r}"
        assert answer[len(expected)] == 0xAD and answer[-13:] == b"\xfd" + bytes(12), answer
        self.bytes += len(sent) + 8 + len(answer)

    async def leave(self):
        if self.nth % 2:
            self.writer.transport.abort()
        else:
            self.writer.close()
            await self.writer.wait_closed()


async def all_of(things):
    await asyncio.wait_for(asyncio.gather(*things), PATIENCE)


async def served():
    """Everybody is, and nothing is left of them."""
    tunnel = Tunnel("warehouse-staging", "-u", "app", "--max-connections", str(STEPS[-1]))
    # With the certificate, and the connection to Google that stays open for a while.
    first = Client(0)
    await first.arrive(tunnel)
    await first.leave()
    print(f"{'connections':<16}{'RSS MiB':>9}{'KiB each':>10}{'descriptors':>13}{'s to open':>11}{'s a round':>11}")
    await asyncio.sleep(1)
    own, idle = tunnel.descriptors(), tunnel.kib()
    most = []
    for steps in ([0, *STEPS], *[STEPS[-1:]] * AGAIN):
        crowd = []
        for count in steps:
            began = time.monotonic()
            new = [Client(nth) for nth in range(len(crowd), count)]
            await all_of(client.arrive(tunnel) for client in new)
            crowd += new
            opened = time.monotonic()
            for _ in range(ROUNDS):
                await all_of(client.exchange() for client in crowd)
            rounds = (time.monotonic() - opened) / ROUNDS
            kib, descriptors = tunnel.kib(), tunnel.descriptors()
            each = f"{(kib - idle) / count:.1f}" if count else ""
            what = f"{count:,}" + (" at once" if len(new) == STEPS[-1] else "")
            print(f"{what:<16}{kib / 1024:>9.1f}{each:>10}{descriptors:>13}{opened - began:>11.2f}{rounds:>11.2f}", flush=True)
            assert 2 * count <= descriptors <= own + 2 * count + 4, "two for each"
        most.append(kib)
        sent = sum(client.bytes for client in crowd)
        await all_of(client.leave() for client in crowd)
        await tunnel.settles_at(own)
        print(f"{'when all left':<16}{tunnel.kib() / 1024:>9.1f}{'':>10}{tunnel.descriptors():>13}   {sent:,} bytes were right")
    # Allocators keep what a burst needed, and the first that is at once needs more than those that came in steps.
    assert most[-1] <= most[1] * 1.25 + 8 * 1024, f"memory grows from crowd to crowd: {most}"
    tunnel.end()


STARTUP = struct.pack(">HH", 3, 0) + b"user\0ada\0database\0payments\0\0"


async def knock(tunnel, kept):
    """What somebody hears who asks PostgreSQL for a session; whoever gets one keeps it."""
    reader, writer = await tunnel.connect()
    writer.write(struct.pack(">I", 4 + len(STARTUP)) + STARTUP)
    tag = await reader.readexactly(1)
    if tag == b"R":
        kept.append(writer)
        return "served"
    assert tag == b"E", tag
    fields = (await reader.read()).split(b"\0")
    writer.close()
    return next(field[1:].decode() for field in fields if field.startswith(b"M"))


async def told(what, crowd, served, *args, **kwargs):
    """Who cannot be served learns why, the tunnel has nothing more to do with them, and their place is free again."""
    tunnel = Tunnel("payments-staging", *args, **kwargs)
    own = tunnel.descriptors()
    for _ in range(2):
        kept = []
        answers = await asyncio.wait_for(asyncio.gather(*(knock(tunnel, kept) for _ in range(crowd))), PATIENCE)
        reason = f"bsql: the tunnel serves at most {served} connections at a time"
        heard = collections.Counter(answers)
        # One that is being told takes a place as well, for a moment.
        assert set(heard) == {"served", reason} and heard["served"] <= served, heard
        for writer in kept:
            writer.close()
        await tunnel.settles_at(own + 2)
        print(f"{what}: of {crowd} at once, {heard['served']} are served and {heard[reason]} are told: {reason}", flush=True)
    tunnel.end()
    return tunnel.log.read_text()


async def main():
    await served()
    await told("--max-connections 20", 500, 20, "--max-connections", "20")
    log = await told("140 descriptors", 500, 22, limit=(140, 140))
    assert "22 connections" in log, log


asyncio.run(main())
