"""Ingest of a generated bundle against reading and hashing the same files with one thread."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tarfile
import time
import urllib.request

import make_bundle
from measure import Watch, allocated, resident_mb, say

PIECE = 256 * 1024
MEMORY = pathlib.Path("/dev/shm")


def hash_files(files):
    """Seconds to read the files and hash them, one thread, one reused buffer that stays in the processor's cache."""
    buffer, start = bytearray(PIECE), time.monotonic()
    view = memoryview(buffer)
    for path in files:
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:
            while got := file.readinto(buffer):
                digest.update(view[:got])
    return time.monotonic() - start


def written_to_disk(folder, size):
    """MB/s of `dd conv=fsync`: what the disk below the data folder takes at best."""
    target = folder / "dd.bin"
    start = time.monotonic()
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={target}", "bs=1M", f"count={size // 1_000_000}", "conv=fsync"],
        check=True, capture_output=True,
    )
    seconds = time.monotonic() - start
    target.unlink()
    return size / 1e6 / seconds


def unique_bytes(bundle):
    """Bytes of the different blobs in the bundle: what a store that keeps each once must hold."""
    sizes = {}
    for archive in (bundle / "images").iterdir():
        with tarfile.open(archive) as members:
            for member in members:
                digest = member.name.removesuffix("/layer.tar").removesuffix(".json").removeprefix("blobs/sha256/")
                if len(digest) == 64:
                    sizes[digest] = member.size
    return sum(sizes.values())


def make_room(folder, size):
    """Has the kernel give up as much of its page cache as the ingest will need, so that the ingest need not wait for it."""
    scratch = folder / "room.bin"
    with open(scratch, "wb") as file:
        for _ in range(size // PIECE):
            file.write(bytes(PIECE))
    scratch.unlink()


def once(run, data, arguments, feed=None):
    """One ingest into an empty folder by a process of its own; the output of `feed` goes to its standard input."""
    shutil.rmtree(data, ignore_errors=True)
    if data.parent.is_relative_to(MEMORY):
        make_room(data.parent, run.bundle_bytes)
    command = [run.airdock.program, "ingest", "--data", data, "--progress", "never", *arguments]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(run.work / "ingest.log", "ab"))
        source = None
        if feed:
            source = stack.enter_context(subprocess.Popen(feed, stdout=subprocess.PIPE))
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=source.stdout if source else subprocess.DEVNULL, stdout=log, stderr=log)
        if source:
            source.stdout.close()
        with Watch(process.pid, data) as watch:
            code = process.wait(timeout=600)
        seconds = time.monotonic() - start
    if code != 0:
        raise RuntimeError(f"ingest ended with {code}: {(run.work / 'ingest.log').read_text()[-2000:]}")
    return {
        "seconds": seconds, "mb_s": run.bundle_bytes / 1e6 / seconds, "peak_mb": watch.peak_mb,
        "peak_bytes": watch.peak_bytes, "kept_bytes": allocated(data),
    }


def through_server(run, data, bundle):
    """The same while a server runs on the folder and does the work; peak memory is the server's, above its idle."""
    shutil.rmtree(data, ignore_errors=True)
    server = type(run.airdock)(data.parent / "ingest-server", run.certificate, run.key)
    data = server.folder / "data"
    server.start()
    try:
        idle = resident_mb(server.pids())
        start = time.monotonic()
        with Watch(server.process.pid, data) as watch:
            server.ingest(data, bundle)
        seconds = time.monotonic() - start
        verify(run, server)
    finally:
        server.stop()
    shutil.rmtree(server.folder)
    return idle, {"seconds": seconds, "mb_s": run.bundle_bytes / 1e6 / seconds, "peak_mb": watch.peak_mb}


