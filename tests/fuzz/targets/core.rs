#![no_main]

use silverstream::stories::core::tell;

libfuzzer_sys::fuzz_target!(|story: &[u8]| tell(story));
