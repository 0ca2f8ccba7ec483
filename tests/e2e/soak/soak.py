"""Clients that check every byte, a tunnel, and a sandbox that misbehaves in rounds: soak.py BSQL DIR MINUTES."""

import collections
import contextlib
import hashlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import psycopg

BSQL, DIR, MINUTES = sys.argv[1], pathlib.Path(sys.argv[2]), float(sys.argv[3])
NAME = "payments-staging"
# Short runs have short rounds, so that there are two cycles at least: growth is what the later ones add to the first.
ROUND = min(5.0, max(1.0, MINUTES * 60 / 40))
BULK, QUICK = 3, 6
# bsql replaces a certificate four minutes before it ends, so this is a new one every four seconds.
LIFE = 244
# Shorter than the machine sleeps.
SHORT_LIFE = 3
# How long the API is asked again and again, with pauses, before a client is told that it fails.
GIVES_UP = 10


class Wrong(Exception):
    """A byte that is not as it was sent. Nothing else is as bad."""


class Record:
    """What the clients have seen; a round takes the counts and starts anew."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.messages = collections.Counter()
        self.unexplained = []
        self.wrong = []

    def add(self, what, count=1):
        with self.lock:
            self.counts[what] += count

    def failed(self, error):
        text = str(error).strip()
        with self.lock:
            self.counts["failed"] += 1
            # A session that was open when its connection was cut has no other way to learn it; one that never was has.
            if "bsql: " in text:
                self.messages[text.split("bsql: ", 1)[1].splitlines()[0]] += 1
            else:
                self.unexplained.append(text)

    def take(self):
        with self.lock:
            counts, self.counts = self.counts, collections.Counter()
            messages, self.messages = self.messages, collections.Counter()
            unexplained, self.unexplained = self.unexplained, []
        return counts, messages, unexplained


class Clients:
    """Threads that dial, send, receive and compare, until they are told to stop. They can be told to wait."""

    def __init__(self, dsn, record):
        self.dsn, self.record = dsn, record
        self.stop = threading.Event()
        self.go = threading.Event()
        self.busy = 0
        self.idle = threading.Condition()
        works = [self.bulk] * BULK + [self.quick] * QUICK + [self.rude]
        self.threads = [
            threading.Thread(target=self.loop, args=(work, random.Random(seed)), daemon=True)
            for seed, work in enumerate(works)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()

    def pause(self):
        self.go.clear()
        with self.idle:
            if not self.idle.wait_for(lambda: self.busy == 0, timeout=120):
                sys.exit("a client hangs: no answer within 120 s")

    def loop(self, work, rng):
        while not self.stop.is_set():
            if not self.go.wait(timeout=0.2):
                continue
            with self.idle:
                self.busy += 1
            try:
                work(rng)
            except Wrong as wrong:
                self.record.wrong.append(str(wrong))
            except (psycopg.Error, OSError) as error:
                self.record.failed(error)
                time.sleep(0.1)
            except Exception as error:  # a thread that dies in silence would make the soak pass
                self.record.wrong.append(f"{type(error).__name__}: {error}")
            finally:
                with self.idle:
                    self.busy -= 1
                    self.idle.notify_all()

    def connect(self):
        connection = psycopg.connect(self.dsn, connect_timeout=60, autocommit=True)
        self.record.add("connections")
        return connection

    def bulk(self, rng):
        """COPY in and out over one connection, with a checksum of each side for each way."""
        with self.connect() as connection:
            connection.execute("create temp table soak (n int, b bytea)")
            for _ in range(rng.randint(1, 4)):
                rows = [rng.randbytes(rng.choice([0, 1, 700, 8_191, 65_536])) for _ in range(rng.randint(1, 120))]
                sent = hashlib.md5(b"".join(rows)).hexdigest()
                with connection.cursor() as cursor:
                    with cursor.copy("copy soak from stdin (format binary)") as copy:
                        copy.set_types(["int4", "bytea"])
                        for n, row in enumerate(rows):
                            copy.write_row((n, row))
                    # The database's own sum of what has reached it.
                    there = cursor.execute("select md5(coalesce(string_agg(b, '' order by n), '')) from soak").fetchone()[0]
                    if there != sent:
                        raise Wrong(f"up: {sent} was sent, {there} arrived")
                    received = hashlib.md5()
                    with cursor.copy("copy (select b from soak order by n) to stdout (format binary)") as copy:
                        copy.set_types(["bytea"])
                        for (row,) in copy.rows():
                            received.update(row)
                    if received.hexdigest() != sent:
                        raise Wrong(f"down: {sent} was there, {received.hexdigest()} arrived")
                    cursor.execute("truncate soak")
                self.record.add("bytes", 2 * sum(map(len, rows)))
                if not self.go.is_set():
                    break

    def quick(self, rng):
        """A new connection for one question, as scripts and pools do."""
        sent = rng.randbytes(rng.choice([0, 1, 15, 1_000, 16_385, 300_000]))
        with self.connect() as connection:
            there, back = connection.execute("select md5(%b::bytea), %b::bytea", (sent, sent)).fetchone()
        if there != hashlib.md5(sent).hexdigest() or bytes(back) != sent:
            raise Wrong(f"{len(sent)} bytes came back otherwise")
        self.record.add("bytes", 2 * len(sent))
        time.sleep(rng.random() / 20)

    def rude(self, rng):
        """A client that is killed in the middle of something."""
        connection = self.connect()
        try:
            if rng.random() < 0.5:
                connection.pgconn.send_query(b"copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout")
            else:
                connection.pgconn.send_query(b"select pg_sleep(0.2)")
            # Without a farewell.
            socket.socket(fileno=os.dup(connection.fileno())).shutdown(socket.SHUT_RDWR)
        finally:
            connection.close()
        self.record.add("killed")
        time.sleep(0.2)


def bsql(*args):
    return subprocess.run([BSQL, *args], check=True, capture_output=True, text=True).stdout.strip()


# What the rounds set. All of it is set each time, at once: in between, a CA that was rotated would be the old one again.
MENDED = {
    "admin_status": "null",
    "admin_retry_after_seconds": "null",
    "admin_delay_milliseconds": 0,
    "certificate_life_seconds": LIFE,
    "door_delay_milliseconds": 0,
    "door_drops": "null",
    "door_drops_times": "null",
    "door_other_ca": "false",
}


def faults(**set_to):
    bsql("sandbox", "fault", "set", *(f"{name}={value}" for name, value in {**MENDED, **set_to}.items()))


class Tunnel:
    """The process that is looked at."""

    def __init__(self):
        log = open(DIR / "tunnel.log", "wb")
        self.process = subprocess.Popen([BSQL, "tunnel", NAME], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for _ in range(600):
            shown = bsql("ps", "-o", "name")
            if NAME in shown.split():
                break
            if self.process.poll() is not None:
                sys.exit((DIR / "tunnel.log").read_text())
            time.sleep(0.1)
        self.dsn = bsql("dsn", NAME)
        self.proc = pathlib.Path(f"/proc/{self.process.pid}")
        self.most = 0
        threading.Thread(target=self.watch, daemon=True).start()

    def descriptors(self):
        return len(os.listdir(self.proc / "fd"))

    def watch(self):
        """Connections take two descriptors each: many at once are more than the clients have."""
        while self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.most = max(self.most, self.descriptors())
            time.sleep(0.1)

    def figures(self):
        proc = self.proc
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return {
            "RSS MiB": int(status["VmRSS"].split()[0]) / 1024,
            "descriptors": self.descriptors(),
            "threads": int(status["Threads"]),
        }

    def sleep(self, seconds):
        """As when the lid is closed: the clock goes on, the process does not."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)


