//! Adds arbitrary bytes to a small model as a LoRA, an embedding and an autoencoder.
//!
//! `cargo +nightly fuzz run lora` in `crates/plantain-weights`; `tests/fixtures/loras` has good seeds.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plantain_weights::Model;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures");
    Model::open(&fixtures.join("weights/turbo")).expect("the fixture is there")
});

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("plantain-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("the temporary folder is writable");
    if let Ok((model, _)) = MODEL.with_lora(&path, 0.5) {
        let _ = model.fingerprint();
    }
    let _ = MODEL.with_embedding(&path);
    let _ = MODEL.with_vae(&path);
});
