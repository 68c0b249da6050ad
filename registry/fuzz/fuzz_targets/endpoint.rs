//! Input: `<method> <target>`. It is parsed or refused, and every name it may mean is safe as a folder path.
#![no_main]

use airdock_registry::api::Endpoint;
use airdock_registry::names;
use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (method, target) = text.trim_end().split_once(' ').unwrap_or(("GET", text));
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), target.parse::<Uri>()) else { return };
    if let Ok(endpoint) = Endpoint::parse(&method, &uri, &names::Settings::default()) {
        let _ = endpoint.access();
        if let Some(name) = endpoint.name() {
            for name in name.candidates().chain([&name.path, name.write_target()]) {
                assert!(name.components().all(|part| !part.is_empty() && !part.starts_with(['.', '_'])));
            }
        }
    }
});
