//! What an ingest tells while it runs and at its end. Serialised as it is: a running server streams it to the command.

use airdock_registry::{KeptTag, ReleaseSignature, WhyKept};
use serde::{Deserialize, Serialize};

/// Something that happened during an ingest, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It begins. The total is unknown when something is read from a pipe.
    Started {
        /// Bytes of all files given.
        total_bytes: Option<u64>,
    },
    /// More of the input is dealt with: read, or found to be there already.
    Advanced {
        /// Bytes since the last time.
        bytes: u64,
    },
    /// An image or chart is whole in the store; it has no tag yet.
    Item {
        /// Its name as the archive gives it.
        name: String,
        /// The file it was in.
        file: String,
        /// Its digest.
        digest: String,
    },
    /// Something to know that stops nothing.
    Warning(Notice),
    /// A file, image or chart that does not go in.
    Failed(Notice),
    /// It is over and everything that goes in is in.
    Finished(Report),
}

/// A sentence about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The file, and within it the entry or image: `bundle.tar: images/a.tar`.
    pub file: String,
    /// What is the matter and what to do.
    pub message: String,
}

/// What an ingest brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One row per image or chart and name.
    pub images: Vec<ImageRow>,
    /// What stopped nothing.
    pub warnings: Vec<Notice>,
    /// What did not go in.
    pub failures: Vec<Notice>,
    /// Tags that stay as they are, though the bundle has another content for them.
    #[serde(default)]
    pub kept: Vec<Kept>,
    /// The number of the release it became; none when nothing that can be seen changed.
    #[serde(default)]
    pub release: Option<u64>,
    /// Whether anything that can be seen changed. `false`: everything was there already.
    pub wrote: bool,
    /// Who had signed what was taken in, if that was asked for.
    #[serde(default)]
    pub signatures: Vec<ReleaseSignature>,
    /// Bytes read from the input; far less than its size when the content was there already.
    pub bytes_read: u64,
    /// How long it took.
    pub seconds: f64,
}

/// One image or chart under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRow {
    /// Its name as the archive gives it; without one, where it lay.
    pub image: String,
    /// `repository:tag` for each internal name and each alias; `image` is not repeated.
    pub internal: Vec<String>,
    /// The digest it is served under.
    pub digest: String,
    /// The platforms it can be pulled for.
    pub platforms: Vec<String>,
    /// Bytes of its manifests, configs and layers, each once.
    pub size: u64,
    /// `new`, `updated`, `already there`, `kept` (somebody's own tag stays), or `by digest` (it has no tag).
    pub state: String,
    /// What else to know: a lost digest, missing platforms.
    pub note: Option<String>,
}

/// A tag that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// `repository:tag`.
    pub tag: String,
    /// The digest it points at.
    pub current: Option<String>,
    /// The digest the bundle has for it.
    pub wanted: Option<String>,
    /// Who put it there: `pushed by …`, `ingested from …`.
    pub by: Option<String>,
    /// Why it stays.
    pub why: WhyKept,
}

impl From<KeptTag> for Kept {
    fn from(tag: KeptTag) -> Self {
        Self {
            tag: format!("{}:{}", tag.repository, tag.tag),
            current: tag.current.as_ref().map(ToString::to_string),
            wanted: tag.wanted.as_ref().map(ToString::to_string),
            by: tag.by.as_ref().map(ToString::to_string),
            why: tag.why,
        }
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tag, current, by, why, .. } = self;
        write!(f, "`{tag}` stays `{}`", current.as_deref().unwrap_or("away"))?;
        if let Some(by) = by {
            write!(f, ", {by}")?;
        }
        if *why == WhyKept::Protected { f.write_str("; its prefix is protected") } else { Ok(()) }
    }
}

/// Why an ingest brought nothing. What failed file by file is in [`Report::failures`].
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum IngestError {
    /// Somebody stopped it.
    #[error("the ingest was stopped; no tag was changed")]
    Cancelled,
    /// Something failed, and `strict`, or that everything has to be signed, asks for all or nothing.
    #[error("{} of the files or images cannot go in, and `strict`, or a key, asks for all or nothing; no tag was changed", failures.len())]
    Strict {
        /// Each of them.
        failures: Vec<Notice>,
    },
    /// Nothing of what was given could go in.
    #[error("there is no image and no chart in what was given that can go in; no tag was changed")]
    Nothing {
        /// Why, where something was wrong.
        failures: Vec<Notice>,
    },
    /// An archive that was to be served from where it lies is compressed.
    #[error("it is compressed, and what is in it cannot be served from where it lies")]
    Compressed,
    /// One name was given for several images.
    #[error(
        "`--name` is for one image, and {} have no name: {}; give `--base-name`, or ingest each by itself; no tag was changed",
        images.len(),
        images.join(", ")
    )]
    Unnamed {
        /// Each of them: its file and digest.
        images: Vec<String>,
    },
    /// Tags of the bundle belong to somebody, and that was to be an error.
    #[error("{} of the bundle's tags would have to replace somebody's own, and that is to fail; no tag was changed", kept.len())]
    Conflicts {
        /// Each of them.
        kept: Vec<Kept>,
    },
    /// A name is several images, so that there is no inventory of it.
    #[error("{} of the names are several images each, and an inventory says which one a name is", names.len())]
    Contested {
        /// Each name with its images.
        names: Vec<Notice>,
    },
    /// It is not what somebody who is trusted has signed.
    #[error("only what is signed goes in, and this is not; no tag was changed")]
    Untrusted {
        /// Why.
        problems: Vec<Notice>,
    },
    /// A key cannot be used.
    #[error("{message}")]
    Key {
        /// Which and why.
        message: String,
    },
    /// The publish rules cannot work.
    #[error("a publish rule cannot work: {message}")]
    Settings {
        /// Which and why.
        message: String,
    },
    /// The registry's own side failed: disk full, folder gone.
    #[error("the registry could not take the content: {message}; no tag was changed")]
    Registry {
        /// What it said, with causes.
        message: String,
    },
}

/// Failures and warnings, for those who only want the sentences.
impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_errors_survive_the_way_to_the_command() {
        let notice = Notice { file: "a.tar".into(), message: "damaged".into() };
        for event in [
            Event::Started { total_bytes: None },
            Event::Advanced { bytes: 7 },
            Event::Item { name: "a".into(), file: "b".into(), digest: "c".into() },
            Event::Warning(notice.clone()),
            Event::Failed(notice.clone()),
            Event::Finished(Report { images: vec![ImageRow::default()], ..Report::default() }),
        ] {
            let text = serde_json::to_string(&event).unwrap();
            assert!(text.contains("\"event\":"), "{text}");
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
        let error = IngestError::Strict { failures: vec![notice] };
        assert_eq!(serde_json::from_str::<IngestError>(&serde_json::to_string(&error).unwrap()).unwrap(), error);
    }
}
