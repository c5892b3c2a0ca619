//! Opens arbitrary bytes as a model and looks at everything that does not need a device.
//!
//! `cargo +nightly fuzz run open` in `crates/plantain-weights`; packages make good seeds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plantain_weights::{Component, Model};

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("plantain-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("the temporary folder is writable");
    if let Ok(model) = Model::open(&path) {
        let _ = model.summary();
        let _ = model.estimated_memory(512, 512, 1);
        for component in Component::ALL {
            let _ = model.expected_tensors(component);
        }
    }
});
