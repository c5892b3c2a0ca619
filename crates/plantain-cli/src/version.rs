//! What `plantain --version` says.

/// Version, build and the CPU features that the kernels use on this machine.
pub(crate) fn long() -> &'static str {
    let features = plantain::cpu_features();
    let text = format!(
        "{}\nbuild: {}\nCPU features in use: {}",
        env!("CARGO_PKG_VERSION"),
        build(),
        if features.is_empty() {
            "none beyond the baseline".to_string()
        } else {
            features.join(", ")
        }
    );
    // clap keeps the text for the life of the program.
    text.leak()
}

/// The commit, where it is known, and what the program was built for.
pub(crate) fn build() -> String {
    let commit = option_env!("PLANTAIN_COMMIT").unwrap_or("unknown");
    format!("{commit}, {}", env!("PLANTAIN_TARGET"))
}
