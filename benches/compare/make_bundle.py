#!/usr/bin/env python3
"""Makes a bundle of any size in the documented layout, for measuring an ingest.

    make_bundle.py FOLDER [--size 4G]     FOLDER/zenml-air-gapped-bundle/{images,charts,manifest.txt}
    make_bundle.py FILE.tar --tags 10000  one archive: one tiny image under that many tags, for measuring the start

Four images in four archives as `docker save` writes them: two as Docker before 25 does (`<id>/layer.tar`), two as
Docker 25 and later does (`blobs/sha256/...` with an OCI index). Each holds the same base layer, a quarter of its size,
as a real set of images on one distribution does. Layers are plain tars of bytes that do not compress. Same arguments,
same bytes.
"""

import argparse
import hashlib
import io
import json
import pathlib
import random
import tarfile

IMAGES = [
    ("zenml-pro-api", "715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api", False),
    ("zenml-pro-dashboard", "715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-dashboard", True),
    ("zenml-pro-server", "715803424590.dkr.ecr.eu-central-1.amazonaws.com/zenml-pro-server", False),
    ("zenml-client", "zenmldocker/zenml", True),
]
TAG = "0.93.2"
SMALL_LAYERS = 12
PIECE = 1 << 20
BLOCK = 512
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Layer:
    """A layer as it is read: a tar with one file of `size` random bytes. Its digest is known at the end."""

    def __init__(self, seed, size):
        header = tarfile.TarInfo(f"opt/{seed}.bin")
        header.size = size
        head, tail = header.tobuf(tarfile.USTAR_FORMAT), bytes(-size % BLOCK + 2 * BLOCK)
        self.size = len(head) + size + len(tail)
        self._hash = hashlib.sha256()
        self._pieces = self._make(head, random.Random(seed), size, tail)
        self._rest = b""

    @staticmethod
    def _make(head, source, size, tail):
        yield head
        while size:
            yield source.randbytes(min(PIECE, size))
            size -= min(PIECE, size)
        yield tail

    def read(self, wanted):
        while len(self._rest) < wanted:
            self._rest += next(self._pieces)
        piece, self._rest = self._rest[:wanted], self._rest[wanted:]
        self._hash.update(piece)
        return piece

    def digest(self):
        return self._hash.hexdigest()


def add_layer(archive, seed, size, name_of):
    """Streams a layer into the archive, then writes its header again with the name its digest gives."""
    layer = Layer(seed, size)
    header = tarfile.TarInfo(name_of("0" * 64))
    header.size = layer.size
    at = archive.offset
    archive.addfile(header, layer)
    digest = layer.digest()
    header.name = name_of(digest)
    end = archive.fileobj.tell()
    archive.fileobj.seek(at)
    archive.fileobj.write(header.tobuf(tarfile.USTAR_FORMAT))
    archive.fileobj.seek(end)
    return digest, layer.size


def add_bytes(archive, name, content):
    header = tarfile.TarInfo(name)
    header.size = len(content)
    archive.addfile(header, io.BytesIO(content))


def as_json(value):
    return json.dumps(value, sort_keys=True).encode()


def write_image(path, tags, layers, modern):
    """One `docker save` archive; `layers` are pairs of seed and size."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT, copybufsize=PIECE) as archive:
        name_of = "blobs/sha256/{}".format if modern else "{}/layer.tar".format
        written = [add_layer(archive, seed, size, name_of) for seed, size in layers]
        config = as_json({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest, _ in written]},
            "history": [{"created_by": f"make_bundle.py {seed}"} for seed, _ in layers],
        })
        config_digest = hashlib.sha256(config).hexdigest()
        config_name = f"blobs/sha256/{config_digest}" if modern else f"{config_digest}.json"
        add_bytes(archive, config_name, config)
        if modern:
            manifest = as_json({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": f"sha256:{config_digest}", "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": f"sha256:{d}", "size": size} for d, size in written],
            })
            digest = hashlib.sha256(manifest).hexdigest()
            add_bytes(archive, f"blobs/sha256/{digest}", manifest)
            descriptors = [
                {
                    "mediaType": MANIFEST,
                    "digest": f"sha256:{digest}",
                    "size": len(manifest),
                    "annotations": {
                        "io.containerd.image.name": tag if "." in tag.split("/")[0] else f"docker.io/{tag}",
                        "org.opencontainers.image.ref.name": tag.rsplit(":", 1)[1],
                    },
                }
                for tag in tags
            ]
            add_bytes(archive, "index.json", as_json({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": descriptors,
            }))
            add_bytes(archive, "oci-layout", as_json({"imageLayoutVersion": "1.0.0"}))
        add_bytes(archive, "manifest.json", as_json(
            [{"Config": config_name, "RepoTags": tags, "Layers": [name_of(digest) for digest, _ in written]}]
        ))


def write_chart(path, name):
    with tarfile.open(path, "w:gz", format=tarfile.USTAR_FORMAT) as archive:
        chart = f"apiVersion: v2\nname: {name}\nversion: {TAG}\ndescription: Stand-in for measuring\n"
        add_bytes(archive, f"{name}/Chart.yaml", chart.encode())
        add_bytes(archive, f"{name}/values.yaml", b"{}\n")


def make_bundle(folder, size):
    """Writes the bundle; returns its path. The archives together are `size` bytes, give or take a per mille."""
    bundle = pathlib.Path(folder) / "zenml-air-gapped-bundle"
    (bundle / "images").mkdir(parents=True)
    (bundle / "charts").mkdir()
    share = size // len(IMAGES)
    base, small = share // 4, share // 400
    large = (share - base - SMALL_LAYERS * small) // 2
    for name, repository, modern in IMAGES:
        layers = [("base", base), (f"{name}-a", large), (f"{name}-b", large)]
        layers += [(f"{name}-{at}", small) for at in range(SMALL_LAYERS)]
        write_image(bundle / "images" / f"{name}.tar", [f"{repository}:{TAG}"], layers, modern)
    for name in ("zenml-pro", "zenml"):
        write_chart(bundle / "charts" / f"{name}-{TAG}.tgz", name)
    lines = [f"{repository}:{TAG}" for _, repository, _ in IMAGES] + [f"chart zenml-pro {TAG}", f"chart zenml {TAG}"]
    (bundle / "manifest.txt").write_text("\n".join(lines) + "\n")
    return bundle


def make_tags(path, count):
    """One tiny image under `count` tags, a hundred to a repository; returns repository and tag of the last."""
    tags = [(f"registry.example/bench/app-{at // 100:03}", f"v{at % 100}") for at in range(count)]
    write_image(path, [f"{repository}:{tag}" for repository, tag in tags], [("tiny", 1000)], modern=False)
    return tags[-1]


def bytes_of(text):
    units = {"K": 10**3, "M": 10**6, "G": 10**9}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--size", type=bytes_of, default=bytes_of("4G"))
    parser.add_argument("--tags", type=int)
    asked = parser.parse_args()
    if asked.tags:
        make_tags(asked.out, asked.tags)
    else:
        make_bundle(asked.out, asked.size)


if __name__ == "__main__":
    main()
