"""Times commands in turns and prints what was found next to what is wanted.

Missing a target is said and fails nothing: how long things take is a matter of the machine and of who else uses it.
"""
import json
import os
import statistics
import subprocess
import sys
import time

ROUNDS = int(os.environ.get("ROUNDS", "9"))


def run(command, environment=None):
    """Runs a command with its output thrown away: milliseconds, and the most memory that it had, in MB."""
    begin = time.perf_counter()
    child = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    took = (time.perf_counter() - begin) * 1000
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{command[:6]} ended with {child.returncode}: {said.decode()[:300]}")
    return took, usage.ru_maxrss / 1024


rows = []


def row(what, found, target, good):
    rows.append((what, found, target, "pass" if good else "miss"))


def not_there(what, target, error):
    print(f"{what}: {error}", file=sys.stderr)
    rows.append((what, "not measured", target, "miss"))


bsql = os.environ["BSQL"]

# The list of a team against one bare curl of the very same request, in turns.
requests = json.loads(os.environ["REQUESTS"])
curl = ["curl", "-sS", "--fail", "--compressed", "-o", "/dev/null", "-H", "Authorization: Bearer " + os.environ["TOKEN"]]
curl.append(os.environ["BSQL_BACKSTAGE_URL"] + requests[-1])
ls = [bsql, "ls", "--owner", os.environ["TEAM"], "--refresh", "-o", "table"]
try:
    run(ls), run(curl)
    taken = {"bsql": [], "curl": []}
    for _ in range(ROUNDS):
        taken["bsql"].append(run(ls)[0])
        taken["curl"].append(run(curl)[0])
    ours, theirs = statistics.median(taken["bsql"]), statistics.median(taken["curl"])
    row(f"`bsql ls` of a team, cold, against curl (medians of {ROUNDS})", f"{ours:.0f} ms / {theirs:.0f} ms = {ours / theirs:.2f}", "< 2", ours < 2 * theirs)
except RuntimeError as error:
    not_there("`bsql ls` of a team, cold, against curl", "< 2", error)

for what, name, most in [
    ("requests of `bsql ls`, cold", "COLD_LS", 2),
    ("requests of `bsql connect`, cold", "COLD_CONNECT", 2),
    ("requests of both, with a warm cache", "WARM", 0),
]:
    found = int(os.environ[name])
    row(what, str(found), f"<= {most}", found <= most)

# Memory while 100,000 databases come by, and completion with all of them in the cache.
endless = {"BSQL_BACKSTAGE_URL": os.environ["ENDLESS"], "BSQL_BACKSTAGE_AUTH": "none", "BSQL_CACHE_DIR": os.environ["ENDLESS_CACHE"]}
for output in ["name", "table"]:
    what = f"memory of `bsql ls --all -o {output}` of 100,000"
    try:
        took, memory = run([bsql, "ls", "--all", "-o", output], endless)
        row(what, f"{memory:.0f} MB ({took / 1000:.1f} s)", "< 40 MB", memory < 40)
    except RuntimeError as error:
        not_there(what, "< 40 MB", error)

words = [bsql, "--", "bsql", "connect", "invoices-0500"]
shell = {
    **endless,
    "COMPLETE": "bash",
    "_CLAP_IFS": "\n",
    "_CLAP_COMPLETE_INDEX": "2",
    "_CLAP_COMPLETE_COMP_TYPE": "9",
    "_CLAP_COMPLETE_SPACE": "false",
}
what = "completion of a name with 100,000 cached (median of 30)"
offered = subprocess.run(words, env={**os.environ, **shell}, capture_output=True, check=False).stdout.decode().splitlines()
if len(offered) < 2:
    not_there(what, "< 15 ms", f"offered {offered}")
else:
    took = statistics.median(run(words, shell)[0] for _ in range(30))
    row(what, f"{took:.1f} ms", "< 15 ms", took < 15)

widths = [max(len(line[column]) for line in rows) for column in range(3)]
print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {bsql}")
for line in rows:
    print("  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0])).rstrip())
