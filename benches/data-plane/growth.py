"""How a tunnel grows: new connections a second, 1 to 2,000 connections, 1 to 50 instances.

The connections go to SQL Server's door, which answers by itself: a PostgreSQL would spend most of the time and memory.
"""

import os
import socket
import statistics
import subprocess
import threading
import time

from contenders import answers, bsql, free_ports, proxy, to_door, wait_for
from figures import BSQL, PROXY, alternate

# PRELOGIN ([MS-TDS] 2.2.6.5) without options, and how long the door's answer to it is.
HELLO = bytes([18, 1, 0, 9, 0, 0, 0, 0, 0xFF])
ANSWER = 8 + 24
SECONDS = 2
CONNECTIONS = (1, 10, 100, 1000, 2000)
TUNNELS = (1, 10, 50)


def connect(port):
    """A connection that has been answered."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    say(connection)
    return connection


def say(connection):
    connection.sendall(HELLO)
    left = ANSWER
    while left:
        read = len(connection.recv(left))
        assert read, "the tunnel hung up"
        left -= read


def connects(contender, port):
    """New connections by four clients at a time."""
    done, end = [0] * 4, time.monotonic() + SECONDS

    def client(place):
        while time.monotonic() < end:
            connect(port).close()
            done[place] += 1

    clients = [threading.Thread(target=client, args=(place,)) for place in range(len(done))]
    cpu, began = contender.cpu(), time.monotonic()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    yield "new connections a second, 4 clients", sum(done) / (time.monotonic() - began), "≥ 2"
    yield "new connection, CPU µs of the tunnel", (contender.cpu() - cpu) / sum(done) * 1e6, ""


def round_trip(connection):
    """Of an idle connection, in microseconds."""
    took = []
    for _ in range(200):
        began = time.monotonic()
        say(connection)
        took.append(time.monotonic() - began)
    return statistics.median(took) * 1e6


def grow(contender, port):
    """Memory and latency with so many connections that do nothing."""
    yield "memory without connections, MB", contender.resident(), "≤ 0.5"
    yield "of it not the program's file, MB", contender.own(), ""
    connections = []
    try:
        for count in CONNECTIONS:
            while len(connections) < count:
                connections.append(connect(port))
            noun = "connection" if count == 1 else "connections"
            yield f"memory with {count:,} idle {noun}, MB", contender.resident(), "≤ 0.5" if count == 1000 else ""
            yield f"round trip with {count:,} {noun} open, µs", round_trip(connections[0]), ""
    finally:
        for connection in connections:
            connection.close()


def databases(count):
    """Generated ones that Ada may sign in to, with the ports for them: those of the payments and the ledger."""
    words = ("invoices", "parcels", "ratings", "coupons", "returns", "carriers", "tariffs", "baskets")
    words += ("vouchers", "refunds", "stores", "routes", "claims", "loyalty", "pricing", "search")
    numbers = [number for number in range(3 * count) if number % 3 != 1][:count]
    return [(f"{words[number % len(words)]}-{number:05}-staging", number % 3) for number in numbers]


def tunnels(which, count):
    """So many tunnels of one process: until all are open, and the memory then. The sandbox has few instances, so that
    several lead to the same one; bsql's have a certificate each all the same."""
    ports = free_ports(count)
    began = time.monotonic()
    if which == BSQL:
        contender = bsql(*(f"{name}={port}" for (name, _), port in zip(databases(count), ports)))
    else:
        instances = ("acme-staging:europe-west1:payments", "", "acme-staging:europe-west4:ledger")
        named = (f"{instances[place]}?port={port}" for (_, place), port in zip(databases(count), ports))
        contender = proxy(*named)
    for port in ports:
        wait_for(lambda: answers(port), "a tunnel")
    took = time.monotonic() - began
    noun, verb = ("tunnel", "listens") if count == 1 else ("tunnels", "listen")
    yield contender.name, f"memory with {count} {noun}, MB", contender.resident()
    yield contender.name, f"time until {count} {noun} {verb}, ms", took * 1000
    contender.stop()


def measure(figures, rounds):
    def note(contender, port, one):
        for what, value, target in one(contender, port):
            figures.note(contender.name, what, value, target)

    started = [to_door(which) for which in (BSQL, PROXY)]
    alternate(started, rounds, lambda pair, counts: [figures.note(pair[0].name, *row) for row in connects(*pair) if counts])
    for contender, _ in started:
        contender.stop()
    # Fresh ones each time: memory that was used once stays.
    for round in range(rounds):
        for which in (BSQL, PROXY) if round % 2 else (PROXY, BSQL):
            contender, port = to_door(which)
            note(contender, port, grow)
            contender.stop()


def measure_tunnels(figures, rounds):
    for name in ("payments-staging", "ledger-staging"):
        # Whoever comes first waits for the instance's PostgreSQL to be made.
        subprocess.run([os.environ["BSQL"], "query", name, "select 1"], check=True, stdout=subprocess.DEVNULL)
    for round in range(rounds):
        for which in (BSQL, PROXY) if round % 2 else (PROXY, BSQL):
            for count in TUNNELS:
                for row in tunnels(which, count):
                    figures.note(*row)
