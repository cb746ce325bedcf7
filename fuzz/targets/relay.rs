//! See `tsstream_fuzz::relay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsstream_fuzz::relay::check(data));
