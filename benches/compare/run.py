#!/usr/bin/env python3
"""Compares the whole airdock process with nginx and Debian's docker-registry, side by side, on loopback.

    benches/compare/run.py             everything, about 20 minutes
    benches/compare/run.py --quick     the same cells, shorter and smaller, under 3 minutes

Needs nginx, docker-registry, openssl, zstd and cargo (Debian: nginx-light docker-registry openssl zstd), and the
release binary (`cargo build --release`). Measures in rounds: each round asks every target once, every other round in
the reverse order; a ratio is the median of the ratios of each round. Starts its own servers on free ports of
127.0.0.1, stores below `--work`, and ends and removes all of it. See benches/README.md.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sys
import time

import cells
import content
import ingest
import report
from measure import Load, say
from targets import Airdock, DockerRegistry, Nginx

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CELLS = {"pulls": cells.pulls, "ready": cells.ready, "push": cells.push, "ingest": ingest.ingest}
#: Nothing takes longer; a run that does is ended with all it started.
LIMIT_SECONDS = 45 * 60


class Run:
    """One run: how long, where, and with whom."""

    def __init__(self, asked):
        self.rounds = asked.rounds or (3 if asked.quick else 7)
        self.seconds = 0.4 if asked.quick else 1.0
        self.push_bytes = 200_000_000 if asked.quick else 1_000_000_000
        self.bundle_bytes = 1_000_000_000 if asked.quick else 4_000_000_000
        self.work = asked.work / f"compare-{os.getpid()}"
        self.work.mkdir(parents=True)
        self.report = report.Report()
        self.certificate, self.key = content.certificate(self.work)
        self.load = Load(HERE, self.certificate)
        self.targets = [kind(self.work / kind.name, self.certificate, self.key) for kind in (Nginx, DockerRegistry)]
        self.airdock = None
        if asked.airdock.is_file():
            Airdock.program = asked.airdock.resolve()
            self.airdock = Airdock(self.work / "airdock", self.certificate, self.key)
            self.targets.append(self.airdock)
        self.content = content.Content(self.work)
        self.example = ROOT / "examples" / "zenml-air-gapped-bundle"
        self.example_manifest = asked.example_manifest


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short and small, under 3 minutes")
    parser.add_argument("--rounds", type=int, help="rounds of each cell (7; with --quick 3)")
    parser.add_argument("--only", choices=CELLS, action="append", help="only these groups of cells; may be repeated")
    parser.add_argument("--json", type=pathlib.Path, help="write every round's figures to this file")
    parser.add_argument("--airdock", type=pathlib.Path, default=ROOT / "target" / "release" / "airdock")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target", help="a folder on the disk to measure")
    parser.add_argument("--example-manifest", default="/v2/charts/zenml/manifests/0.93.2",
                        help="a manifest of the example bundle, for the time to be ready")
    return parser.parse_args()


def stop(_signal, _frame):
    raise SystemExit("stopped")


def main():
    asked = arguments()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_SECONDS)
    start = time.time()
    run = Run(asked)
    try:
        known = {"machine": report.machine(), "versions": report.versions(run.targets), "load": [os.getloadavg()]}
        for section in ("machine", "versions"):
            for key, value in known[section].items():
                print(f"{key}: {value}")
        if not run.airdock:
            say(f"no `{asked.airdock}`: only nginx and docker-registry are measured")
        cells.fill(run)
        for name in asked.only or CELLS:
            CELLS[name](run)
            known["load"].append(os.getloadavg())
        run.report.print_goals()
        say(f"done in {time.time() - start:.0f} s, load average at start {known['load'][0][0]:.1f}")
        if asked.json:
            known.update(goals=run.report.goals, figures=run.report.figures, rounds=run.rounds)
            asked.json.write_text(json.dumps(known, indent=1))
    finally:
        for target in run.targets:
            target.stop()
        shutil.rmtree(run.work, ignore_errors=True)
    return 1 if any(goal["met"] is False for goal in run.report.goals) else 0


if __name__ == "__main__":
    sys.exit(main())
