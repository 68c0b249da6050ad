#!/usr/bin/env python3
"""What grows with the content, and how fast: the same measured at 1x, 2x and 4x.

    benches/growth/run.py                      5,000 tags in one repository, 500 repositories, 2,500 referrers, and 2x, 4x
    benches/growth/run.py --base 500           the same, ten times smaller
    benches/growth/run.py --program OLD        another program

Needs the release binary (`cargo build --release`). Fills a registry over HTTP at each size, measures it, and removes it. Data
folders are below `--work`, by default in memory (/dev/shm), so that the disk's syncs do not decide. The last column is the slope of
a line through the three sizes in a log-log plot: 0 is constant, 1 is linear. See benches/README.md.
"""

import argparse
import concurrent.futures
import hashlib
import http.client
import io
import json
import math
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "compare"))

from measure import peak_mb, resident_mb, say  # noqa: E402
from targets import free_port  # noqa: E402

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
FACTORS = (1, 2, 4)
#: Threads that push while a registry is filled.
PUSHERS = 8
#: How often a short answer is asked for.
TIMES = 21
#: Clients that ask for a page of referrers at once.
ASKERS = 128


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def manifest(number, subject=None):
    """An image without layers, of a content of its own."""
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(CONFIG), "size": len(CONFIG)},
        "layers": [],
        "annotations": {"org.opencontainers.image.version": str(number), "org.opencontainers.image.vendor": "growth"},
    }
    if subject:
        content["artifactType"] = "application/vnd.example.signature"
        content["subject"] = {"mediaType": MANIFEST, "digest": digest(subject), "size": len(subject)}
    return json.dumps(content).encode()


