//! The command line: every command and its arguments.

use std::net::SocketAddr;
use std::path::PathBuf;

use airdock_config::Overrides;
use airdock_registry::OnConflict;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::help::{
    AFTER_INGEST, AFTER_INSPECT, AFTER_INVENTORY, AFTER_LS, AFTER_RELEASES, AFTER_RM, AFTER_SERVE, AFTER_VERIFY, after,
};

/// A lightweight OCI registry for air-gapped networks.
#[derive(Debug, Parser)]
#[command(version, after_help = after(), max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One verb.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the registry
    #[command(after_help = AFTER_SERVE)]
    Serve(ServeArguments),
    /// Take bundles into the registry, by the running server if there is one
    #[command(after_help = AFTER_INGEST)]
    Ingest(IngestArguments),
    /// Write what bundles bring as a text to be signed, where the bundles are made
    #[command(after_help = AFTER_INVENTORY)]
    Inventory(InventoryArguments),
    /// List what is here: tags with digest, platforms, size, and where they came from
    #[command(after_help = AFTER_LS)]
    Ls(LsArguments),
    /// Show everything about one image, chart or artifact
    #[command(after_help = AFTER_INSPECT)]
    Inspect(InspectArguments),
    /// Read everything again and say what is damaged, what that breaks, and what to do
    #[command(after_help = AFTER_VERIFY)]
    Verify(VerifyArguments),
    /// Remove tags, or manifests with their tags
    #[command(after_help = AFTER_RM)]
    Rm(RmArguments),
    /// List the releases: what each bundle brought, and which is in effect
    #[command(after_help = AFTER_RELEASES)]
    Releases(ReleasesArguments),
    /// Show a release, go back or forward to it, pin it, remove it
    #[command(subcommand, after_help = AFTER_RELEASES)]
    Release(ReleaseCommand),
    /// Make the derived metadata anew from what is on disk
    ///
    /// Nothing is lost by it: blobs and links are the truth, and every tag and manifest comes back. A running server
    /// does it itself and goes on serving.
    Rebuild(FolderArguments),
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Commands about one release.
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Show who brought what from where, and what became of it
    Show(ReleaseArguments),
    /// Keep it from being removed
    Pin(ReleaseArguments),
    /// Let it be removed
    Unpin(ReleaseArguments),
    /// Put all tags back, or forward, to what they were at a release, at once
    ///
    /// Without an ID it is the release before the one in effect. What somebody pushed or deleted since stays as it is and
    /// is named. Nothing is read but the log, and nothing is lost: another rollback leads forward again.
    Rollback(RollbackArguments),
    /// Remove a release that is not in effect, and what only it brought
    ///
    /// Tags that still are as it made them become what they were before it, or go. Manifests that it brought go too,
    /// unless somebody pushed them, or a tag, an index or another release names them. Blobs stay on the disk.
    Rm(ReleaseArguments),
}

/// Commands about settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check every setting; print what is in effect, or everything that is wrong
    Check(FileArguments),
}

/// Where settings come from.
#[derive(Debug, Args)]
pub(crate) struct FileArguments {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where settings and content are.
#[derive(Debug, Args)]
pub(crate) struct FolderArguments {
    #[command(flatten)]
    file: FileArguments,
    /// The data folder, `store.path` [default: airdock-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What `serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// An address to listen on, `server.listen`; may be said several times, port 0 takes a free one [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Serve HTTPS with this certificate chain
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key of the certificate
    #[arg(long, value_name = "PEM", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// A bundle to take in once listening; may be said several times
    #[arg(long = "bundle", value_name = "PATH")]
    bundles: Vec<PathBuf>,
    /// A bundle to serve from where it lies, without copying it: a folder or an uncompressed tar; may be said several times
    #[arg(long = "mount", value_name = "PATH")]
    mounts: Vec<PathBuf>,
    /// Take in what is mounted, too, while it is served: once done the medium may go
    #[arg(long)]
    copy: bool,
    /// Keep a whole bundle out if anything in it is bad
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    trust: TrustArguments,
}

/// Whose signature is asked for.
#[derive(Debug, Args)]
struct TrustArguments {
    /// Take in only what this public key has signed, or another one given so, `ingest.trust.keys`: ECDSA on P-256 or Ed25519
    #[arg(long = "key", value_name = "PEM")]
    keys: Vec<PathBuf>,
}

/// What `ingest` takes.
#[derive(Debug, Args)]
pub(crate) struct IngestArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Take all of it or nothing
    #[arg(long)]
    strict: bool,
    /// The name of the one image that says none, such as `zenml/client:0.93.2`
    #[arg(long, value_name = "REF")]
    pub(crate) name: Option<String>,
    /// The repository that bare tags in an archive are tags of, such as `docker.io/zenmldocker/zenml`
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) base_name: Option<String>,
    /// What becomes of tags that somebody pushed, `ingest.on_conflict`: they stay and are reported, the bundle's take
    /// their place, or nothing goes in [default: keep]
    #[arg(long, value_name = "WHAT", value_enum)]
    on_conflict: Option<Conflict>,
    #[command(flatten)]
    trust: TrustArguments,
    /// The inventory of everything given, with its signature in FILE.sig; those inside do not count then
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,
    /// Print events and the report as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Progress on standard error: a bar on a terminal, plain lines otherwise; with --json only when `always`
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,
    /// What to take in; `-` is a tar on standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// What `inventory` takes.
