//! What stands behind the flags in the help of each command: it is there in place of a manual.

pub(crate) const AFTER: &str = "\
Settings come from defaults, then a TOML file, then the environment, then flags. The file is the one --config
or AIRDOCK_CONFIG names, else `FILE` in the working directory if it is there. A variable for a key is
its path with two underscores between levels: AIRDOCK__SERVER__LISTEN=127.0.0.1:5000,10.0.0.1:443.
`airdock config check` prints the settings in effect, in the form of a file.

Exit codes:
   0  done
   1  failed; the message says at what and what to do
   2  the command line cannot be understood
  65  some of the bundle was refused, and the rest is in (nothing is with --strict, or if it is not signed
      as asked for); or `verify` found damage
  75  another process has the data folder and does not answer; try again
  78  a setting cannot be used; every one is listed

Examples:
  airdock serve --bundle zenml-air-gapped-bundle.tar.zst
  airdock serve --listen 0.0.0.0:443 --tls-certificate tls.crt --tls-key tls.key --data /srv/airdock
  airdock ingest /media/disc/zenml-air-gapped-bundle
  zstd -dc bundle.tar.zst | airdock ingest --strict -";

/// What is behind the list of commands.
pub(crate) fn after() -> String {
    AFTER.replace("FILE", airdock_config::FILE)
}

pub(crate) const AFTER_SERVE: &str = "\
The first lines on standard output are `airdock serves URL from FOLDER`, one per listener, and `mounted PATH: ...`,
one per medium; then what is served and how to pull it. Logs go to standard error. SIGTERM or SIGINT stops it once running answers are out (at most
`server.limits.drain`); a second signal stops it at once.

What is mounted is served from where it lies: a bundle folder or an uncompressed tar on a disc, a stick, a share,
or such a tar written straight to a block device.
Nothing is read ahead but what says what is where, nothing is written, and after a restart without --mount it is
gone. Every blob is hashed before the last of it goes out. Tags that were pushed go before those of a medium, these
before ingested ones. A medium that cannot be used stops the start; a compressed archive cannot be mounted and is
ingested instead.

Examples:
  airdock serve
  airdock serve --bundle examples/zenml-air-gapped-bundle
  airdock serve --mount /media/disc/zenml-air-gapped-bundle --copy
  AIRDOCK__LOG__FORMAT=json airdock serve --listen 127.0.0.1:5000 --listen 10.0.0.1:5000";

pub(crate) const AFTER_INGEST: &str = "\
A PATH is a bundle folder, or a tar of one, or a single `docker save` or OCI archive, or a Helm chart; a `skopeo sync`
tree, the storage of a registry, or a haul; a folder, a file, a pipe or a block device; plain, gzip, zstd, xz or bzip2,
told by content. All tags appear together at the end, or none do.

A tag that somebody pushed stays and is reported as kept, and that is no failure, also not with --strict, which is
about what is in the bundle; for all images and all tags or nothing, --strict --on-conflict fail. Below the prefixes of
`ingest.protect` no tag that exists is moved.

What an archive calls an image goes before --base-name, and --name is for what has no name at all. With a host they are
upstream names, without one internal names as they stand.

With a key, here or in `ingest.trust.keys`, only what an inventory signed by it names goes in, all of it or nothing:
`inventory.txt` and `inventory.txt.sig` in the root of a bundle, or --inventory; see `airdock inventory`. The keys of a
running server go before those of the command.

While a server runs on the same data folder, it does the work: the command finds it through the folder, as the
same user, and stopping the command stops the ingest.

With --json, standard output is one JSON object a line: `started`, `advanced`, `item`, `warning`, `failed`, and at
the end `finished` with the whole report, or `error`.

Exit codes: 0 done, 1 failed, 65 some of it was refused (all of it, if it is not signed), 75 the folder is taken and nobody answers, 78 settings.

Examples:
  airdock ingest /media/disc/zenml-air-gapped-bundle
  airdock ingest --strict api.tar dashboard.tar charts/zenml-0.93.2.tgz
  airdock ingest --name zenml/client:0.93.2 kaniko.tar
  ssh outside cat bundle.tar | airdock ingest -";

pub(crate) const AFTER_INVENTORY: &str = "\
A line is the digest of a manifest and its name; everything below a manifest is held against its digest when it is taken
in. Make it of what will be given to `ingest`, with the same --base-name: some content is named by the folder it lies in.
All of it is read and hashed, and nothing is written but the text. Without --expires it is the same for the same bundle.
Sign the text, byte for byte, as FILE.sig, with one of

  openssl dgst -sha256 -sign build.key -out inventory.txt.sig inventory.txt          ECDSA on P-256
  openssl pkeyutl -sign -rawin -inkey build.key -in inventory.txt -out inventory.txt.sig          Ed25519
  cosign sign-blob --key cosign.key --tlog-upload=false --output-signature inventory.txt.sig inventory.txt

and put both files into the bundle's root, or carry them beside it for `ingest --inventory`.

Exit codes: 0 done, 1 failed, 65 some of it could not be taken in, and nothing is written.

Examples:
  airdock inventory --expires 90d bundle > inventory.txt && mv inventory.txt bundle/
  zstd -dc bundle.tar.zst | airdock inventory - > inventory.txt";

pub(crate) const AFTER_LS: &str = "\
A PATTERN is a repository, with everything below it, or REPOSITORY:TAG; `*` stands for any characters. A running server
answers for its data folder. With --json, one tag is one line, with the whole digest.

Examples:
  airdock ls
  airdock ls zenml 'charts/*:0.93.*'
  airdock ls --json | jq -r 'select(.provenance.pushed) | .repository + \":\" + .tag'";

pub(crate) const AFTER_INSPECT: &str = "\
REF is REPOSITORY:TAG or REPOSITORY@DIGEST, also as it is called upstream, and is found as a pull finds it.

Examples:
  airdock inspect zenml/zenml:0.93.2
  airdock inspect --json docker.io/zenmldocker/zenml:0.93.2";

pub(crate) const AFTER_VERIFY: &str = "\
Every blob is read and hashed, and every manifest is looked at for what it names. A running server does it beside serving;
stopping the command stops it. An ingest and a push leave alone what is there, so a blob whose content changed on the disk
has to be moved away first: --remove-damaged does, and the next ingest or push writes it anew.
What the server serves from mounted media is read too, at every place it lies at; for a REF, if it lies only there. Nothing
of a medium is ever changed.

Exit codes: 0 everything is whole, 65 something is damaged or missing, 1 it could not be found out.

Examples:
  airdock verify
  airdock verify zenml/zenml:0.93.2
  airdock verify --remove-damaged || airdock ingest /media/disc/zenml-air-gapped-bundle";

pub(crate) const AFTER_RM: &str = "\
A tag is removed and its manifest stays; a manifest (REPOSITORY@DIGEST) goes with all its tags in that repository. Other
repositories keep it. A running server does it, as for a client's DELETE.

Examples:
  airdock rm zenml/zenml:0.93.1
  airdock rm zenml/zenml@sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

pub(crate) const AFTER_RELEASES: &str = "\
An ingest that changes anything makes a release. A running server answers for its data folder, and does what is asked.

Examples:
  airdock releases
  airdock release rollback
  airdock release rollback 3 --json
  airdock release rm 2";
