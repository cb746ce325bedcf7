//! See `tsstream_fuzz::report`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsstream_fuzz::report::check(data));
