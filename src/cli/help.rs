//! The text after the flags in the help of each command, which is the manual.

pub(super) const AFTER: &str = "\
Settings come from defaults, then a TOML file, then the environment, then flags. The file is the one --config
or AIRDOCK_CONFIG names, else `FILE` in the working directory if there is one. The variable for a key is
its path with two underscores between levels: AIRDOCK__SERVER__LISTEN=127.0.0.1:5000,10.0.0.1:443.
`airdock config check` prints the settings in effect, as a settings file.

Exit codes:
   0  done
   1  failed; the message says what failed and what to do
   2  the command line is invalid
  65  some of the bundle was refused, and the rest was ingested (with --strict, or if a signature is missing, nothing
      was); or `verify` found damage
  75  another process owns the data folder and does not answer; try again
  78  settings are invalid; every one is listed

Examples:
  airdock serve --bundle zenml-air-gapped-bundle.tar.zst
  airdock serve --listen 0.0.0.0:443 --tls-certificate tls.crt --tls-key tls.key --data /srv/airdock
  airdock ingest /media/disc/zenml-air-gapped-bundle
  zstd -dc bundle.tar.zst | airdock ingest --strict -";

/// The text after the list of commands.
pub(super) fn after() -> String {
    AFTER.replace("FILE", airdock_config::FILE)
}

pub(super) const AFTER_SERVE: &str = "\
The first lines on standard output are `airdock serves URL from FOLDER`, one per listener, then the address of the
administration API if `admin.listen` is set, then `mounted PATH: ...`, one per medium; then what is served and how to
pull it. Logs go to standard error. SIGTERM or SIGINT stops the server once running requests are answered (at most
`server.limits.drain`); a second signal stops it at once.

--mount serves a medium in place, read-only: a bundle folder or an uncompressed tar on a disc, a stick or a share, or
such a tar written straight to a block device. Only the index is read at the start, nothing is written, and a restart
without --mount no longer serves it. Every blob is verified while it is sent. Pushed tags take precedence over those of
a medium, and these over ingested ones. A medium that is invalid stops the start; a compressed archive cannot be mounted
and is ingested instead.

Examples:
  airdock serve
  airdock serve --bundle examples/zenml-air-gapped-bundle
  airdock serve --mount /media/disc/zenml-air-gapped-bundle --copy
  AIRDOCK__LOG__FORMAT=json airdock serve --listen 127.0.0.1:5000 --listen 10.0.0.1:5000";

pub(super) const AFTER_INGEST: &str = "\
A PATH is a bundle folder, or a tar of one, or a single `docker save` or OCI archive, or a Helm chart; a `skopeo sync`
tree, the storage of a registry, or a haul; a folder, a file, a pipe or a block device; plain, gzip, zstd, xz or bzip2,
detected by content. All tags appear together at the end, or none do.

A pushed tag stays and is reported as kept. That is no failure, also with --strict, which is about the content of the
bundle; for all images and all tags or nothing, use --strict --on-conflict fail. Below the prefixes of
`ingest.protect`, no existing tag is moved.

The name of an image in an archive takes precedence over --base-name; --name is for an image without any name. Names
with a host are upstream names; without one they are internal names.

With a key, here or in `ingest.trust.keys`, only what an inventory signed by it lists is ingested, all of it or nothing:
`inventory.txt` and `inventory.txt.sig` in the root of a bundle, or --inventory; see `airdock inventory`. The keys of a
running server take precedence over those of the command.

While a server runs on the same data folder, it does the work: the command connects to the administration socket in the
folder, as the same user, and stopping the command stops the ingest.

With --json, standard output is one JSON object a line: `started`, `advanced`, `item`, `warning`, `failed`, and at
the end `finished` with the whole report, or `error`.

Exit codes: 0 done, 1 failed, 65 some of it was refused (all of it, if a signature is missing), 75 the folder is in use
and its owner does not answer, 78 settings are invalid.

