#!/usr/bin/env python3
"""Ingest of each dialect against reading and hashing the same bytes with one thread.

    dialects.py [--size 1G] [--packed 256M] [--rounds 3] [--only NAME]... [--json FILE]

One image is laid out in every way tools do it, its layers of hexadecimal digits: half of it compresses away, as of a
real one. Each dialect is ingested from the page cache into an empty folder in memory by a process of its own; before or
after, in turn, the same files are read and hashed by one thread. What is compressed, of the smaller size, is held
against `gzip -dc`, `zstd -dc`, `xz -dc` or `bzip2 -dc` into the same hash. Sizes and speeds are of what is unpacked.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
import types

import ingest
import report
from make_bundle import BLOCK, CONFIG, LAYER, MANIFEST, PIECE, add_bytes, as_json, bytes_of
from measure import resident_mb, say

HERE = pathlib.Path(__file__).resolve().parent
NAME, TAG = "registry.example/bench/image", "1"
REFERENCE = f"{NAME}:{TAG}"
INDEX = "application/vnd.oci.image.index.v1+json"
#: How each is made, and undone again; levels at which making them does not take all day.
PACKERS = {
    "gzip": (["gzip", "-1"], ["gzip", "-dc"]),
    "zstd": (["zstd", "-q", "-3"], ["zstd", "-q", "-dc"]),
    "xz": (["xz", "-1"], ["xz", "-dc"]),
    "bzip2": (["bzip2", "-1"], ["bzip2", "-dc"]),
}


class Image:
    """Layers, config and manifest as files named by their digests."""

    def __init__(self, folder, size, gzipped=False):
        folder.mkdir()
        self.folder, self.layers, self.bytes = folder, [], 0
        plain = [self._layer(seed, size // 5) for seed in range(4)]
        plain += [self._layer(seed, size // 60) for seed in range(4, 16)]
        config = as_json({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest, _ in plain]},
        })
        self.config = self._put(config)
        self.layers = [self._gzip(*layer) for layer in plain] if gzipped else plain
        kind = LAYER + "+gzip" if gzipped else LAYER
        self.manifest = self._put(as_json({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": f"sha256:{self.config}", "size": len(config)},
            "layers": [{"mediaType": kind, "digest": f"sha256:{d}", "size": size} for d, size in self.layers],
        }))

    def _layer(self, seed, size):
        header = tarfile.TarInfo(f"opt/{seed}.txt")
        header.size = size - size % 2
        scratch, digest, source = self.folder / "scratch", hashlib.sha256(), random.Random(seed)
        with open(scratch, "wb") as file:
            def write(piece):
                file.write(piece)
                digest.update(piece)
            write(header.tobuf(tarfile.USTAR_FORMAT))
            for at in range(0, header.size, PIECE):
                write(source.randbytes(min(PIECE, header.size - at) // 2).hex().encode())
            write(bytes(-header.size % BLOCK + 2 * BLOCK))
            size = file.tell()
        scratch.rename(self.folder / digest.hexdigest())
        self.bytes += size
        return digest.hexdigest(), size

    def _gzip(self, digest, _size):
        packed = subprocess.run(["gzip", "-1", "-n", "-c", self.folder / digest], check=True, stdout=subprocess.PIPE).stdout
        (self.folder / digest).unlink()
        return self._put(packed), len(packed)

    def _put(self, content):
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / digest).write_bytes(content)
        return digest

    def blobs(self):
        return [digest for digest, _ in self.layers] + [self.config, self.manifest]

    def path(self, digest):
        return self.folder / digest

    def descriptor(self):
        size = self.path(self.manifest).stat().st_size
        names = {"io.containerd.image.name": REFERENCE, "org.opencontainers.image.ref.name": TAG}
        return {"mediaType": MANIFEST, "digest": f"sha256:{self.manifest}", "size": size, "annotations": names}

    def link(self, digest, target):
        """The same file under another name: a folder costs nothing."""
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(self.path(digest), target)


def save(image, path, layer_of, config_of, layout=False):
    """What `docker save` and those like it write."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT, copybufsize=PIECE) as archive:
        for digest, _ in image.layers:
            archive.add(image.path(digest), layer_of(digest))
        archive.add(image.path(image.config), config_of(image.config))
        if layout:
            archive.add(image.path(image.manifest), f"blobs/sha256/{image.manifest}")
            add_bytes(archive, "oci-layout", as_json({"imageLayoutVersion": "1.0.0"}))
            add_bytes(archive, "index.json", as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image.descriptor()]}))
        add_bytes(archive, "manifest.json", as_json([{
            "Config": config_of(image.config), "RepoTags": [REFERENCE], "Layers": [layer_of(d) for d, _ in image.layers],
        }]))
    return path


def docker_24(image, path):
    return save(image, path, "{}/layer.tar".format, "{}.json".format)


def docker_25(image, path):
    return save(image, path, "blobs/sha256/{}".format, "blobs/sha256/{}".format, layout=True)


def crane(image, path):
    """go-containerregistry's tarball, which kaniko writes, too: gzip layers, and no manifest."""
    return save(image, path, "{}.tar.gz".format, "sha256:{}".format)


def layout(image, path):
    for digest in image.blobs():
        image.link(digest, path / "blobs" / "sha256" / digest)
    (path / "oci-layout").write_bytes(as_json({"imageLayoutVersion": "1.0.0"}))
    (path / "index.json").write_bytes(as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image.descriptor()]}))
    return path


def oci_archive(image, path):
    folder = layout(image, path.with_suffix(".folder"))
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT, copybufsize=PIECE) as archive:
        archive.add(folder, ".")
    shutil.rmtree(folder)
    return path


