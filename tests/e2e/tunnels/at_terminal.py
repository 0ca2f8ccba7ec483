"""At a terminal: Ctrl-C reaches an exec'd command once, a tunnel outlives its terminal, and a token is not shown."""

import os
import pty
import subprocess
import sys
import time

bsql = sys.argv[1]


def run(*command, until=None, keys=b""):
    """What a command shows on a terminal of its own, and its exit status; `keys` are typed when it shows `until`."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    shown = b""
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # The last process has closed its end.
            read = b""
        if not read:
            break
        shown += read
        if until and until in shown:
            os.write(terminal, keys)
            until = None
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return shown.decode(), status


script = "trap 'n=$((n+1)); echo got $n' INT; echo up; i=0; while [ $i -lt 20 ]; do sleep 0.1; i=$((i+1)); done; exit 5"
shown, status = run(bsql, "exec", "payments-staging", "--", "sh", "-c", script, until=b"up\r\n", keys=b"\x03")
assert "got 1" in shown and "got 2" not in shown and status == 5, (shown, status)

shown, status = run(bsql, "tunnel", "-d", "payments-staging")
assert "ready: payments-staging" in shown and status == 0, (shown, status)
time.sleep(1)
names = subprocess.run([bsql, "ps", "-o", "name"], stdout=subprocess.PIPE, text=True, check=True).stdout
assert "payments-staging" in names.split(), names
subprocess.run([bsql, "stop", "payments-staging"], check=True)

shown, status = run(bsql, "token", "payments-staging")
assert "this is a terminal" in shown and status == 64, (shown, status)
assert "sbx-secret" not in shown
shown, status = run(bsql, "token", "payments-staging", "--show")
assert "sbx-secret" in shown and status == 0, status
print("ok")
