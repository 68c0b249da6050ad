"""The measurements of the serving side: pulls, small requests, memory, start, push."""

import contextlib
import shutil

import content
import make_bundle
from measure import cpu_seconds, peak_mb, reset_peak, resident_mb, rounds, say
from targets import NginxOpenFileCache, free_port

#: cell, what is asked for, connections, threads of the client
PULLS = [
    ("64 MB x 8", "64m", 8, 8),
    ("64 MB x 64", "64m", 64, 64),
    ("4 MB x 8", "4m", 8, 8),
    ("500 MB x 1", "500m", 1, 1),
]
#: Each client thread goes round half the connections. Two, because one is busy before the fastest server is.
SMALL = [("64 KB x 64", "64k", 64, 2), ("manifest x 64", "manifest", 64, 2)]


@contextlib.contextmanager
def serving(targets, tls=False):
    try:
        yield [target.start(tls) for target in targets]
    finally:
        for target in targets:
            target.stop()


def fill(run):
    """Pushes the content to the registries; what they were filled with stays in their folders."""
    registries = [target for target in run.targets if hasattr(target, "push")]
    with serving(registries):
        for target in registries:
            target.push(run.content)


def verify(run, targets):
    """Every body of every target is what it should be before anything is measured."""
    for target in targets:
        for name in ["manifest", *content.SIZES]:
            path, accept, sha256 = run.content.path(name)
            run.load.check(target.url + path, sha256, accept)
    say(f"sha256 of every body verified, twice on one connection: {', '.join(t.name for t in targets)}")


def pull(run, targets, cells, suffix, keys, count):
    for cell, name, connections, threads in cells:
        path, accept, _ = run.content.path(name)
        say(f"{cell}{suffix}")
        results = rounds(
            targets, count,
            lambda target, _: run.load.get(target.url + path, target.pids(), connections, threads, run.seconds, accept),
        )
        run.report.figure(cell + suffix, results, keys)


def memory(run, targets, suffix):
    """Peak while 64 connections pull 64 MB each; reset before, so what earlier cells left resident still counts."""
    path, _, _ = run.content.path("64m")
    results = {}
    for target in targets:
        idle = resident_mb(target.pids())
        reset_peak(target.pids())
        run.load.get(target.url + path, target.pids(), 64, 64, max(run.seconds, 2))
        results[target.name] = [{"peak_mb": peak_mb(target.pids()), "before_mb": idle}]
    run.report.figure("memory, 64 pulls" + suffix, results, ["peak_mb", "before_mb"])
    return results


def pulls(run):
    """Plain and TLS 1.3 cells and their goals."""
    report, count = run.report, run.rounds
    blob, small = ["mb_s", "cpu_gb", "client_cpu_gb", "p99_us"], ["req_s", "cpu_us_req", "p50_us", "p99_us"]
    with serving(run.targets) as targets:
        verify(run, targets)
        pull(run, targets, PULLS, "", blob, count)
        with serving([NginxOpenFileCache(run.work / "nginx-ofc", run.certificate, run.key)]) as cached:
            pull(run, targets + cached, SMALL, "", small, count)
        plain = memory(run, targets, "")
    with serving(run.targets, tls=True) as targets:
        verify(run, targets)
        pull(run, targets, PULLS[:1], ", TLS", blob, count)
        pull(run, targets, SMALL[1:], ", TLS", small, count)
        crypt = memory(run, targets, ", TLS")

    report.ratio_goal("64 MB x 8", "MB/s", "nginx", "mb_s", ">=", 0.95)
    report.ratio_goal("64 MB x 8", "CPU/GB", "nginx", "cpu_gb", "<=", 1.25)
    report.ratio_goal("64 MB x 8", "MB/s", "docker-registry", "mb_s", ">=", 1.4)
    report.ratio_goal("64 MB x 64", "MB/s", "nginx", "mb_s", ">=", 0.95)
    report.ratio_goal("4 MB x 8", "MB/s", "nginx", "mb_s", ">=", 0.90)
    report.ratio_goal("4 MB x 8", "MB/s", "docker-registry", "mb_s", ">=", 2.5)
    report.ratio_goal("500 MB x 1", "MB/s", "nginx", "mb_s", ">=", 0.92)
    report.ratio_goal("64 KB x 64", "req/s", "nginx", "req_s", ">=", 0.8)
    report.ratio_goal("manifest x 64", "req/s", "nginx", "req_s", ">=", 0.7)
    report.ratio_goal("manifest x 64", "req/s", "docker-registry", "req_s", ">=", 40)
    report.ratio_goal("64 MB x 8, TLS", "MB/s", "nginx", "mb_s", ">=", 1.10)
    report.ratio_goal("64 MB x 8, TLS", "CPU/GB", "nginx", "cpu_gb", "<=", 0.90)
    report.ratio_goal("64 MB x 8, TLS", "MB/s", "docker-registry", "mb_s", ">=", 1.3)
    for suffix, peaks, bound in (("", plain, 24), (", TLS", crypt, 64)):
        if "airdock" in peaks:
            report.value_goal("memory, 64 pulls" + suffix, "peak", peaks["airdock"][0]["peak_mb"], "MB", "<=", bound)


