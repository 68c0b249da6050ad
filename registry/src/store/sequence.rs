//! Numbers for tag changes: always larger than any handed out before, also across a crash. Never a clock, which jumps.

use std::path::PathBuf;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::durable::Batch;
use super::error::StoreError;
use super::layout::Layout;
use super::{link, links};

/// Numbers are set aside on disk in blocks, so that most changes cost no write.
const BLOCK: u64 = 1 << 16;

#[derive(Serialize, Deserialize)]
struct SetAside {
    below: u64,
}

/// Hands out the numbers of one data folder.
#[derive(Debug)]
pub(crate) struct Sequence {
    path: PathBuf,
    incoming: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    set_aside: u64,
}

impl Sequence {
    /// Goes on after everything that was set aside before.
    pub(crate) fn open(layout: &Layout) -> Result<Self, StoreError> {
        let path = layout.sequence();
        let next = links::read::<SetAside>(&path)?.map_or(1, |found| found.below);
        Ok(Self { path, incoming: layout.incoming(), state: Mutex::new(State { next, set_aside: next }) })
    }

    /// Gives back what was set aside and not handed out, so that people's numbers, those of releases, stay small. Only
    /// numbers are lost without it; what is handed out afterwards is set aside anew.
    pub(crate) fn give_back(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.next < state.set_aside {
            let mut batch = Batch::new(&self.incoming);
            batch.write(&self.path, &link::render(&SetAside { below: state.next }))?;
            batch.commit()?;
            state.set_aside = state.next;
        }
        Ok(())
    }

    /// The next number. Blocks on the disk once in 65,536 times.
    pub(crate) fn next(&self) -> Result<u64, StoreError> {
        let mut state = self.state.lock();
        if state.next == state.set_aside {
            let below = state.set_aside + BLOCK;
            let mut batch = Batch::new(&self.incoming);
            batch.write(&self.path, &link::render(&SetAside { below }))?;
            batch.commit()?;
            state.set_aside = below;
        }
        state.next += 1;
        Ok(state.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_also_across_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        std::fs::create_dir(layout.incoming()).unwrap();
        let mut last = 0;
        for _ in 0..3 {
            // Dropped without a word each time, as a kill would.
            let sequence = Sequence::open(&layout).unwrap();
            for _ in 0..5 {
                let next = sequence.next().unwrap();
                assert!(next > last, "{next} after {last}");
                last = next;
            }
        }
    }

    #[test]
    fn after_a_clean_stop_no_number_is_left_out_and_none_is_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        std::fs::create_dir(layout.incoming()).unwrap();
        let first = Sequence::open(&layout).unwrap();
        assert_eq!((first.next().unwrap(), first.next().unwrap()), (1, 2));
        first.give_back().unwrap();
        // Somebody is late.
        assert_eq!(first.next().unwrap(), 3);
        assert!(Sequence::open(&layout).unwrap().next().unwrap() > 3);
        first.give_back().unwrap();
        assert_eq!(Sequence::open(&layout).unwrap().next().unwrap(), 4);
    }
}
