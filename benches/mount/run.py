#!/usr/bin/env python3
"""What serving a bundle from its medium costs, beside taking it in and beside `docker load` and `docker push`.

    benches/mount/run.py               a bundle of 10 GB
    benches/mount/run.py --size 1G     the same, smaller
    benches/mount/run.py --no-docker   without dockerd, which needs root and takes by far the longest

Needs the release binary (`cargo build --release`) and cargo for the load client of `benches/compare`; for the docker
side docker, dockerd and docker-registry (Debian: docker.io docker-registry) and root. Makes the bundle below `--work`,
starts its own servers on free ports of 127.0.0.1, a dockerd of its own with its own folders, and ends and removes all
of it. See benches/README.md.
"""

import argparse
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "compare"))

import make_bundle  # noqa: E402
from measure import Load, median, peak_mb, ratio, resident_mb, rounds, say  # noqa: E402
from targets import Airdock, DockerRegistry, free_port  # noqa: E402

IMAGE = "zenml/zenml-pro-api"


class Mounting(Airdock):
    """An airdock that serves a bundle from where it lies."""

    name = "mount"
    bundle = None

    def command(self, port, tls):
        return [*super().command(port, tls), "--mount", self.bundle]


class Stored(Airdock):
    """An airdock with the same bundle in its store."""

    name = "store"


def evict(bundle):
    """Has the kernel forget the bundle's pages, as if the medium had just been put in. Advice, taken for clean pages."""
    for path in bundle.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
    return body


