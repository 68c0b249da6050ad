"""What is read off the machine: the load client's figures, CPU seconds, peak memory, bytes on disk, ratios of rounds."""

import json
import os
import pathlib
import statistics
import subprocess
import threading
import time


def children(pid):
    """A process and everything it started."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += children(int(child))
    except OSError:
        pass  # it ended meanwhile
    return found


def cpu_seconds(pids):
    """User and system seconds of all threads of these processes so far."""
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _status_kb(pid, key):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def resident_mb(pids):
    return sum(_status_kb(pid, "VmRSS") for pid in pids) / 1024


def peak_mb(pids):
    """VmHWM, summed over processes: pages they share (the program itself) count once for each."""
    return sum(_status_kb(pid, "VmHWM") for pid in pids) / 1024


def reset_peak(pids):
    for pid in pids:
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def allocated(folder):
    """Bytes the file system has allocated below a folder, hard links once."""
    seen, total = set(), 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.lstat(os.path.join(path, name))
            except OSError:
                continue
            if (stat.st_dev, stat.st_ino) not in seen:
                seen.add((stat.st_dev, stat.st_ino))
                total += stat.st_blocks * 512
    return total


class Watch:
    """Samples peak memory of one process and the size of one folder until it is left.

    VmHWM only grows, so the last sample is at most one pause short of the truth.
    """

    def __init__(self, pid, folder, pause=0.02):
        self.pid, self.folder, self.pause = pid, folder, pause
        self.peak_mb = self.peak_bytes = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        rounds = 0
        while not self._end.wait(self.pause):
            self.peak_mb = max(self.peak_mb, peak_mb([self.pid]))
            if rounds % 10 == 0:
                self.peak_bytes = max(self.peak_bytes, allocated(self.folder))
            rounds += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        self.peak_bytes = max(self.peak_bytes, allocated(self.folder))


class Load:
    """The load client, built beside this file."""

    def __init__(self, here, certificate):
        self.program = here / "load" / "target" / "release" / "load"
        self.trust = ["--trust", str(certificate)]
        subprocess.run(
            ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", str(here / "load" / "Cargo.toml")],
            check=True,
        )

    def _run(self, arguments, seconds):
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=seconds)
        if done.returncode != 0:
            raise RuntimeError(f"load {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        figures = json.loads(done.stdout)
        if figures.get("errors"):
            raise RuntimeError(f"{figures['errors']} errors at {arguments[1]}: {done.stderr.strip()}")
        return figures

    def get(self, url, pids, connections, threads, seconds, accept="*/*"):
        """MB (10^6 bytes) and requests a second, CPU seconds of server and client for each GB."""
        figures = self._run(
            ["get", url, "--connections", str(connections), "--threads", str(threads), "--seconds", str(seconds),
             "--cpu-of", ",".join(map(str, pids)), "--accept", accept, *self.trust],
            seconds + 60,
        )
        gigabytes = max(figures["bytes"] / 1e9, 1e-9)
        return {
            "mb_s": figures["bytes"] / 1e6 / figures["seconds"],
            "req_s": figures["requests"] / figures["seconds"],
            "cpu_gb": figures["server_cpu"] / gigabytes,
            "cpu_us_req": figures["server_cpu"] * 1e6 / max(figures["requests"], 1),
            "client_cpu_gb": figures["client_cpu"] / gigabytes,
            "p50_us": figures["p50_us"],
            "p99_us": figures["p99_us"],
        }

    def check(self, url, sha256, accept="*/*"):
        self._run(["check", url, "--sha256", sha256, "--accept", accept, *self.trust], 120)

    def ready_ms(self, url, command, accept):
        """Milliseconds from exec of the command to its first 200; the command is ended again."""
        process = subprocess.Popen(
            [self.program, "ready", url, "--accept", accept, *self.trust, "--", *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(process.communicate()[1].strip())
        figures = json.loads(line)
        os.kill(figures["pid"], 15)
        process.communicate(timeout=60)
        return figures["milliseconds"]


def rounds(targets, count, measure):
    """Measures all targets once a round, in the reverse order every other round. {name: [figures of each round]}."""
    results = {target.name: [] for target in targets}
    for at in range(count):
        for target in targets if at % 2 == 0 else reversed(targets):
            results[target.name].append(measure(target, at))
    return results


def median(results, name, key):
    return statistics.median(figures[key] for figures in results[name])


def ratio(results, name, base, key):
    """Median, least and greatest of the ratios of each round: load from elsewhere hits both sides of a round alike."""
    each = [a[key] / b[key] if b[key] else float("inf") for a, b in zip(results[name], results[base])]
    return statistics.median(each), min(each), max(each)


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}, load {os.getloadavg()[0]:.1f}] {text}", flush=True)