class Generations:
    """The sandbox's CAs: each round that rotates one has a new number."""

    def __init__(self):
        self.of = {"server_ca_generation": 0, "client_ca_generation": 0}

    def rotate(self, *names):
        for name in names:
            self.of[name] += 1


def main():
    record, generations = Record(), Generations()

    def broken(**set_to):
        faults(**generations.of, **set_to)

    def fault(seconds=ROUND, **set_to):
        def run(_):
            broken(**set_to)
            time.sleep(seconds)

        return run

    def rotated(*names):
        def run(_):
            # Twice in a round, so that one falls between two connections and one into the middle of many.
            for _ in range(2):
                generations.rotate(*names)
                broken()
                time.sleep(ROUND / 2)

        return run

    def short_lived():
        # With the CA, so that the certificate there is, which lives longer, is replaced at the next connection.
        generations.rotate("client_ca_generation")
        broken(certificate_life_seconds=SHORT_LIFE)
        time.sleep(ROUND / 2)

    def outage(_):
        short_lived()
        broken(certificate_life_seconds=SHORT_LIFE, admin_status=503)
        time.sleep(SHORT_LIFE + GIVES_UP + ROUND)

    def asleep(tunnel):
        short_lived()
        tunnel.sleep(SHORT_LIFE + 2)
        time.sleep(ROUND / 2)

    # What is done, whether clients see it (None: those may that were in the middle of a handshake), and how long after it
    # the API's last failure may stand for others.
    rounds = [
        ("nothing is wrong", fault(), False, 0),
        ("API: 503", fault(admin_status=503), False, 0),
        ("API: 429", fault(admin_status=429, admin_retry_after_seconds=1), False, 0),
        ("API and door take 300 ms", fault(admin_delay_milliseconds=300, door_delay_milliseconds=300), False, 0),
        ("door drops at accept", fault(door_drops="accept"), True, 0),
        ("door drops at hello", fault(door_drops="hello"), True, 0),
        ("door drops after handshake", fault(door_drops="handshake"), True, 0),
        ("door: one in four drops", fault(door_drops="hello", door_drops_times=4), True, 0),
        ("certificates refused", rotated("client_ca_generation"), False, 0),
        ("server CA rotated", rotated("server_ca_generation"), False, 0),
        ("all CAs rotated", rotated("client_ca_generation", "server_ca_generation"), False, 0),
        ("door of another CA", fault(door_other_ca="true"), True, 0),
        ("asleep longer than the certificate", asleep, None, 0),
        ("API: 503, certificate over", outage, True, 35),
    ]

    broken()
    tunnel = Tunnel()
    clients = Clients(tunnel.dsn, record)
    clients.start()
    end = time.monotonic() + MINUTES * 60
    began = time.monotonic()
    problems, samples = [], []
    total, seen = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
    most = collections.Counter()
    slowest = 0.0
    while len(samples) < 2 or time.monotonic() < end:
        for what, run, fails, patience in rounds:
            tunnel.most = 0
            clients.go.set()
            run(tunnel)
            broken()
            clients.pause()
            counts, messages, unexplained = record.take()
            if fails and not counts["failed"]:
                problems.append(f"{what}: nothing failed, so it was not wrong")
            if counts["failed"] and fails is False:
                problems.append(f"{what}: {counts['failed']} failed: {dict(messages)} {unexplained[:3]}")
            if unexplained:
                problems.append(f"{what}: not explained: {unexplained[:3]}")
            # What fails must not outlast its cause.
            mended = time.monotonic()
            while True:
                try:
                    with psycopg.connect(tunnel.dsn, connect_timeout=60) as connection:
                        connection.execute("select 1")
                    break
                except psycopg.Error as error:
                    if time.monotonic() - mended > patience:
                        problems.append(f"{what}: the next connection failed as well: {error}")
                        break
                    time.sleep(0.5)
            slowest = max(slowest, time.monotonic() - mended) if not patience else slowest
            total[what].update(counts)
            most[what] = max(most[what], tunnel.most)
            seen[what].update(messages)
            if tunnel.process.poll() is not None:
                sys.exit(f"the tunnel ended with {tunnel.process.returncode}\n{(DIR / 'tunnel.log').read_text()[-4000:]}")
        # Connections that were just closed take a moment, and idle threads of the runtime ten seconds.
        time.sleep(1)
        samples.append(tunnel.figures())
        print(f"cycle {len(samples)}, {time.monotonic() - began:.0f} s: " + ", ".join(f"{value:.4g} {name}" for name, value in samples[-1].items()), flush=True)
        if record.wrong or len(problems) > 20:
            break
    clients.stop.set()
    tunnel.process.send_signal(signal.SIGTERM)
    if (status := tunnel.process.wait(timeout=60)) not in (0, 143):
        problems.append(f"the tunnel ended with {status}")

    print(f"\n{'round':<36}{'connections':>12}{'failed':>8}{'killed':>8}{'MiB':>9}{'most descriptors':>18}")
    for what, *_ in rounds:
        counts = total[what]
        print(f"{what:<36}{counts['connections']:>12}{counts['failed']:>8}{counts['killed']:>8}{counts['bytes'] / 2**20:>9.1f}{most[what]:>18}")
        for message, times in seen[what].most_common(3):
            print(f"    {times} x {message[:110]}")
    every = sum(total.values(), collections.Counter())
    print(f"{'all':<36}{every['connections']:>12}{every['failed']:>8}{every['killed']:>8}{every['bytes'] / 2**20:>9.1f}")
    print(f"wrong bytes: {len(record.wrong)}; slowest first connection after a fault: {slowest:.2f} s")

    warm, last = samples[0], samples[-1]
    # Allocators keep what a burst needed; a leak of a kilobyte a connection would be more than this within minutes.
    if last["RSS MiB"] > warm["RSS MiB"] * 1.25 + 8:
        problems.append(f"memory grew from {warm['RSS MiB']:.1f} to {last['RSS MiB']:.1f} MiB")
    for what, spare in (("descriptors", 2), ("threads", 4)):
        if last[what] > warm[what] + spare:
            problems.append(f"{what} grew from {warm[what]} to {last[what]}")
    problems += [f"wrong: {wrong}" for wrong in record.wrong]
    if problems:
        print((DIR / "tunnel.log").read_text(errors="replace")[-4000:], file=sys.stderr)
        sys.exit("\n".join(["", *problems]))


main()
