//! Input: a manifest. What is taken here, Go reads the same. Needs Go; `go/manifest.go` is built when it starts.
#![no_main]

#[path = "../go/reading.rs"]
mod reading;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use reading::Go;

thread_local! {
    static GO: RefCell<Go> = RefCell::new(Go::start().expect("Go is needed"));
}

fuzz_target!(|data: &[u8]| {
    GO.with(|go| go.borrow_mut().compare(data));
});
