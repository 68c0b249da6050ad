//! Numbers for tag changes: always larger than any handed out before, also after a crash. A clock may jump back.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::disk::{self, Batch, DiskError, Layout};

/// Numbers are set aside on disk in blocks, so that most changes cost no write.
const BLOCK: u64 = 1 << 16;

#[derive(Serialize, Deserialize)]
struct SetAside {
    below: u64,
}

/// Hands out the numbers of one data folder.
#[derive(Debug)]
pub(crate) struct Sequence {
    layout: Layout,
    numbers: Mutex<Numbers>,
}

#[derive(Debug)]
struct Numbers {
    next: u64,
    set_aside: u64,
}

impl Sequence {
    /// Goes on after everything that was set aside before.
    pub(crate) fn open(layout: &Layout) -> Result<Self, DiskError> {
        let next = disk::read::<SetAside>(&layout.sequence())?.map_or(1, |found| found.below);
        Ok(Self { layout: layout.clone(), numbers: Mutex::new(Numbers { next, set_aside: next }) })
    }

    /// Gives back what was set aside and not handed out, so that the numbers of releases, which people see, stay small.
    /// Numbers can be handed out afterwards as before.
    pub(crate) fn give_back(&self) -> Result<(), DiskError> {
        let mut numbers = self.numbers.lock();
        if numbers.next < numbers.set_aside {
            self.set_aside(numbers.next)?;
            numbers.set_aside = numbers.next;
        }
        Ok(())
    }

    /// The next number. Blocks on the disk once in 65,536 times.
    pub(crate) fn next(&self) -> Result<u64, DiskError> {
        let mut numbers = self.numbers.lock();
        if numbers.next == numbers.set_aside {
            let below = numbers.set_aside + BLOCK;
            self.set_aside(below)?;
            numbers.set_aside = below;
        }
        numbers.next += 1;
        Ok(numbers.next - 1)
    }

    fn set_aside(&self, below: u64) -> Result<(), DiskError> {
        let mut batch = Batch::new(&self.layout);
        batch.write_record(&self.layout.sequence(), &SetAside { below })?;
        batch.commit()
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
            // Dropped without closing each time, as a kill would.
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
        // A late change.
        assert_eq!(first.next().unwrap(), 3);
        assert!(Sequence::open(&layout).unwrap().next().unwrap() > 3);
        first.give_back().unwrap();
        assert_eq!(Sequence::open(&layout).unwrap().next().unwrap(), 4);
    }
}
