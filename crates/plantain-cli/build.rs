//! Records what was built, for `plantain --version`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for moved in ["HEAD", "logs/HEAD"] {
        let path = format!("../../.git/{moved}");
        if std::path::Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let describe = ["describe", "--always", "--dirty", "--abbrev=9"];
    let output = Command::new("git").args(describe).output();
    // Built from an archive there is no repository, and nothing to record.
    let commit = output
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| text.trim().to_string())
        .filter(|text| !text.is_empty());
    if let Some(commit) = commit {
        println!("cargo::rustc-env=PLANTAIN_COMMIT={commit}");
    }
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=PLANTAIN_TARGET={target}");
}