#[derive(Debug, Args)]
pub(crate) struct InventoryArguments {
    #[command(flatten)]
    file: FileArguments,
    /// When it stops being of use: a day or a time in UTC, such as 2027-03-01, or a duration, such as 90d
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<String>,
    /// The repository that bare tags in an archive are tags of, if the ingest is told one
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) base_name: Option<String>,
    /// Progress on standard error: a bar on a terminal, plain lines otherwise
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,
    /// What is to be taken in later; `-` is a tar on standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// What `ls` takes.
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

/// What `inspect` takes.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// What to look at
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
}

/// What `verify` takes.
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
    /// Move files that do not hold their digest to `damaged` in the data folder
    #[arg(long)]
    pub(crate) remove_damaged: bool,
    /// What to verify [default: everything]
    #[arg(value_name = "REF")]
    pub(crate) references: Vec<String>,
}

/// What `rm` takes.
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

/// What `releases` takes.
#[derive(Debug, Args)]
pub(crate) struct ReleasesArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print one JSON object, with every entry of the log
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a command about one release takes.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The release's number, as `airdock releases` lists it
    #[arg(value_name = "ID")]
    pub(crate) id: u64,
}

/// What `release rollback` takes.
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

/// What becomes of tags that somebody pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Conflict {
    /// They stay
    Keep,
    /// The bundle's take their place; a rollback brings them back
    Replace,
    /// Nothing goes in
    Fail,
}

/// When to show something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// If a person is likely to look
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

impl Command {
    /// What the flags say about settings.
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
                keys: arguments.trust.keys.clone(),
                ..arguments.folder.overrides()
            },
            Self::Inventory(arguments) => arguments.file.overrides(),
            Self::Ls(arguments) => arguments.folder.overrides(),
            Self::Inspect(arguments) => arguments.folder.overrides(),
            Self::Verify(arguments) => arguments.folder.overrides(),
            Self::Rm(arguments) => arguments.folder.overrides(),
            Self::Ingest(arguments) => Overrides {
                strict: arguments.strict,
                on_conflict: arguments.on_conflict(),
                keys: arguments.trust.keys.clone(),
                ..arguments.folder.overrides()
            },
            Self::Releases(arguments) => arguments.folder.overrides(),
            Self::Release(command) => command.folder().overrides(),
            Self::Rebuild(folder) => folder.overrides(),
            Self::Config(ConfigCommand::Check(file)) => file.overrides(),
        }
    }
}

impl ReleaseCommand {
    fn folder(&self) -> &FolderArguments {
        match self {
            Self::Show(one) | Self::Pin(one) | Self::Unpin(one) | Self::Rm(one) => &one.folder,
            Self::Rollback(target) => &target.folder,
        }
    }
}

impl IngestArguments {
    /// What the flag says.
    pub(crate) fn on_conflict(&self) -> Option<OnConflict> {
        self.on_conflict.map(|what| match what {
            Conflict::Keep => OnConflict::Keep,
            Conflict::Replace => OnConflict::Replace,
            Conflict::Fail => OnConflict::Fail,
        })
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
            assert!(crate::help::AFTER.contains(&format!("\n  {:>2}  ", exit as u8)), "{exit:?}");
        }
    }
}
