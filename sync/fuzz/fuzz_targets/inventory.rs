#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    std::hint::black_box(airdock_sync::probe::inventory(bytes));
});
