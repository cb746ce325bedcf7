//! See `tsstream_fuzz::proxy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsstream_fuzz::proxy::check(data));
