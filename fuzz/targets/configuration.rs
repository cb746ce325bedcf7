//! See `tsstream_fuzz::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsstream_fuzz::configuration::check(data));
