//! The command line: every command and its arguments.

mod help;
pub(crate) mod options;

use std::net::SocketAddr;
use std::path::PathBuf;

use airdock_config::Overrides;
use clap::{Args, Parser, Subcommand, ValueEnum};

use help::{
    AFTER_INGEST, AFTER_INSPECT, AFTER_INVENTORY, AFTER_LS, AFTER_RELEASES, AFTER_RM, AFTER_SERVE, AFTER_UPLOADS,
    AFTER_VERIFY, after,
};
use options::IngestOptions;

/// A lightweight OCI registry for air-gapped networks.
#[derive(Debug, Parser)]
#[command(version, after_help = after(), max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the registry
    #[command(after_help = AFTER_SERVE)]
    Serve(ServeArguments),
    /// Ingest bundles, through the running server if there is one
    #[command(after_help = AFTER_INGEST)]
    Ingest(IngestArguments),
    /// Print the content of bundles as an inventory to sign, where the bundles are made
    #[command(after_help = AFTER_INVENTORY)]
    Inventory(InventoryArguments),
    /// List tags with their digest, platforms, size, and origin
    #[command(after_help = AFTER_LS)]
    Ls(LsArguments),
    /// Show everything about one image, chart or artifact
    #[command(after_help = AFTER_INSPECT)]
    Inspect(InspectArguments),
    /// Re-hash everything and report what is damaged, what that breaks, and what to do
    #[command(after_help = AFTER_VERIFY)]
    Verify(VerifyArguments),
    /// Remove tags, or manifests with their tags
    #[command(after_help = AFTER_RM)]
    Rm(RmArguments),
    /// List the uploads that clients have begun and not finished, or remove them
    #[command(after_help = AFTER_UPLOADS)]
    Uploads(UploadsArguments),
    /// List the releases: what each bundle changed, and which one is in effect
    #[command(after_help = AFTER_RELEASES)]
    Releases(ReleasesArguments),
    /// Show, roll back to, pin or remove a release
    #[command(subcommand, after_help = AFTER_RELEASES)]
    Release(ReleaseCommand),
    /// Rebuild the derived index from the content on disk
    ///
    /// Nothing is lost: blobs and links are authoritative, and every tag and manifest comes back. A running server does it
    /// itself and continues to serve.
    Rebuild(FolderArguments),
    /// Show the settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Show who ingested what from where, and what happened to each tag
    Show(ReleaseArguments),
    /// Protect it from being removed
    Pin(ReleaseArguments),
    /// Allow it to be removed
    Unpin(ReleaseArguments),
    /// Set all tags back, or forward, to a release, atomically
    ///
    /// Without an ID it is the release before the one in effect. Tags that were pushed or deleted since stay as they are and
    /// are listed. Nothing is lost: another rollback leads forward again.
    Rollback(RollbackArguments),
    /// Remove a release that is not in effect, and what only it brought
    ///
    /// Tags that it set are set back to what they were before it, or removed. Manifests that it brought are removed too,
    /// unless they were also pushed, or a tag, an index or another release names them. Blobs stay on the disk.
    Rm(ReleaseArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check every setting; print those in effect, or everything that is invalid
    Check(FileArguments),
}

