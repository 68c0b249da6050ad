#!/usr/bin/env python3
"""Compares two builds of airdock, side by side, in the same rounds: is a change slower, larger, or later to be ready?

    benches/compare/builds.py BEFORE                the build in target/release against an earlier program
    benches/compare/builds.py BEFORE --only pulls   only these groups of cells
    benches/compare/builds.py BEFORE --rounds 15    longer; the ratios of short runs scatter

A ratio is the median of the ratios of each round, new to old. No cell may be below 0.97, memory may grow by 2 MB, and the
time to be ready by 3 ms. Cells whose span includes 1 show no difference. Needs cargo for the load client and openssl.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import time

import cells
import content
import ingest
import make_bundle
import report
from measure import Load, median, peak_mb, rounds, say
from targets import Airdock, free_port

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SLOWEST, LARGER_MB, LATER_MS = 0.97, 2.0, 3.0


class Before(Airdock):
    name = "before"


class Run:
    """What the cells of the comparison with other servers need, with two airdocks as the targets."""

    def __init__(self, asked):
        self.rounds, self.seconds = asked.rounds, 1.0
        self.push_bytes, self.bundle_bytes = 500_000_000, asked.bundle
        self.work = asked.work / f"builds-{time.monotonic_ns()}"
        self.work.mkdir(parents=True)
        self.report = report.Report()
        self.certificate, self.key = content.certificate(self.work)
        self.load = Load(HERE, self.certificate)
        Before.program, Airdock.program = asked.before.resolve(), asked.airdock.resolve()
        self.airdock = Airdock(self.work / "airdock", self.certificate, self.key)
        self.before = Before(self.work / "before", self.certificate, self.key)
        self.targets = [self.before, self.airdock]
        self.content = content.Content(self.work)

    def no_slower(self, cell, results, key):
        self.report.figure(cell, results, [key], base="before")
        self.report.ratio_goal(cell, key, "before", key, ">=", SLOWEST)

    def no_larger(self, cell, results):
        grown = median(results, "airdock", "peak_mb") - median(results, "before", "peak_mb")
        self.report.value_goal(cell, "peak memory, grown by", grown, "MB", "<=", LARGER_MB)


def pulls(run):
    for tls in (False, True):
        with cells.serving(run.targets, tls) as targets:
            cells.verify(run, targets)
            suffix = ", TLS" if tls else ""
            for cell, name, connections, threads in [*cells.PULLS, *cells.SMALL]:
                path, accept, _ = run.content.path(name)
                say(cell + suffix)
                measure = lambda target, _: run.load.get(
                    target.url + path, target.pids(), connections, threads, run.seconds, accept
                )
                run.no_slower(cell + suffix, rounds(targets, run.rounds, measure), "req_s" if threads == 2 else "mb_s")
            run.no_larger("memory, 64 pulls" + suffix, cells.memory(run, targets, suffix))


def ready(run):
    archive = run.work / "tags.tar"
    repository, tag = make_bundle.make_tags(archive, 10_000)
    for cell, bundle, path in [
        ("ready, example", ROOT / "examples" / "zenml-air-gapped-bundle", "/v2/charts/zenml/manifests/0.93.2"),
        ("ready, 10,000 tags", archive, f"/v2/{repository}/manifests/{tag}"),
    ]:
        say(cell)
        for target in run.targets:
            shutil.rmtree(target.folder / "ready", ignore_errors=True)
            target.ingest(target.folder / "ready", bundle)

        def measure(target, _):
            port = free_port()
            command = [target.program, "serve", "--data", target.folder / "ready", "--listen", f"127.0.0.1:{port}"]
            return {"ms": run.load.ready_ms(f"http://127.0.0.1:{port}{path}", command, "*/*")}

        results = rounds(run.targets, max(run.rounds, 9), measure)
        run.report.figure(cell, results, ["ms"], base="before")
        later = median(results, "airdock", "ms") - median(results, "before", "ms")
        run.report.value_goal(cell, "exec to first 200, later by", later, "ms", "<=", LATER_MS)


def pushed(run, cell, size, count):
    """`count` blobs of `size` bytes, each new, and a manifest that names them, into an empty folder."""

    def measure(target, at):
        fresh = type(target)(run.work / f"push-{target.name}", run.certificate, run.key)
        blobs = [run.work / f"push-{at}-{number}.bin" for number in range(count)]
        digests = [content.write_random(blob, size, seed=f"{at}-{n}") for n, blob in enumerate(blobs)]
        with cells.serving([fresh]), content.Registry(fresh.url) as registry:
            start = time.monotonic()
            for blob, digest in zip(blobs, digests):
                registry.push_blob("bench/push", blob, digest, in_parts=True)
            seconds = time.monotonic() - start
            peak = peak_mb(fresh.pids())
        shutil.rmtree(fresh.folder)
        for blob in blobs:
            blob.unlink()
        return {"mb_s": size * count / 1e6 / seconds, "peak_mb": peak}

    say(cell)
    results = rounds(run.targets, max(5, run.rounds // 2), measure)
    run.no_slower(cell, results, "mb_s")
    run.no_larger(cell, results)


def push(run):
    pushed(run, "push 500 MB", 500_000_000, 1)
    pushed(run, "push 100 x 100 KB", 100_000, 100)


def ingests(run):
    bundle = make_bundle.make_bundle(run.work / "bundle", run.bundle_bytes)
    packed, tar = run.work / "bundle.tar.zst", ["tar", "-cf", "-", "-C", bundle.parent, bundle.name]
    with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
        subprocess.run(["zstd", "-q", "-1", "-o", packed], stdin=archive.stdout, check=True)
    tags = run.work / "many.tar"
    make_bundle.make_tags(tags, 2_000)
    folder = ingest.MEMORY / run.work.name
    try:
        for variant, arguments, feed in [
            ("folder", [bundle], None), ("stdin", ["-"], tar), (".tar.zst", [packed], None), ("2,000 tags", [tags], None),
        ]:
            cell = f"ingest {variant} to tmpfs"
            say(cell)
            folder.mkdir(exist_ok=True)

            def measure(target, _):
                one = argparse.Namespace(airdock=target, work=run.work, bundle_bytes=run.bundle_bytes)
                return ingest.once(one, folder / "data", arguments, feed)

            results = rounds(run.targets, max(5, run.rounds // 2), measure)
            run.no_slower(cell, results, "mb_s")
            run.no_larger(cell, results)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def mount(run):
    """A bundle served from where it is: the first manifest after exec, and pulls of its largest layer."""
    bundle = make_bundle.make_bundle(run.work / "mounted", run.bundle_bytes)
    repository, tag = "zenml/zenml-pro-api", make_bundle.TAG

    def command(target, port):
        data = target.folder / "mounting"
        return [target.program, "serve", "--data", data, "--listen", f"127.0.0.1:{port}", "--mount", bundle]

    def first(target, _):
        port = free_port()
        url = f"http://127.0.0.1:{port}/v2/{repository}/manifests/{tag}"
        return {"ms": run.load.ready_ms(url, command(target, port), "*/*")}

    say("mount: exec to the first manifest")
    results = rounds(run.targets, max(run.rounds, 9), first)
    run.report.figure("mount, ready", results, ["ms"], base="before")
    later = median(results, "airdock", "ms") - median(results, "before", "ms")
    run.report.value_goal("mount, ready", "exec to first 200, later by", later, "ms", "<=", LATER_MS)

    class Mounting:
        """The same servers, over the bundle."""

        def __init__(self, of):
            self.name, self.of = of.name, of

        def __enter__(self):
            program = self.of
            self.server = type("Server", (type(program),), {"command": lambda self, port, tls: command(program, port)})(
                program.folder / "served", run.certificate, run.key
            ).start()
            return self

        def __exit__(self, *_):
            self.server.stop()

    with Mounting(run.before) as before, Mounting(run.airdock) as after:
        from urllib.request import urlopen

        manifest = json.loads(urlopen(f"{after.server.url}/v2/{repository}/manifests/{tag}").read())
        largest = max(manifest["layers"], key=lambda layer: layer["size"])
        path = f"/v2/{repository}/blobs/{largest['digest']}"
        for served in (before, after):
            # Hashed on its way out once; from then on it is sent as a stored blob is.
            run.load.check(served.server.url + path, largest["digest"].removeprefix("sha256:"), "*/*")
        for connections in (8, 1):
            cell = f"mount, pull x {connections}"
            say(cell)
            measure = lambda target, _: run.load.get(
                target.server.url + path, target.server.pids(), connections, connections, run.seconds
            )
            run.no_slower(cell, rounds([before, after], run.rounds, measure), "mb_s")
        peaks = {served.name: [{"peak_mb": peak_mb(served.server.pids())}] for served in (before, after)}
        run.no_larger("mount, memory", peaks)


CELLS = {"pulls": pulls, "ready": ready, "push": push, "ingest": ingests, "mount": mount}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=pathlib.Path, help="the program of an earlier build")
    parser.add_argument("--airdock", type=pathlib.Path, default=ROOT / "target" / "release" / "airdock")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bundle", type=make_bundle.bytes_of, default=make_bundle.bytes_of("1G"), help="size of the bundles")
    parser.add_argument("--only", choices=CELLS, action="append", help="only these groups of cells; may be repeated")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target", help="a folder on the disk to measure")
    return parser.parse_args()


def main():
    asked = arguments()
    run, start = Run(asked), time.monotonic()
    try:
        cells.fill(run)
        for name in asked.only or CELLS:
            CELLS[name](run)
        run.report.print_goals()
        say(f"done in {time.monotonic() - start:.0f} s")
    finally:
        for target in run.targets:
            target.stop()
        shutil.rmtree(run.work, ignore_errors=True)
    return 1 if any(goal["met"] is False for goal in run.report.goals) else 0


if __name__ == "__main__":
    sys.exit(main())
