//! A name for everything in a model that decides its pictures.

use sha2::{Digest, Sha256};

use crate::package::Model;
use crate::sha256::hexadecimal;

/// Changes when prompts for models that know a few things are read in another way than by an earlier version.
const READING: u32 = 3;

impl Model {
    /// A SHA-256 of the manifest, the tokenizer and all numbers, in hexadecimal; equal for models that draw the same
    /// pictures because they are the same. Where the model came from is left out.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert_eq!(model.fingerprint(), model.clone().fingerprint());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn fingerprint(&self) -> String {
        let manifest = self.manifest();
        let decisive = (
            &manifest.components,
            &manifest.tokenizer,
            &manifest.sampler,
            &manifest.defaults,
        );
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        add(&serde_json::to_vec(&decisive).unwrap_or_default());
        // What prompts are read by; other models keep the name that they had before this was added.
        if manifest.plain_ground || !(manifest.subjects.is_empty() && manifest.styles.is_empty()) {
            let read = (
                READING,
                &manifest.subjects,
                &manifest.styles,
                &manifest.subject_styles,
                manifest.plain_ground,
            );
            add(&serde_json::to_vec(&read).unwrap_or_default());
        }
        add(self.tokenizer_json().unwrap_or_default().as_bytes());
        for (name, tensor) in self.tensors().iter() {
            add(name.as_bytes());
            add(tensor.type_name().as_bytes());
            add(tensor.bytes());
            for addition in self.tensors().additions(name) {
                add(&addition);
            }
            self.tensors().forget(name);
        }
        hexadecimal(hash)
    }
}