def wait_for(log, text, process):
    """Waits until a server's log says `text`."""
    for _ in range(12_000):
        if text in log.read_text(errors="replace"):
            return
        if process.poll() is not None:
            raise RuntimeError(f"it ended: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    raise RuntimeError(f"`{text}` was never logged")


def first_blob(airdock, bundle, work):
    """Seconds from exec until a manifest has come, and then a layer, whole and hashed by the client."""
    data, port = work / "first", free_port()
    shutil.rmtree(data, ignore_errors=True)
    began = time.monotonic()
    process = subprocess.Popen(
        [airdock, "serve", "--data", data, "--listen", f"127.0.0.1:{port}", "--mount", bundle],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                manifest = json.loads(get(port, f"/v2/{IMAGE}/manifests/{make_bundle.TAG}"))
                break
            except ConnectionRefusedError:
                if process.poll() is not None:
                    raise RuntimeError("airdock ended") from None
                time.sleep(0.001)
        ready = time.monotonic() - began
        smallest = min(manifest["layers"], key=lambda layer: layer["size"])
        body = get(port, f"/v2/{IMAGE}/blobs/{smallest['digest']}")
        done = time.monotonic() - began
        if "sha256:" + hashlib.sha256(body).hexdigest() != smallest["digest"]:
            raise RuntimeError("the first blob is not what its digest says")
        return ready, done, len(body)
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(data, ignore_errors=True)


def by_docker(bundle, work, limit, images):
    """Seconds of `docker load` and `docker push` of the first image, after which it can be pulled, and of all of them."""
    registry = DockerRegistry(work / "docker-registry", None, None).start()
    host = f"unix://{work}/docker.sock"
    config = work / "docker.json"
    config.write_text(json.dumps({"bridge": "none", "iptables": False, "ip6tables": False, "ip-masq": False}))
    log = open(work / "dockerd.log", "ab")
    daemon = subprocess.Popen(
        ["dockerd", "--config-file", config, "--host", host, "--data-root", work / "docker", "--exec-root",
         work / "docker-exec", "--pidfile", work / "docker.pid"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )
    to = registry.url.removeprefix("http://")

    def docker(*command):
        left = limit - (time.monotonic() - began)
        subprocess.run(["docker", "--host", host, *command], check=True, stdout=subprocess.DEVNULL, timeout=max(left, 1))

    try:
        for _ in range(600):
            if subprocess.run(["docker", "--host", host, "version"], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        began = time.monotonic()
        for name, repository, _ in images:
            docker("load", "--quiet", "--input", str(bundle / "images" / f"{name}.tar"))
            docker("tag", f"{repository}:{make_bundle.TAG}", f"{to}/{name}:{make_bundle.TAG}")
            docker("push", "--quiet", f"{to}/{name}:{make_bundle.TAG}")
            if name == images[0][0]:
                first = time.monotonic() - began
        return first, time.monotonic() - began
    except subprocess.TimeoutExpired:
        return None, None
    finally:
        daemon.terminate()
        daemon.wait(timeout=120)
        registry.stop()
        log.close()
        shutil.rmtree(work / "docker", ignore_errors=True)
        shutil.rmtree(work / "docker-registry", ignore_errors=True)


def memory(load, mounting, idle_mb, path):
    """Peak above an idle server while the whole bundle is verified and 64 connections pull."""
    mounting.start()
    try:
        load.get(mounting.url + path, mounting.pids(), 64, 8, 3.0)
        wait_for(mounting.folder / "log", "are whole; 0 are not", mounting.process)
        load.get(mounting.url + path, mounting.pids(), 64, 8, 2.0)
        return peak_mb(mounting.pids()) - idle_mb
    finally:
        mounting.stop()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=make_bundle.bytes_of, default=make_bundle.bytes_of("10G"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-docker", action="store_true", help="leave out docker load and push")
    parser.add_argument("--docker-all", action="store_true", help="load and push all four images, not only the first")
    parser.add_argument("--docker-limit", type=int, default=1800, help="seconds after which docker is ended")
    parser.add_argument("--airdock", type=pathlib.Path, default=ROOT / "target" / "release" / "airdock")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target", help="a folder on the disk to measure")
    return parser.parse_args()


def main():
    asked = arguments()
    airdock = Airdock.program = asked.airdock.resolve()
    work = (asked.work / f"mount-{os.getpid()}").resolve()
    work.mkdir(parents=True)
    missed = 0

    def goal(what, text, met):
        nonlocal missed
        missed += not met
        print(f"| {what} | {text} | {'met' if met else '**missed**'} |", flush=True)

    try:
        load = Load(HERE.parent / "compare", "none")
        load.trust = []
        say(f"making a bundle of {asked.size / 1e9:.1f} GB")
        bundle = Mounting.bundle = make_bundle.make_bundle(work, asked.size)
        say("from exec to the first blob, the bundle out of the page cache each time")
        firsts = []
        for _ in range(asked.rounds):
            evict(bundle)
            firsts.append(first_blob(airdock, bundle, work))
        say("docker load and docker push into docker-registry" if not asked.no_docker else "docker is left out")
        images = make_bundle.IMAGES if asked.docker_all else make_bundle.IMAGES[:1]
        docker = None if asked.no_docker else by_docker(bundle, work, asked.docker_limit, images)
        mounting, stored = Mounting(work / "mounting", None, None), Stored(work / "stored", None, None)
        say("ingest of the same bundle")
        began = time.monotonic()
        stored.ingest(work / "stored" / "data", bundle)
        ingest = time.monotonic() - began
        stored.start()
        idle = Airdock(work / "idle", None, None).start()
        time.sleep(1)
        idle_mb = resident_mb(idle.pids())
        idle.stop()
        port = int(stored.url.rsplit(":", 1)[1])
        manifest = json.loads(get(port, f"/v2/{IMAGE}/manifests/{make_bundle.TAG}"))
        largest = max(manifest["layers"], key=lambda layer: layer["size"])
        path = f"/v2/{IMAGE}/blobs/{largest['digest']}"
        say("memory: 64 pulls while the mount is read in the background, and after")
        peak = memory(load, mounting, idle_mb, path)
        mounting.start()
        log = mounting.folder / "log"
        log.write_text("")
        load.check(mounting.url + path, largest["digest"].removeprefix("sha256:"), "*/*")
        wait_for(log, "are whole; 0 are not", mounting.process)
        say(f"pulls of a layer of {largest['size'] / 1e6:.0f} MB, mounted and stored, 8 connections and 1")
        speed = {}
        for connections in (8, 1):
            speed[connections] = rounds(
                [mounting, stored], asked.rounds,
                lambda target, _: load.get(target.url + path, target.pids(), connections, connections, 1.5),
            )
        mounting.stop()
        stored.stop()

        print(f"\n| bundle of {asked.size / 1e9:.1f} GB | measured | |\n|---|---|---|")
        ready, done = ([first[at] for first in firsts] for at in (0, 1))
        print(f"| mount: exec to the first manifest | median {statistics.median(ready) * 1e3:.0f} ms | |")
        goal(f"mount: exec to the first blob ({firsts[0][2] / 1e6:.1f} MB, whole), cold, <= 1 s",
             f"median {statistics.median(done) * 1e3:.0f} ms, most {max(done) * 1e3:.0f} ms", max(done) <= 1)
        print(f"| ingest of all of it | {ingest:.1f} s | |")
        if docker and docker[1]:
            print(f"| docker load + push: first of four images there | {docker[0]:.0f} s, {docker[0] / statistics.median(done):.0f}x the mount | |")
            if asked.docker_all:
                print(f"| docker load + push: all of it | {docker[1]:.0f} s, {docker[1] / ingest:.0f}x the ingest | |")
        elif docker:
            print(f"| docker load + push | not done after {asked.docker_limit} s | |")
        goal("memory above idle, <= 40 MB", f"{peak:.1f} MB", peak <= 40)
        for connections, results in speed.items():
            middle, least, most = ratio(results, "mount", "store", "mb_s")
            figures = f"{median(results, 'mount', 'mb_s'):,.0f} and {median(results, 'store', 'mb_s'):,.0f} MB/s"
            goal(f"pull x {connections}, mount / store, >= 0.95x", f"{middle:.2f} [{least:.2f}-{most:.2f}], {figures}", middle >= 0.95)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