def ready(run):
    """From exec to the first 200 on a manifest, with the pushed content, the example, and ten thousand tags."""
    path, accept, _ = run.content.path("manifest")

    def measure(target, folder_path, folder=None):
        port = free_port()
        if folder:
            command = [run.airdock.program, "serve", "--data", folder, "--listen", f"127.0.0.1:{port}"]
        else:
            command = target.command(port, tls=False)
        return {"ms": run.load.ready_ms(f"http://127.0.0.1:{port}{folder_path}", command, accept)}

    starts = max(run.rounds, 5)
    results = rounds(run.targets, starts, lambda target, _: measure(target, path))
    run.report.figure("ready", results, ["ms"])
    if not run.airdock:
        return
    archive = run.work / "tags.tar"
    repository, tag = make_bundle.make_tags(archive, 10_000)
    cases = [("ready, 10,000 tags", archive, f"/v2/{repository}/manifests/{tag}")]
    if run.example.is_dir():
        cases.insert(0, ("ready, example", run.example, run.example_manifest))
    for cell, bundle, manifest in cases:
        say(cell)
        folder = run.work / "ready-data"
        run.airdock.ingest(folder, bundle)
        results = rounds([run.airdock], starts, lambda target, _: measure(target, manifest, folder))
        run.report.figure(cell, results, ["ms"])
        middle = sorted(one["ms"] for one in results["airdock"])[starts // 2]
        run.report.value_goal(cell, "exec to first 200, median", middle, "ms", "<=", 25)
        shutil.rmtree(folder)


def push(run):
    """One large blob by POST, PATCH and PUT over plain HTTP into an empty folder; the time ends with the 201."""
    targets = [target for target in run.targets if hasattr(target, "push")]
    cell = f"push {run.push_bytes / 1e9:g} GB"
    blob = run.work / "push.bin"
    digests = []

    def measure(target, at):
        if at == len(digests):
            # The same bytes twice could be cheaper the second time.
            digests.append(content.write_random(blob, run.push_bytes, seed=f"push-{at}"))
        fresh = type(target)(run.work / f"push-{target.name}", run.certificate, run.key)
        with serving([fresh]), content.Registry(fresh.url) as registry:
            idle, before = resident_mb(fresh.pids()), cpu_seconds(fresh.pids())
            reset_peak(fresh.pids())
            seconds = registry.push_blob("bench/push", blob, digests[at], in_parts=True)
            figures = {
                "mb_s": run.push_bytes / 1e6 / seconds,
                "cpu_gb": (cpu_seconds(fresh.pids()) - before) / (run.push_bytes / 1e9),
                "peak_above_idle_mb": peak_mb(fresh.pids()) - idle,
            }
            run.load.check(f"{fresh.url}/v2/bench/push/blobs/{digests[at]}", digests[at].removeprefix("sha256:"))
        shutil.rmtree(fresh.folder)
        return figures

    say(cell)
    results = rounds(targets, max(3, run.rounds // 2), measure)
    run.report.figure(cell, results, ["mb_s", "cpu_gb", "peak_above_idle_mb"], base="docker-registry")
    run.report.ratio_goal(cell, "MB/s", "docker-registry", "mb_s", ">=", 1.7)
    run.report.ratio_goal(cell, "CPU/GB", "docker-registry", "cpu_gb", "<=", 0.5)
    blob.unlink()