#[derive(Debug, Args)]
pub(crate) struct FileArguments {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FolderArguments {
    #[command(flatten)]
    file: FileArguments,
    /// The data folder, `store.path` [default: airdock-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// An address to listen on, `server.listen`; repeatable, port 0 takes a free one [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Serve HTTPS with this certificate chain
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key of the certificate
    #[arg(long, value_name = "PEM", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// A bundle to ingest once listening; repeatable
    #[arg(long = "bundle", value_name = "PATH")]
    bundles: Vec<PathBuf>,
    /// A bundle to serve in place, without copying it: a folder or an uncompressed tar; repeatable
    #[arg(long = "mount", value_name = "PATH")]
    mounts: Vec<PathBuf>,
    /// Also ingest what is mounted, while it is served; then the medium can be removed
    #[arg(long)]
    copy: bool,
    /// Reject a whole bundle if anything in it is invalid
    #[arg(long)]
    strict: bool,
    /// Ingest and mount only what this public key, or another one given this way, has signed, `ingest.trust.keys`: ECDSA on
    /// P-256 or Ed25519
    #[arg(long = "key", value_name = "PEM")]
    keys: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArguments {
    #[command(flatten)]
    folder: FolderArguments,
    #[command(flatten)]
    pub(crate) options: IngestOptions,
    /// Print events and the report as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Progress on standard error: a bar on a terminal, plain lines otherwise; with --json only when `always`
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,
    /// What to ingest; `-` is a tar on standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InventoryArguments {
    #[command(flatten)]
    file: FileArguments,
    /// When it expires: a day or a time in UTC, such as 2027-03-01, or a duration, such as 90d
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<String>,
    /// The repository for bare tags in an archive, if `ingest` is given one
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) base_name: Option<String>,
    /// Progress on standard error: a bar on a terminal, plain lines otherwise
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,
    /// What will be ingested; `-` is a tar on standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LsArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print JSON, one tag a line
    #[arg(long)]
    pub(crate) json: bool,
    /// What to list [default: everything]
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// What to inspect
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Progress on standard error: a bar on a terminal, plain lines otherwise; with --json only when `always`
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,
    /// Move files that do not match their digest to `damaged` in the data folder
    #[arg(long)]
    pub(crate) remove_damaged: bool,
    /// What to verify [default: everything]
    #[arg(value_name = "REF")]
    pub(crate) references: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RmArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print JSON, one REF a line
    #[arg(long)]
    pub(crate) json: bool,
    /// What to remove
    #[arg(required = true, value_name = "REF")]
    pub(crate) references: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UploadsArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print JSON, one upload a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Remove this upload, also if a client is adding to it; repeatable
    #[arg(long, value_name = "ID")]
    pub(crate) remove: Vec<String>,
    /// Remove every upload that no client is adding to at the moment
    #[arg(long, conflicts_with = "remove")]
    pub(crate) remove_all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReleasesArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print one JSON object, with every entry of the log
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The release's number, as listed by `airdock releases`
    #[arg(value_name = "ID")]
    pub(crate) id: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The release to go to [default: the one before the one in effect]
    #[arg(value_name = "ID")]
    pub(crate) id: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// If standard error is likely to be read by a person
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Command {
    /// The settings that flags override.
    pub(crate) fn overrides(&self) -> Overrides {
        match self {
            Self::Serve(arguments) => Overrides {
                listen: arguments.listen.clone(),
                tls_certificate: arguments.tls_certificate.clone(),
                tls_key: arguments.tls_key.clone(),
                bundles: arguments.bundles.clone(),
                mounts: arguments.mounts.clone(),
                copy: arguments.copy,
                strict: arguments.strict,
                keys: arguments.keys.clone(),
                ..arguments.folder.overrides()
            },
            Self::Ingest(IngestArguments { folder, .. })
            | Self::Ls(LsArguments { folder, .. })
            | Self::Inspect(InspectArguments { folder, .. })
            | Self::Verify(VerifyArguments { folder, .. })
            | Self::Rm(RmArguments { folder, .. })
            | Self::Uploads(UploadsArguments { folder, .. })
            | Self::Releases(ReleasesArguments { folder, .. })
            | Self::Release(ReleaseCommand::Rollback(RollbackArguments { folder, .. }))
            | Self::Release(
                ReleaseCommand::Show(ReleaseArguments { folder, .. })
                | ReleaseCommand::Pin(ReleaseArguments { folder, .. })
                | ReleaseCommand::Unpin(ReleaseArguments { folder, .. })
                | ReleaseCommand::Rm(ReleaseArguments { folder, .. }),
            )
            | Self::Rebuild(folder) => folder.overrides(),
            Self::Inventory(InventoryArguments { file, .. }) | Self::Config(ConfigCommand::Check(file)) => {
                file.overrides()
            }
        }
    }
}

impl FileArguments {
    fn overrides(&self) -> Overrides {
        Overrides { file: self.config.clone(), ..Overrides::default() }
    }
}

impl FolderArguments {
    fn overrides(&self) -> Overrides {
        Overrides { data: self.data.clone(), ..self.file.overrides() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        for exit in crate::exit::Exit::ALL {
            assert!(help::AFTER.contains(&format!("\n  {:>2}  ", exit as u8)), "{exit:?}");
        }
    }
}