def directory(image, path):
    """skopeo's `dir:` in a folder that says its name."""
    folder = path / REFERENCE
    for digest in image.blobs():
        image.link(digest, folder / ("manifest.json" if digest == image.manifest else digest))
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    return path


def storage(image, path):
    """registry:2's."""
    root = path / "docker" / "registry" / "v2"
    for digest in image.blobs():
        image.link(digest, root / "blobs" / "sha256" / digest[:2] / digest / "data")
    manifests = root / "repositories" / NAME / "_manifests"
    for folder in (manifests / "tags" / TAG / "current", manifests / "revisions" / "sha256" / image.manifest):
        folder.mkdir(parents=True)
        (folder / "link").write_text(f"sha256:{image.manifest}")
    return path


def hash_unpacked(commands):
    """Seconds to unpack with the tool and hash what comes, in one thread beside it."""
    buffer, start = bytearray(ingest.PIECE), time.monotonic()
    view = memoryview(buffer)
    for command in commands:
        digest = hashlib.sha256()
        with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
            while got := process.stdout.readinto(buffer):
                digest.update(view[:got])
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}")
    return time.monotonic() - start


def idle_mb(program, folder):
    """Resident memory of a server with nothing to do."""
    command = [program, "serve", "--data", folder, "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        server.stdout.readline()
        return resident_mb([server.pid])
    finally:
        server.terminate()
        server.wait()


def files_of(path):
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def dialects(work, size, packed_size):
    """Name, what to ingest, its image, and how to read it all, one after the other: the last one is gone by then."""
    image = Image(work / "image", size)
    for name, make in [
        ("docker save, before 25", docker_24), ("docker save, 25 and later", docker_25), ("OCI layout, folder", layout),
        ("OCI archive", oci_archive), ("skopeo dir:", directory), ("registry:2 storage", storage),
    ]:
        path = make(image, work / "dialect.tar" if make in (docker_24, docker_25, oci_archive) else work / "dialect")
        yield name, path, image, lambda path=path: ingest.hash_files(files_of(path))
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(image.folder)
    image = Image(work / "gzipped", packed_size, gzipped=True)
    layers = [["gzip", "-dc", image.path(digest)] for digest, _ in image.layers]
    yield "crane or kaniko, gzip layers", crane(image, work / "dialect.tar"), image, lambda: hash_unpacked(layers)
    image = Image(work / "packed", packed_size)
    docker_25(image, work / "docker.tar")
    for name, (pack, unpack) in PACKERS.items():
        path = work / "docker.tar.packed"
        with open(work / "docker.tar", "rb") as source, open(path, "wb") as target:
            subprocess.run(pack, stdin=source, stdout=target, check=True)
        yield f"docker save in {name}", path, image, lambda unpack=unpack: hash_unpacked([[*unpack, path]])


def measure(run, cell, path, image, reference, rounds, idle, out):
    data = run.memory / "data"
    run.bundle_bytes = image.bytes
    results = {"reference": [], "airdock": []}
    for file in files_of(path):  # into the page cache
        file.read_bytes() if file.stat().st_size < PIECE else ingest.hash_files([file])

    def airdock():
        results["airdock"].append(ingest.once(run, data, [path]))
        there = set(os.listdir(data / "blobs" / "sha256"))
        if lost := {digest for digest, _ in image.layers} - there:
            raise RuntimeError(f"{cell}: layers {lost} did not go in")

    steps = [lambda: results["reference"].append({"mb_s": image.bytes / 1e6 / reference()}), airdock]
    for at in range(rounds):
        for step in steps if at % 2 == 0 else reversed(steps):
            step()
    out.figure(cell, results, ["mb_s"], base="reference")
    out.ratio_goal(cell, "MB/s", "reference", "mb_s", ">=", 0.8)
    out.note(cell, "MB/s", f"{statistics.median(one['mb_s'] for one in results['airdock']):.0f}")
    out.value_goal(cell, "peak memory above idle", max(one["peak_mb"] for one in results["airdock"]) - idle, "MB", "<=", 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=bytes_of, default=bytes_of("1G"))
    parser.add_argument("--packed", type=bytes_of, default=bytes_of("256M"), help="the size of what is compressed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="only dialects with this in their name; may be repeated")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--airdock", type=pathlib.Path, default=HERE.parent.parent / "target" / "release" / "airdock")
    parser.add_argument("--work", type=pathlib.Path, default=HERE.parent.parent / "target")
    asked = parser.parse_args()
    run = types.SimpleNamespace(
        airdock=types.SimpleNamespace(program=asked.airdock.resolve()),
        work=asked.work.resolve() / f"dialects-{os.getpid()}", memory=ingest.MEMORY / f"airdock-dialects-{os.getpid()}",
    )
    out, load = report.Report(), [os.getloadavg()]
    try:
        run.work.mkdir(parents=True)
        run.memory.mkdir()
        for key, value in report.machine().items():
            print(f"{key}: {value}")
        idle = idle_mb(run.airdock.program, run.memory / "idle")
        for cell, path, image, reference in dialects(run.work, asked.size, asked.packed):
            if asked.only and not any(text in cell for text in asked.only):
                continue
            say(cell)
            measure(run, cell, path, image, reference, asked.rounds, idle, out)
            load.append(os.getloadavg())
        out.print_goals()
        print("load average: " + ", ".join(f"{one[0]:.1f}" for one in load))
        if asked.json:
            asked.json.write_text(json.dumps({"load": load, "goals": out.goals, "figures": out.figures}, indent=1))
    finally:
        shutil.rmtree(run.work, ignore_errors=True)
        shutil.rmtree(run.memory, ignore_errors=True)
    return 1 if any(goal["met"] is False for goal in out.goals) else 0


if __name__ == "__main__":
    sys.exit(main())
