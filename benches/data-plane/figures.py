"""What was measured, and the table that is made of it."""

import os
import statistics
import sys

BSQL, PROXY, NATIVE = "bsql", "cloud-sql-proxy", "no tunnel"


class Figures:
    """Rows of figures, in the order in which they were first noted."""

    def __init__(self):
        self.rows, self.targets = {}, {}

    def note(self, contender, what, value, target=""):
        """One more value. `target` is what the ratio to the proxy is meant to be."""
        self.rows.setdefault(what, {}).setdefault(contender, []).append(value)
        self.targets[what] = target or self.targets.get(what, "")
        print(f"{contender:>16}: {what}: {number(value)}", file=sys.stderr, flush=True)

    def markdown(self):
        """Medians, and the medians of the ratios round by round, of which the least and the greatest show the noise."""
        lines = ["| what | bsql | proxy | ratio (of single rounds) | target | no tunnel | ratio |", "|---|---|---|---|---|---|---|"]
        for what, by_name in self.rows.items():
            median = {name: number(statistics.median(values)) for name, values in by_name.items()}
            cells = [what, median.get(BSQL, ""), median.get(PROXY, ""), self.ratio(what, PROXY, True), self.targets[what]]
            cells += [median.get(NATIVE, ""), self.ratio(what, NATIVE, False)]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def ratio(self, what, other, spread):
        """Neighbours in time are compared with each other, so that what slows the machine down for a while slows down both."""
        pairs = zip(self.rows[what].get(BSQL, []), self.rows[what].get(other, []))
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        if not ratios:
            return ""
        middle = f"{statistics.median(ratios):.2f}"
        return f"**{middle}** ({min(ratios):.2f}–{max(ratios):.2f})" if spread else middle


def number(value):
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def load():
    """How busy the machine is: processes that run or wait, of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def alternate(contenders, rounds, measure):
    """`measure(contender)` for each by turns. The first round warms up and is not noted: `measure` is told so."""
    for round in range(rounds + 1):
        for contender in contenders if round % 2 else reversed(contenders):
            measure(contender, round > 0)
