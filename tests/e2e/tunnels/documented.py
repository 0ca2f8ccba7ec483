"""Runs the commands of a document, in order, and compares what they print: documented.py FILE [HEADING]."""

import re
import subprocess
import sys

with open(sys.argv[1]) as file:
    text = file.read()
if len(sys.argv) > 2:
    # To the next heading, which is not of a comment in a block.
    _, text = text.split(f"\n## {sys.argv[2]}\n")
    text = text.split("\n## ")[0]
blocks = re.findall(r"```console\n(.*?)```", text, re.S)


def steady(text):
    """Ports, process numbers, times and the widths of their columns differ."""
    text = re.sub(r"\b\d{4,7}\b", "N", text)
    text = re.sub(r"\b\d+ s\b", "T", text)
    # A process number behind the time that it has been up, which may be short.
    text = re.sub(r"\bT +\d+$", "T N", text, flags=re.M)
    return re.sub(r" +", " ", text).replace(" \n", "\n")


count = 0
for block in blocks:
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
        run = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, text=True)
        if steady(run.stdout) != steady(expected):
            sys.exit(f"$ {command}\nis documented to print\n{expected}and printed\n{run.stdout}")
        count += 1
assert count > 6, count
print(f"{count} documented commands print what is documented")
