//! What a client knows: for each path, the acknowledged content, and the content of a change whose acknowledgement never
//! came. After a crash one of the two must be there, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use testkit::content::digest;

/// The body that a GET of a path returns; `None` is 404.
pub(super) type Content = Option<Arc<[u8]>>;

/// One path, as the client knows it.
#[derive(Clone, Default)]
struct Told {
    now: Content,
    /// The content after a change that has no response yet.
    perhaps: Option<Content>,
}

/// What one client knows. Paths are those below `/v2/`.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    told: BTreeMap<String, Told>,
    /// Unfinished uploads.
    pub(super) uploads: Vec<OpenUpload>,
    /// How many changes were acknowledged, to show that a test made any.
    pub(super) acknowledged: usize,
}

/// An unfinished upload.
#[derive(Clone)]
pub(super) struct OpenUpload {
    pub(super) repository: String,
    pub(super) location: String,
    pub(super) content: Arc<[u8]>,
    /// How many bytes were acknowledged.
    pub(super) size: usize,
    /// Whether finishing was requested and no response came: then it may be gone.
    pub(super) finishing: bool,
}

impl Ledger {
    /// Records a change before it is sent.
    pub(super) fn ask(&mut self, path: &str, content: Content) {
        self.told.entry(path.to_owned()).or_default().perhaps = Some(content);
    }

    /// Records that the change was acknowledged.
    pub(super) fn acknowledge(&mut self, path: &str) {
        let told = self.told.get_mut(path).expect("asked before");
        told.now = told.perhaps.take().expect("asked before");
        self.acknowledged += 1;
    }

    /// Whether any change has no response yet.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.told.values().any(|told| told.perhaps.is_some()) || self.uploads.iter().any(|upload| upload.finishing)
    }

    pub(super) fn now(&self, path: &str) -> &Content {
        const NOTHING: &Content = &None;
        self.told.get(path).map_or(NOTHING, |told| &told.now)
    }

    /// Every path that exists or existed.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.told.keys().map(String::as_str)
    }

    /// Every existing path with its content.
    pub(super) fn present(&self) -> impl Iterator<Item = (&str, &Arc<[u8]>)> {
        self.told.iter().filter_map(|(path, told)| Some((path.as_str(), told.now.as_ref()?)))
    }

    /// After a crash: checks that a path has one of its permitted contents, and records which.
    pub(super) fn settle(&mut self, path: &str, seen: Content) -> Result<(), String> {
        let told = self.told.entry(path.to_owned()).or_default();
        let allowed = seen == told.now || told.perhaps.as_ref() == Some(&seen);
        if !allowed {
            let perhaps = told.perhaps.as_ref().map(describe);
            return Err(format!(
                "`{path}` is {}, acknowledged was {}, without an answer {perhaps:?}",
                describe(&seen),
                describe(&told.now)
            ));
        }
        *told = Told { now: seen, perhaps: None };
        Ok(())
    }

    /// The existing tags of a repository.
    pub(super) fn tags(&self, repository: &str) -> BTreeSet<String> {
        let prefix = format!("{repository}/manifests/");
        let tag = |path: &str| path.strip_prefix(&prefix).filter(|tag| !tag.contains(':')).map(str::to_owned);
        self.present().filter_map(|(path, _)| tag(path)).collect()
    }

    /// The existing manifests of a repository.
    pub(super) fn manifests(&self, repository: &str) -> Vec<(String, Arc<[u8]>)> {
        let prefix = format!("{repository}/manifests/");
        let digest = |path: &str| path.strip_prefix(&prefix).filter(|digest| digest.contains(':')).map(str::to_owned);
        self.present().filter_map(|(path, content)| Some((digest(path)?, content.clone()))).collect()
    }
}

fn describe(content: &Content) -> String {
    content.as_ref().map_or_else(|| "absent".into(), |bytes| format!("{} bytes of {}", bytes.len(), digest(bytes)))
}