class Server:
    """An airdock on a data folder, and one connection to it for each thread."""

    def __init__(self, program, data):
        self.program, self.data, self.process, self.local = program, data, None, None

    def start(self):
        """Starts it; returns when it was started."""
        self.port, self.local = free_port(), threading.local()
        began = time.monotonic()
        self.process = subprocess.Popen(
            [self.program, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        return began

    def until(self, began, path):
        """Seconds since `began` until `path` is answered with 200."""
        while time.monotonic() - began < 600:
            try:
                if self.ask("GET", path)[0] == 200:
                    return time.monotonic() - began
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError("airdock ended") from None
            time.sleep(0.001)
        raise RuntimeError(f"{path} is not answered")

    def ask(self, method, path, body=None, kind=None):
        for last in (False, True):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
            try:
                connection.request(method, path, body, {"Content-Type": kind} if kind else {})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.local.connection = None
                if last or isinstance(error, ConnectionRefusedError):
                    raise OSError(str(error)) from error

    def expect(self, status, *asked):
        found, body = self.ask(*asked)
        if found != status:
            raise RuntimeError(f"{asked[:2]}: {found} {body[:300]!r}")
        return body

    def put(self, repository, reference, content):
        self.expect(201, "PUT", f"/v2/{repository}/manifests/{reference}", content, MANIFEST)

    def config(self, repository):
        self.expect(201, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest(CONFIG)}", CONFIG, "application/octet-stream")

    def command(self, *arguments):
        """Seconds that a command takes, which the server runs."""
        began = time.monotonic()
        subprocess.run([self.program, *arguments, "--data", self.data], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.monotonic() - began

    def end(self, kill=False):
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(timeout=600)


def timed(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def typical(work):
    return statistics.median(timed(work) for _ in range(TIMES))


def each(work, items):
    """Does it for all items with some threads at once; returns how many a second."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(PUSHERS) as pool:
        for _ in pool.map(work, items):
            pass
    return len(items) / (time.monotonic() - began)


def save(path, names, layer):
    """A `docker save` of one image under many names."""
    config = json.loads(CONFIG)
    config["rootfs"]["diff_ids"] = [digest(layer)]
    config = json.dumps(config).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    listed = [{"Config": name, "RepoTags": names, "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for entry, content in ((name, config), ("layer.tar", layer), ("manifest.json", json.dumps(listed).encode())):
            info = tarfile.TarInfo(entry)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def layer(text):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(text)
        tar.addfile(info)
    return buffer.getvalue()


class Elsewhere:
    """Pushes to a repository that nothing else concerns until it is left; `longest` is the longest push in seconds."""

    def __init__(self, server):
        self.server, self.over, self.longest = server, threading.Event(), 0.0
        server.config("elsewhere")
        self.thread = threading.Thread(target=self.push)

    def push(self):
        number = 0
        while not self.over.is_set():
            number += 1
            self.longest = max(self.longest, timed(lambda: self.server.put("elsewhere", "latest", manifest(f"elsewhere {number}"))))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def measure(program, work, tags):
    """Everything at one size, by the name of the row."""
    repositories, referrers, released = max(tags // 10, 1), max(tags // 2, 1), max(tags * 2 // 5, 1)
    data = pathlib.Path(tempfile.mkdtemp(dir=work)) / "data"
    server, found = Server(program, data), {}
    try:
        server.start()
        server.until(time.monotonic(), "/v2/")
        server.config("many")
        found["push, manifests a second"] = each(lambda at: server.put("many", f"v{at}", manifest(at)), range(tags))
        each(lambda at: (server.config(f"r/{at}"), server.put(f"r/{at}", "1", manifest(f"r {at}"))), range(repositories))
        subject = manifest(0)
        each(lambda at: server.put("many", digest(manifest(at, subject)), manifest(at, subject)), range(referrers))
        found["memory after the pushes, MiB"] = resident_mb([server.process.pid])

        server.end()
        began = server.start()
        found["first list after a stop, ms"] = server.until(began, "/v2/many/tags/list?n=100") * 1000
        server.end(kill=True)
        began = server.start()
        found["first manifest after a kill, ms"] = server.until(began, "/v2/many/manifests/v7") * 1000
        found["first list after a kill, s"] = server.until(began, "/v2/many/tags/list?n=100")
        found["memory after a rebuild, peak, MiB"] = peak_mb([server.process.pid])
        found["`rebuild`, s"] = server.command("rebuild")
        found["`ls`, s"] = server.command("ls", "--json")
        found["`ls many:v7`, ms"] = statistics.median(server.command("ls", "many:v7") for _ in range(5)) * 1000
        found["memory after `rebuild` and `ls`, peak, MiB"] = peak_mb([server.process.pid])
        found["page of 100 tags, ms"] = typical(lambda: server.expect(200, "GET", f"/v2/many/tags/list?n=100&last=v{tags // 2}")) * 1000
        found["page of 100 repositories, ms"] = typical(lambda: server.expect(200, "GET", "/v2/_catalog?n=100&last=r/4")) * 1000
        asked = f"/v2/many/referrers/{digest(subject)}"
        found["page of referrers, ms"] = typical(lambda: server.expect(200, "GET", asked)) * 1000
        found["push of a manifest, ms"] = typical(lambda: server.put("many", "new", manifest(time.monotonic_ns()))) * 1000

        def delete():
            content = manifest(time.monotonic_ns())
            server.put("many", digest(content), content)
            deletes.append(timed(lambda: server.expect(202, "DELETE", f"/v2/many/manifests/{digest(content)}")))

        deletes = []
        for _ in range(TIMES):
            delete()
        found["DELETE by digest, ms"] = statistics.median(deletes) * 1000
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(ASKERS) as pool:
            for _ in pool.map(lambda _: server.expect(200, "GET", asked), range(4 * ASKERS)):
                pass
        found[f"referrers, answers a second to {ASKERS} clients"] = 4 * ASKERS / (time.monotonic() - began)
        found["memory after those, peak, MiB"] = peak_mb([server.process.pid])

        for version in ("1", "2"):
            save(data.parent / f"{version}.tar", [f"released/{at}:latest" for at in range(released)], layer(version))
        server.command("ingest", str(data.parent / "1.tar"))
        with Elsewhere(server) as elsewhere:
            found["release of two fifths as many repositories, s"] = server.command("ingest", str(data.parent / "2.tar"))
        found["longest push elsewhere meanwhile, ms"] = elsewhere.longest * 1000
        with Elsewhere(server) as elsewhere:
            found["rollback of it, s"] = server.command("release", "rollback")
        found["longest push elsewhere during the rollback, ms"] = elsewhere.longest * 1000
        found["memory at the end, peak, MiB"] = peak_mb([server.process.pid])
        server.end()
        size = sum(path.stat().st_size for path in (data / "metadata").rglob("*") if path.is_file())
        found["the index on disk, MiB"] = size / 2**20
        return found
    finally:
        if server.process and server.process.poll() is None:
            server.end(kill=True)
        shutil.rmtree(data.parent, ignore_errors=True)


def slope(values):
    """Of the line through the logarithms, by least squares."""
    x, y = [math.log(factor) for factor in FACTORS], [math.log(max(value, 1e-9)) for value in values]
    middle, level = statistics.mean(x), statistics.mean(y)
    return sum((a - middle) * (b - level) for a, b in zip(x, y)) / sum((a - middle) ** 2 for a in x)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/airdock")
    parser.add_argument("--base", type=int, default=5000, help="tags in one repository at 1x")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/dev/shm"))
    parser.add_argument("--json", type=pathlib.Path, help="writes the measured values here")
    arguments = parser.parse_args()
    measured = []
    for factor in FACTORS:
        say(f"{factor}x: {factor * arguments.base} tags")
        measured.append(measure(arguments.program.resolve(), arguments.work, factor * arguments.base))
        if arguments.json:
            arguments.json.write_text(json.dumps(measured, indent=1))
    print("| | " + " | ".join(f"{factor}x" for factor in FACTORS) + " | slope |")
    print("|---|" + "---|" * (len(FACTORS) + 1))
    for row in measured[0]:
        values = [found[row] for found in measured]
        print(f"| {row} | " + " | ".join(f"{value:.3g}" if value < 1000 else f"{value:.0f}" for value in values) + f" | {slope(values):.2f} |")


if __name__ == "__main__":
    main()
