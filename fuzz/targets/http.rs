//! See `tsstream_fuzz::http`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsstream_fuzz::http::check(data));
