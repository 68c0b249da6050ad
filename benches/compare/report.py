"""The tables that are printed: what was measured, each goal with its ratio, and the machine it was measured on."""

import os
import pathlib
import platform
import re

from measure import median, ratio
from targets import output


class Report:
    """Collects figures and goals while the cells run."""

    def __init__(self):
        self.figures = {}
        self.goals = []

    def figure(self, cell, results, keys, base="nginx"):
        """Prints and keeps one cell: the median of each target and, of the first key, the ratio to the base."""
        self.figures[cell] = results
        print(f"\n## {cell}")
        print(f"{'':17}" + "".join(f"{key:>19}" for key in keys) + (f"   {keys[0]} / {base}" if base in results else ""))
        for name in results:
            line = f"{name:17}" + "".join(f"{median(results, name, key):19.3f}" for key in keys)
            if base in results:
                line += "   {:.2f} [{:.2f}-{:.2f}]".format(*ratio(results, name, base, keys[0]))
            print(line, flush=True)

    def ratio_goal(self, cell, what, base, key, sense, bound, name="airdock"):
        results = self.figures[cell]
        if name in results and base in results:
            middle, least, most = ratio(results, name, base, key)
            self._goal(cell, f"{what} / {base}", f"{middle:.2f}", f"[{least:.2f}-{most:.2f}]", middle, sense, bound, "x")

    def ratio_of(self, cell, what, value, sense, bound):
        self._goal(cell, what, f"{value:.3f}", "", value, sense, bound, "x")

    def value_goal(self, cell, what, value, unit, sense, bound):
        self._goal(cell, what, f"{value:.1f}", "", value, sense, bound, f" {unit}")

    def note(self, cell, what, text):
        """A row without a goal, for what must be known to read its neighbours."""
        self.goals.append({"cell": cell, "what": what, "measured": text, "spread": "", "goal": "", "met": None})

    def _goal(self, cell, what, measured, spread, value, sense, bound, unit):
        met = value >= bound if sense == ">=" else value <= bound
        self.goals.append({
            "cell": cell, "what": what, "measured": measured, "spread": spread,
            "goal": f"{sense} {bound}{unit}", "met": met,
        })

    def print_goals(self):
        rows = [("cell", "what", "measured", "[min-max]", "goal", "")]
        verdict = {True: "pass", False: "FAIL", None: ""}
        rows += [(g["cell"], g["what"], g["measured"], g["spread"], g["goal"], verdict[g["met"]]) for g in self.goals]
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        print()
        for at, row in enumerate(rows):
            print("| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |")
            if at == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def machine():
    """What the figures depend on besides the programs."""
    information = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", information, re.MULTILINE)
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory": f"{int(memory.group(1)) / 1024 / 1024:.0f} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
    }


def versions(targets):
    found = {target.name: target.version() for target in targets}
    found["openssl (tool)"] = output("openssl", "version")
    found["rustc"] = output("rustc", "--version")
    return found
