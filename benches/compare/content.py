"""What is served: four blobs that do not compress, a manifest that names them, and the ways to bring them in."""

import hashlib
import http.client
import json
import os
import random
import subprocess
import time
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIZES = {"500m": 500_000_000, "64m": 64_000_000, "4m": 4_000_000, "64k": 65_536}
REPOSITORY = "bench/blob"
PIECE = 1 << 20


def write_random(path, size, seed):
    """Writes `size` bytes that depend on `seed` alone; returns their digest."""
    source, digest = random.Random(seed), hashlib.sha256()
    with open(path, "wb") as file:
        while size:
            piece = source.randbytes(min(size, PIECE))
            digest.update(piece)
            file.write(piece)
            size -= len(piece)
    return "sha256:" + digest.hexdigest()


def certificate(folder):
    """A certificate for 127.0.0.1 that signs itself; returns certificate and key."""
    config, pem, key = folder / "openssl.cnf", folder / "cert.pem", folder / "key.pem"
    config.write_text(
        "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=127.0.0.1\n"
        "[v3]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n"
    )
    subprocess.run(
        ["openssl", "req", "-x509", "-config", config, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "30", "-out", pem, "-keyout", key],
        check=True, capture_output=True,
    )
    return pem, key


class Content:
    """The blobs as files under the URLs nginx serves them by, and the manifest."""

    def __init__(self, folder):
        self.root = folder / "nginx-root"
        blobs = self.root / "v2" / REPOSITORY / "blobs"
        manifests = self.root / "v2" / REPOSITORY / "manifests"
        blobs.mkdir(parents=True)
        manifests.mkdir()
        self.digests = {}
        for name, size in SIZES.items():
            unnamed = blobs / name
            self.digests[name] = write_random(unnamed, size, seed=name)
            unnamed.rename(blobs / self.digests[name])
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        self.digests["config"] = "sha256:" + hashlib.sha256(config).hexdigest()
        (blobs / self.digests["config"]).write_bytes(config)
        layers = [self._descriptor("application/vnd.oci.image.layer.v1.tar", name, size) for name, size in SIZES.items()]
        self.manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor("application/vnd.oci.image.config.v1+json", "config", len(config)),
            "layers": layers,
        }).encode()
        (manifests / "v1").write_bytes(self.manifest)
        self.files = {name: blobs / digest for name, digest in self.digests.items()}

    def _descriptor(self, media_type, name, size):
        return {"mediaType": media_type, "digest": self.digests[name], "size": size}

    def path(self, name):
        """`manifest` or a blob's name; returns URL path, Accept, and sha256."""
        if name == "manifest":
            return f"/v2/{REPOSITORY}/manifests/v1", MANIFEST, hashlib.sha256(self.manifest).hexdigest()
        digest = self.digests[name]
        return f"/v2/{REPOSITORY}/blobs/{digest}", "*/*", digest.removeprefix("sha256:")

    def push_to(self, url):
        with Registry(url) as registry:
            for name, digest in self.digests.items():
                registry.push_blob(REPOSITORY, self.files[name], digest)
            registry.put_manifest(REPOSITORY, "v1", self.manifest)


class Registry:
    """As much of a pushing client as is needed, over plain HTTP; bodies go out through sendfile."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=120)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def _request(self, method, target, expected, file=None, body=b"", media_type="application/octet-stream"):
        length = os.fstat(file.fileno()).st_size if file else len(body)
        self.connection.putrequest(method, target)
        self.connection.putheader("Content-Type", media_type)
        self.connection.putheader("Content-Length", str(length))
        self.connection.endheaders()
        if file:
            self.connection.sock.sendfile(file)
        elif body:
            self.connection.send(body)
        answer = self.connection.getresponse()
        text = answer.read(65536)
        if answer.status != expected:
            raise RuntimeError(f"{method} {target}: {answer.status}, not {expected}: {text[:300]!r}")
        location = urllib.parse.urlsplit(answer.headers.get("Location", ""))
        return location.path, location.query

    def push_blob(self, repository, path, digest, in_parts=False):
        """POST and PUT, or with `in_parts` POST, PATCH and an empty PUT as docker and podman do; returns seconds."""
        start = time.monotonic()
        target, query = self._request("POST", f"/v2/{repository}/blobs/uploads/", 202)
        with open(path, "rb") as file:
            if in_parts:
                target, query = self._request("PATCH", f"{target}?{query}" if query else target, 202, file=file)
            closing = "&".join(part for part in (query, "digest=" + digest) if part)
            self._request("PUT", f"{target}?{closing}", 201, file=None if in_parts else file)
        return time.monotonic() - start

    def put_manifest(self, repository, tag, body):
        self._request("PUT", f"/v2/{repository}/manifests/{tag}", 201, body=body, media_type=MANIFEST)
