//! Random histories beside a model that is a few plain tables, and that rewrites its history where the registry keeps
//! what was.

use std::collections::{BTreeMap, BTreeSet};

use airdock_registry::Error;
use airdock_registry::oci::TagOrDigest;
use proptest::prelude::*;

use testkit::registry::{Site, by_tag};

use crate::digest;

const REPOSITORIES: [&str; 2] = ["a", "b"];
const TAGS: [&str; 2] = ["x", "y"];
const CONTENTS: [&str; 4] = ["0", "1", "2", "3"];

type Name = (&'static str, &'static str);

#[derive(Clone, Debug)]
enum Step {
    Ingest { tags: Vec<(Name, &'static str)>, replace: bool },
    Push(Name, &'static str),
    Delete(Name),
    DeleteDigest(&'static str, &'static str),
    Rollback(Option<usize>),
    Remove(usize),
}

/// A tag: the content, the release it is from (none: pushed), and the change that put it there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Link {
    content: &'static str,
    release: Option<u64>,
    change: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    id: u64,
    parent: Option<u64>,
    is_release: bool,
    changes: Vec<(Name, Option<Link>, Option<Link>)>,
    brought: BTreeSet<(&'static str, &'static str)>,
}

#[derive(Default, Debug)]
struct Model {
    table: BTreeMap<Name, Link>,
    /// Whether each manifest was brought by ingests only.
    manifests: BTreeMap<(&'static str, &'static str), bool>,
    log: Vec<Entry>,
    in_effect: Option<u64>,
    changes: usize,
    /// What the log last made of each tag, also if that entry is no more.
    left: BTreeMap<Name, Option<Link>>,
}

impl Model {
    fn entry(&mut self, id: u64, is_release: bool, changes: Vec<(Name, Option<Link>, Option<Link>)>) -> &mut Entry {
        for (name, _, after) in &changes {
            self.left.insert(*name, *after);
            match after {
                Some(link) => drop(self.table.insert(*name, *link)),
                None => drop(self.table.remove(name)),
            }
        }
        let entry = Entry { id, parent: self.in_effect, is_release, changes, brought: BTreeSet::new() };
        self.log.push(entry);
        self.log.last_mut().unwrap()
    }

    fn fresh(&mut self) -> usize {
        self.changes += 1;
        self.changes
    }

    fn release(&self, position: usize) -> Option<&Entry> {
        let releases: Vec<_> = self.log.iter().filter(|entry| entry.is_release).collect();
        (!releases.is_empty()).then(|| releases[position % releases.len()])
    }

    fn ingest(&mut self, tags: &BTreeMap<Name, &'static str>, replace: bool, id: Option<u64>) {
        let change = self.fresh();
        let brought: BTreeSet<_> = tags.iter().map(|(name, content)| (name.0, *content)).collect();
        let mut makes_one = brought.iter().any(|manifest| !self.manifests.contains_key(manifest));
        let mut changes = Vec::new();
        for (name, content) in tags {
            let there = self.table.get(name).copied();
            let pushed = there.is_some_and(|there| there.release.is_none());
            let same = there.is_some_and(|there| there.content == *content);
            if pushed && (same || !replace) {
                continue;
            }
            makes_one |= !same;
            changes.push((*name, there, Some(Link { content, release: id, change })));
        }
        assert_eq!(id.is_some(), makes_one, "whether it makes a release");
        let Some(id) = id else { return };
        for manifest in &brought {
            self.manifests.entry(*manifest).or_insert(true);
        }
        self.entry(id, true, changes).brought = brought;
        self.in_effect = Some(id);
    }

    /// What going to a release makes of the tags.
    fn rollback(&mut self, to: u64, id: Option<u64>) {
        let change = self.fresh();
        let mut wanted: BTreeMap<Name, Option<Link>> = BTreeMap::new();
        for (name, before, _) in self.log.iter().filter(|entry| entry.id > to).flat_map(|entry| &entry.changes) {
            wanted.entry(*name).or_insert(*before);
        }
        let mut changes = Vec::new();
        for (name, wanted) in wanted {
            let there = self.table.get(&name).copied();
            let same = |one: Option<Link>| one.map(|link| (link.content, link.release));
            let stands = self.left[&name].map(|link| link.change) == there.map(|there| there.change);
            let gone = wanted.is_some_and(|wanted| !self.manifests.contains_key(&(name.0, wanted.content)));
            if same(wanted) != same(there) && stands && !gone {
                changes.push((name, there, wanted.map(|wanted| Link { change, ..wanted })));
            }
        }
        assert_eq!(id.is_some(), !changes.is_empty() || self.in_effect != Some(to));
        if let Some(id) = id {
            self.entry(id, false, changes);
            self.in_effect = Some(to);
        }
    }

    fn remove(&mut self, of: u64, id: u64) {
        let change = self.fresh();
        let position = self.log.iter().position(|entry| entry.id == of).unwrap();
        let gone = self.log.remove(position);
        for entry in &mut self.log {
            if entry.parent == Some(of) {
                entry.parent = gone.parent;
            }
            for (name, before, _) in &mut entry.changes {
                if before.is_some_and(|before| before.release == Some(of)) {
                    *before = gone.changes.iter().find(|(changed, ..)| changed == name).unwrap().1;
                }
            }
        }
        let mut changes = Vec::new();
        for (name, before, _) in &gone.changes {
            let there = self.table.get(name).copied();
            if there.is_some_and(|there| there.release == Some(of)) {
                let back = before.filter(|before| self.manifests.contains_key(&(name.0, before.content)));
                changes.push((*name, *before, back.map(|back| Link { change, ..back })));
            }
        }
        self.entry(id, false, changes);
        if self.in_effect == Some(of) {
            self.in_effect = None;
        }
        let tagged = self.table.iter().map(|(name, link)| (name.0, link.content));
        let found = self
            .log
            .iter()
            .flat_map(|entry| &entry.changes)
            .filter_map(|(name, before, _)| before.map(|before| (name.0, before.content)));
        let brought = self.log.iter().flat_map(|entry| entry.brought.iter().copied());
        let named: BTreeSet<_> = tagged.chain(found).chain(brought).collect();
        self.manifests
            .retain(|manifest, ingested| !*ingested || !gone.brought.contains(manifest) || named.contains(manifest));
    }
}

/// Does the same to both.
async fn step(site: &Site, model: &mut Model, step: Step) {
    let releases = site.registry.releases();
    match step {
        Step::Ingest { tags, replace } => {
            let tags: BTreeMap<_, _> = tags.into_iter().collect();
            let list: Vec<_> = tags.iter().map(|((repository, tag), content)| (*repository, *tag, *content)).collect();
            let report = if replace { site.replace(&list).await } else { site.ingest(&list).await };
            model.ingest(&tags, replace, report.id);
        }
        Step::Push(name, content) => {
            site.push(name.0, name.1, content).await;
            let there = model.table.get(&name).copied();
            if !there.is_some_and(|there| there.content == content && there.release.is_none()) {
                let change = model.fresh();
                model.table.insert(name, Link { content, release: None, change });
            }
            model.manifests.insert((name.0, content), false);
        }
        Step::Delete(name) => {
            site.delete(name.0, &by_tag(name.1)).await;
            model.table.remove(&name);
        }
        Step::DeleteDigest(repository, content) => {
            site.delete(repository, &TagOrDigest::Digest(digest(content))).await;
            if model.manifests.remove(&(repository, content)).is_some() {
                model.table.retain(|name, link| name.0 != repository || link.content != content);
            }
        }
        Step::Rollback(None) => {
            let parent =
                model.log.iter().find(|entry| Some(entry.id) == model.in_effect).and_then(|entry| entry.parent);
            match releases.rollback(None, "a test").await {
                Ok(done) => {
                    assert_eq!(Some(done.to), parent);
                    model.rollback(done.to, done.record.map(|record| record.id));
                }
                Err(Error::Release(_)) => assert_eq!(parent, None),
                Err(error) => panic!("{error}"),
            }
        }
        Step::Rollback(Some(position)) => {
            let Some(to) = model.release(position).map(|entry| entry.id) else { return };
            let done = releases.rollback(Some(to), "a test").await.unwrap();
            model.rollback(to, done.record.map(|record| record.id));
        }
        Step::Remove(position) => {
            let Some((id, parent)) = model.release(position).map(|entry| (entry.id, entry.parent)) else { return };
            match releases.remove(id, "a test").await {
                Ok(record) => model.remove(id, record.id),
                Err(Error::Release(_)) => assert!(model.in_effect == Some(id) && parent.is_some()),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn compare(site: &Site, model: &Model) {
    assert_eq!(site.in_effect().await, model.in_effect);
    for repository in REPOSITORIES {
        let mut listed = Vec::new();
        for tag in TAGS {
            let expected = model.table.get(&(repository, tag));
            assert_eq!(
                site.tag(repository, tag).await,
                expected.map(|link| digest(link.content)),
                "{repository}:{tag}"
            );
            let provenance = expected.map(|link| match link.release {
                Some(release) => format!("ingested from a bundle; release={release}"),
                None => "pushed by a job".to_owned(),
            });
            assert_eq!(site.provenance(repository, tag).await, provenance, "{repository}:{tag}");
            listed.extend(expected.map(|_| tag));
        }
        assert_eq!(site.tags(repository).await, listed);
        for content in CONTENTS {
            let expected = model.manifests.contains_key(&(repository, content));
            assert_eq!(site.has(repository, content).await, expected, "{repository} {content}");
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || (prop::sample::select(&REPOSITORIES[..]), prop::sample::select(&TAGS[..]));
    let content = || prop::sample::select(&CONTENTS[..]);
    let step = prop_oneof![
        4 => (prop::collection::vec((name(), content()), 1..4), prop::bool::weighted(0.3))
            .prop_map(|(tags, replace)| Step::Ingest { tags, replace }),
        2 => (name(), content()).prop_map(|(name, content)| Step::Push(name, content)),
        1 => name().prop_map(Step::Delete),
        1 => (prop::sample::select(&REPOSITORIES[..]), content()).prop_map(|(name, content)| Step::DeleteDigest(name, content)),
        2 => Just(Step::Rollback(None)),
        3 => (0usize..6).prop_map(|position| Step::Rollback(Some(position))),
        3 => (0usize..6).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_history_leaves_the_table_that_the_model_has(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut site = Site::in_memory().await;
            let mut model = Model::default();
            for this in steps {
                step(&site, &mut model, this).await;
                compare(&site, &model).await;
            }
            site = site.restart(|data| std::fs::remove_file(data.join("metadata.seal")).unwrap()).await;
            compare(&site, &model).await;
        });
    }
}
