"""The servers that are compared. Each is started on loopback, on a port of its own, and ended again."""

import getpass
import os
import socket
import subprocess
import time

from measure import children


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Target:
    """One server. `command(port, tls)` is what a person would start; `folder` holds all it writes."""

    name = ""

    def __init__(self, folder, certificate, key):
        self.folder, self.certificate, self.key = folder, certificate, key
        self.process = self.url = None
        folder.mkdir(parents=True, exist_ok=True)

    def command(self, port, tls):
        raise NotImplementedError

    def start(self, tls=False):
        port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in self.command(port, tls)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} does not listen: {(self.folder / 'log').read_text(errors='replace')[-2000:]}")

    def pids(self):
        return children(self.process.pid)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def version(self):
        raise NotImplementedError


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip()


class Nginx(Target):
    """Static files under the URLs a registry gives them."""

    name = "nginx"
    #: Keeps descriptors of open files, which a registry's nginx may do as well because blobs never change.
    open_file_cache = ""

    def command(self, port, tls):
        root = self.folder.parent / "nginx-root"
        crypt = (
            f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key}; ssl_protocols TLSv1.3;"
            "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"
            if tls
            else ""
        )
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = self.folder / "nginx.conf"
        config.write_text(
            f"""daemon off; worker_processes 2; pid {self.folder}/pid; error_log stderr crit;
{f"user {getpass.getuser()};" if os.geteuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
    access_log off; server_tokens off; {temporary}
    sendfile on; tcp_nopush on; keepalive_timeout 75; keepalive_requests 1000000000; {self.open_file_cache}
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port}{" ssl" if tls else ""}; {crypt}
        root {root};
        location ~ /manifests/ {{ default_type application/vnd.oci.image.manifest.v1+json; }}
    }}
}}
"""
        )
        return ["nginx", "-p", self.folder, "-c", config]

    def version(self):
        lines = output("nginx", "-V").splitlines()
        return ", ".join(line for line in lines[:2])


class NginxOpenFileCache(Nginx):
    """Only for the small cells, where opening the file is most of the work."""

    name = "nginx+ofc"
    open_file_cache = "open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;"


class DockerRegistry(Target):
    """Debian's docker-registry, files on disk, descriptors cached in memory, logs quiet."""

    name = "docker-registry"

    def command(self, port, tls):
        crypt = f"\n  tls:\n    certificate: {self.certificate}\n    key: {self.key}" if tls else ""
        config = self.folder / "config.yml"
        config.write_text(
            f"""version: 0.1
log:
  accesslog:
    disabled: true
  level: error
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: {self.folder}/data
http:
  addr: 127.0.0.1:{port}{crypt}
"""
        )
        return ["docker-registry", "serve", config]

    def push(self, content):
        content.push_to(self.url)

    def version(self):
        return output("docker-registry", "--version")


class Airdock(Target):
    name = "airdock"
    program = None

    def command(self, port, tls):
        crypt = ["--tls-certificate", self.certificate, "--tls-key", self.key] if tls else []
        return [self.program, "serve", "--data", self.folder / "data", "--listen", f"127.0.0.1:{port}", *crypt]

    def push(self, content):
        content.push_to(self.url)

    def ingest(self, data, bundle):
        """By the command, which hands the work to a server that runs on the folder."""
        done = subprocess.run(
            [self.program, "ingest", "--data", data, "--progress", "never", bundle],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
        )
        if done.returncode != 0:
            raise RuntimeError(f"ingest of {bundle}: {done.stderr[-2000:]}")

    def version(self):
        return output(str(self.program), "--version")
