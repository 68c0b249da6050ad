//! Circles between files.
//!
//! A parent module and its own children may use each other: they are one house. Any other circle is one. Two kinds are
//! looked for, and together they are all there are. An edge that leads out of its family (a parent and its children)
//! is on a circle if there is a way back by any edges; within a family, children are in a circle if there is a way
//! back that does without the parent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::graph::Graph;

/// Every circle that is not allowed, once, as a readable path; the shortest through each edge.
pub(super) fn circles(graph: &Graph) -> Vec<String> {
    let mut found: BTreeMap<BTreeSet<&str>, String> = BTreeMap::new();
    for (from, to) in graph.edges.iter().flat_map(|(from, all)| all.keys().map(move |to| (from.as_str(), to.as_str())))
    {
        let (above, above_to) = (graph.parent(from), graph.parent(to));
        if above == Some(to) || above_to == Some(from) {
            continue;
        }
        let siblings = above == above_to;
        let back = way(graph, to, from, |file| !siblings || graph.parent(file) == above);
        if let Some(back) = back {
            found.entry(back.iter().copied().collect()).or_insert_with(|| describe(graph, &back));
        }
    }
    found.into_values().collect()
}

/// The shortest way over files that `may` be used, both ends with it.
fn way<'a>(graph: &'a Graph, from: &'a str, to: &'a str, may: impl Fn(&str) -> bool) -> Option<Vec<&'a str>> {
    let mut before = BTreeMap::from([(from, from)]);
    let mut open = VecDeque::from([from]);
    while let Some(file) = open.pop_front() {
        if file == to {
            let mut path = vec![file];
            while before[path[path.len() - 1]] != path[path.len() - 1] {
                path.push(before[path[path.len() - 1]]);
            }
            path.reverse();
            return Some(path);
        }
        for next in graph.edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if may(next) && !before.contains_key(next.as_str()) {
                before.insert(next, file);
                open.push_back(next);
            }
        }
    }
    None
}

/// From the file that is first in the alphabet, back to it.
fn describe(graph: &Graph, circle: &[&str]) -> String {
    let mut circle = circle.to_vec();
    let first = (0..circle.len()).min_by_key(|at| circle[*at]).unwrap_or(0);
    circle.rotate_left(first);
    let mut text = String::new();
    for (at, file) in circle.iter().enumerate() {
        let next = circle[(at + 1) % circle.len()];
        text.push_str(&format!("{file} —{}→ ", graph.edges[*file][next]));
    }
    text + circle[0]
}

#[cfg(test)]
mod tests {
    use super::super::graph::Files;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        circles(&Graph::build(&files, "src/lib.rs"))
    }

    #[test]
    fn a_circle_of_two_is_found_and_read_as_a_path() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "use crate::b::B; pub struct A(B);"),
            ("src/b.rs", "pub struct B; fn x() { crate::a::A::new() }"),
        ];
        assert_eq!(found(&files), ["src/a.rs —crate::b::B→ src/b.rs —crate::a::A::new→ src/a.rs"]);
    }

    #[test]
    fn a_circle_of_three_through_folders_is_found() {
        let files = [
            ("src/lib.rs", "mod a; mod b; mod c;"),
            ("src/a/mod.rs", "mod inside;"),
            ("src/a/inside.rs", "use super::super::b; fn x() { b::y() }"),
            ("src/b.rs", "pub fn y() { use crate::{c::{self}, a}; c::z() }"),
            ("src/c.rs", "pub fn z() { crate::a::inside::x() }"),
        ];
        assert_eq!(found(&files).len(), 1, "{:?}", found(&files));
        let straight = ("src/c.rs", "pub fn z() {}");
        let mut mended = files;
        mended[4] = straight;
        assert!(found(&mended).is_empty());
    }

    #[test]
    fn siblings_that_use_each_other_through_their_parents_reexports_are_in_a_circle() {
        let files = [
            ("src/lib.rs", "mod room;"),
            ("src/room/mod.rs", "mod one; mod two; pub use one::One; pub(crate) use two::{Two as Other};"),
            ("src/room/one.rs", "use super::Other; pub struct One(Other);"),
            ("src/room/two.rs", "pub struct Two; impl Two { fn x(_: &super::One) {} }"),
        ];
        assert_eq!(found(&files).len(), 1, "{:?}", found(&files));
    }

    #[test]
    fn a_parent_and_its_own_children_may_use_each_other() {
        let files = [
            ("src/lib.rs", "mod room;"),
            ("src/room/mod.rs", "mod one; mod two; pub use one::One; pub struct Parent(One, two::Two);"),
            ("src/room/one.rs", "use super::Parent; pub struct One(Box<Parent>, super::two::Two);"),
            ("src/room/two.rs", "pub struct Two(super::Parent);"),
        ];
        assert!(found(&files).is_empty(), "{:?}", found(&files));
    }

    #[test]
    fn a_circle_through_a_parent_and_a_stranger_is_found() {
        let files = [
            ("src/lib.rs", "mod room; mod other;"),
            ("src/room/mod.rs", "mod one; pub struct Parent(crate::other::Other);"),
            ("src/room/one.rs", "pub struct One(super::Parent);"),
            ("src/other.rs", "use crate::room::one; pub struct Other(one::One);"),
        ];
        assert_eq!(found(&files).len(), 1, "{:?}", found(&files));
    }

    #[test]
    fn a_grandchild_that_uses_what_uses_it_is_in_a_circle() {
        let files = [
            ("src/lib.rs", "mod room;"),
            ("src/room/mod.rs", "mod deep; pub use deep::Below; pub fn now() -> Below {}"),
            ("src/room/deep/mod.rs", "mod below; pub use below::Below;"),
            ("src/room/deep/below.rs", "pub struct Below; fn x() { super::super::now() }"),
        ];
        assert_eq!(found(&files).len(), 1, "{:?}", found(&files));
        // Where the name is only passed on, nothing is used.
        let mut passed = files;
        passed[1].1 = "mod deep; pub use deep::Below; pub fn now() {}";
        assert!(found(&passed).is_empty());
    }

    #[test]
    fn comments_strings_and_tests_use_nothing() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "pub struct A; pub fn x(_: crate::b::B) {}"),
            (
                "src/b.rs",
                "//! As [`crate::a::A`].\n/* crate::a /* nested */ crate::a::A */ pub struct B;\n\
                 const TEXT: &str = \"crate::a::A\"; const RAW: &str = r#\"\"crate::a::A\"#; fn y<'a>(_: &'a str, _: '\\'') {}\n\
                 #[cfg(test)] use crate::a::{A, x};\n#[cfg(test)]\nmod tests { use crate::a::A; }",
            ),
        ];
        assert!(found(&files).is_empty(), "{:?}", found(&files));
        let mut said = files;
        said[2].1 = "#[serde(with = \"crate::a::x\")] pub struct B;";
        assert_eq!(found(&said).len(), 1);
    }

    #[test]
    fn all_names_at_once_are_followed_to_those_that_are_said() {
        let files = [
            ("src/lib.rs", "mod a; mod b; mod c;"),
            ("src/a.rs", "use crate::b::*; pub struct A(B);"),
            ("src/b.rs", "pub use crate::c::C; pub struct B;"),
            ("src/c.rs", "pub struct C(crate::a::A);"),
        ];
        assert!(found(&files).is_empty(), "{:?}", found(&files));
        let mut said = files;
        said[1].1 = "use crate::b::*; pub struct A(B, C);";
        assert_eq!(found(&said).len(), 1);
    }
}
