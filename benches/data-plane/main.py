"""Measures bsql and cloud-sql-proxy in alternating rounds and prints a table in Markdown, see run.sh."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import first_row
import growth
import postgres
from figures import Figures, load


def main():
    rounds, parts = int(sys.argv[1]), sys.argv[2:] or ["postgres", "growth", "tunnels", "first_row"]
    figures, began, load_before = Figures(), time.monotonic(), load()
    with tempfile.TemporaryDirectory() as name:
        dir = Path(name)
        subprocess.run([os.environ["BSQL"], "login", "--no-browser", "--flow", "device"], check=True, stderr=subprocess.DEVNULL)
        if "postgres" in parts:
            postgres.measure(figures, rounds, dir)
        if "growth" in parts:
            growth.measure(figures, rounds)
        if "tunnels" in parts:
            growth.measure_tunnels(figures, rounds)
        if "first_row" in parts:
            first_row.measure(figures, rounds, dir)
    print(figures.markdown())
    minutes = (time.monotonic() - began) / 60
    print(f"\nMedians of {rounds} alternating rounds on {os.cpu_count()} CPUs; load average {load_before} before, {load()} after {minutes:.0f} minutes.")


main()
