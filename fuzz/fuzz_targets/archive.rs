//! Drives the check of this name with whatever finds a new way through the code.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| veloz_fuzz::run("archive", data));