Examples:
  airdock ingest /media/disc/zenml-air-gapped-bundle
  airdock ingest --strict api.tar dashboard.tar charts/zenml-0.93.2.tgz
  airdock ingest --name zenml/client:0.93.2 kaniko.tar
  ssh outside cat bundle.tar | airdock ingest -";

pub(super) const AFTER_INVENTORY: &str = "\
Each line is the digest of a manifest and its name; everything below a manifest is verified against its digest when it
is ingested. Make the inventory of what will be given to `ingest`, with the same --base-name: some content is named by
its folder. Everything is read and hashed, and nothing is written but the text. Without --expires, the same bundle
always gives the same text. Sign it, byte for byte, as FILE.sig, with one of

  openssl dgst -sha256 -sign build.key -out inventory.txt.sig inventory.txt          ECDSA on P-256
  openssl pkeyutl -sign -rawin -inkey build.key -in inventory.txt -out inventory.txt.sig          Ed25519
  cosign sign-blob --key cosign.key --tlog-upload=false --output-signature inventory.txt.sig inventory.txt

and put both files into the root of the bundle, or pass them to `ingest --inventory`.

Exit codes: 0 done, 1 failed, 65 some of it cannot be ingested, and nothing is written.

Examples:
  airdock inventory --expires 90d bundle > inventory.txt && mv inventory.txt bundle/
  zstd -dc bundle.tar.zst | airdock inventory - > inventory.txt";

pub(super) const AFTER_LS: &str = "\
A PATTERN is a repository, with everything below it, or REPOSITORY:TAG; `*` stands for any characters. A running server
answers for its data folder. Manifests that no tag, no index and no subject leads to are listed as REPOSITORY@DIGEST,
which `airdock rm` takes. With --json, each line is one tag, with the whole digest; or a manifest, without `tag`.

Examples:
  airdock ls
  airdock ls zenml 'charts/*:0.93.*'
  airdock ls --json | jq -r 'select(.provenance.pushed) | .repository + \":\" + .tag'";

pub(super) const AFTER_INSPECT: &str = "\
REF is REPOSITORY:TAG or REPOSITORY@DIGEST, also with the upstream's name, and is found as a pull finds it.

Examples:
  airdock inspect zenml/zenml:0.93.2
  airdock inspect --json docker.io/zenmldocker/zenml:0.93.2";

pub(super) const AFTER_VERIFY: &str = "\
Every blob is read and hashed, and every manifest is checked for the content it names. A running server does this while
it serves; stopping the command stops it. An ingest or a push does not rewrite a blob that exists, so a blob whose
content changed on disk has to be moved away first: --remove-damaged does so, and the next ingest or push restores it.
Mounted media are read too, every copy of every blob; for a REF, only if no stored content has it. Media are never
changed.

Exit codes: 0 nothing is damaged, 65 something is damaged or missing, 1 the verification failed.

Examples:
  airdock verify
  airdock verify zenml/zenml:0.93.2
  airdock verify --remove-damaged || airdock ingest /media/disc/zenml-air-gapped-bundle";

pub(super) const AFTER_RM: &str = "\
Removing a tag leaves its manifest; removing a manifest (REPOSITORY@DIGEST) removes all its tags in that repository.
Other repositories keep theirs. A running server does it, as for a client's DELETE.

Examples:
  airdock rm zenml/zenml:0.93.1
  airdock rm zenml/zenml@sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

pub(super) const AFTER_UPLOADS: &str = "\
An upload is a blob that a client has begun to push. One to which nothing is added expires, `store.upload_expiry`; one
without a byte after ten minutes. There may be `registry.max_uploads` at once. Without a server, only those that have a
byte are known.

Examples:
  airdock uploads
  airdock uploads --remove-all";

pub(super) const AFTER_RELEASES: &str = "\
An ingest that changes anything makes a release. A running server does the work for its data folder.

Examples:
  airdock releases
  airdock release rollback
  airdock release rollback 3 --json
  airdock release rm 2";