def verify(run, server):
    """Each image is there under its internal name, with layers that hash right."""
    for name, repository, _ in make_bundle.IMAGES:
        internal = "zenml/" + repository.rsplit("/", 1)[1]
        request = urllib.request.Request(f"{server.url}/v2/{internal}/manifests/{make_bundle.TAG}")
        for kind in ("oci.image.manifest.v1", "docker.distribution.manifest.v2"):
            request.add_header("Accept", f"application/vnd.{kind}+json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            manifest = json.loads(answer.read())
        for layer in manifest["layers"]:
            digest = layer["digest"]
            run.load.check(f"{server.url}/v2/{internal}/blobs/{digest}", digest.removeprefix("sha256:"))
    say("every layer of the ingested bundle verified by sha256")


def ingest(run):
    report, size = run.report, run.bundle_bytes
    say(f"making a bundle of {size / 1e9:g} GB")
    bundle = make_bundle.make_bundle(run.work / "bundle", size)
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    unique = unique_bytes(bundle)
    packed, tar = run.work / "bundle.tar.zst", ["tar", "-cf", "-", "-C", bundle.parent, bundle.name]
    with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
        subprocess.run(["zstd", "-q", "-1", "-o", packed], stdin=archive.stdout, check=True)
    os.sync()
    disk = written_to_disk(run.work, min(size, 1_000_000_000))
    hash_files(files)  # brings them into the page cache

    on_memory = MEMORY / f"airdock-compare-{os.getpid()}"
    try:
        if not run.airdock:
            say(f"hashing alone: {size / 1e6 / hash_files(files):.0f} MB/s")
            return
        run.airdock.start()
        idle = resident_mb(run.airdock.pids())
        run.airdock.stop()
        free = os.statvfs(MEMORY).f_bavail * os.statvfs(MEMORY).f_frsize
        places = [("tmpfs", on_memory)] if free > 2 * size else []
        for place, folder in [*places, ("disk", run.work)]:
            folder.mkdir(exist_ok=True)
            data = folder / "ingest-data"
            variants = [("folder", [bundle], None), ("stdin", ["-"], tar), (".tar.zst", [packed], None)]
            for variant, arguments, feed in variants:
                many = variant == "folder"
                cell = f"ingest {variant} to {place}"
                say(cell)
                results = {"hash": [], "airdock": []}
                for at in range(max(3, run.rounds // 2) if many and place == "tmpfs" else 2 if many else 1):
                    steps = [
                        lambda: results["hash"].append({"mb_s": size / 1e6 / hash_files(files)}),
                        lambda: results["airdock"].append(once(run, data, arguments, feed)),
                    ]
                    for step in steps if at % 2 == 0 else reversed(steps):
                        step()
                report.figure(cell, results, ["mb_s"], base="hash")
                # To a disk slower than the hash nothing can be shown but that the disk is the limit.
                if place == "tmpfs" and many:
                    report.ratio_goal(cell, "MB/s", "hash", "mb_s", ">=", 0.8)
                else:
                    report.note(cell, "MB/s", f"{statistics.median(o['mb_s'] for o in results['airdock']):.0f}")
                worst = {key: max(one[key] for one in results["airdock"]) for key in ("peak_mb", "peak_bytes", "kept_bytes")}
                report.value_goal(cell, "peak memory above idle", worst["peak_mb"] - idle, "MB", "<=", 64)
                report.ratio_of(cell, "most disk used / unique blobs", worst["peak_bytes"] / unique, "<=", 1.02)
            if place == "disk":
                report.note("ingest to disk", "dd conv=fsync, MB/s", f"{disk:.0f}")
            idle_server, figures = through_server(run, data, bundle)
            cell = f"ingest by the server to {place}"
            report.figures[cell] = {"airdock": [figures]}
            report.note(cell, "MB/s", f"{figures['mb_s']:.0f}")
            report.value_goal(cell, "peak memory above idle", figures["peak_mb"] - idle_server, "MB", "<=", 64)
            shutil.rmtree(data, ignore_errors=True)
    finally:
        shutil.rmtree(on_memory, ignore_errors=True)
