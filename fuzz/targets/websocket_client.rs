//! See `tsstream_fuzz::websocket_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsstream_fuzz::websocket_client::check(data));
