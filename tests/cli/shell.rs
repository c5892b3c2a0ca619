//! The command among other programs: help, completions, pipes and Ctrl-C.

use std::io::Read;
use std::process::{ChildStderr, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Place, fixture};

#[test]
fn the_version_tells_the_build_and_the_cpu_features() {
    let place = Place::new();
    let long = place.run(&["--version"]).succeeded();
    let lines: Vec<_> = long.stdout.lines().collect();
    assert_eq!(lines[0], concat!("plantain ", env!("CARGO_PKG_VERSION")));
    assert!(lines[1].starts_with("build: "), "{long:?}");
    assert!(lines[2].starts_with("CPU features in use: "), "{long:?}");
    let short = place.run(&["-V"]).succeeded();
    assert_eq!(short.stdout.trim(), lines[0]);
}

#[test]
fn every_command_has_help() {
    let place = Place::new();
    let all = place.run(&["--help"]).succeeded();
    let commands = [
        "generate",
        "info",
        "convert",
        "inspect",
        "trace",
        "bench",
        "doctor",
        "devices",
        "styles",
        "completions",
    ];
    for command in commands {
        assert!(all.stdout.contains(command), "{command}");
        let help = place.run(&[command, "--help"]).succeeded();
        let usage = format!("Usage: plantain {command}");
        assert!(help.stdout.contains(&usage), "{help:?}");
    }
}

#[test]
fn without_a_command_the_help_is_shown() {
    let place = Place::new();
    let shown = place.run(&[]);
    assert_eq!(shown.code, Some(2));
    assert!(shown.stderr.contains("Usage: plantain"), "{shown:?}");
    place.run(&["paint"]).refused(&["paint"]);
}

#[test]
fn completions_name_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).succeeded().stdout;
        for word in ["plantain", "generate", "--no-refine", "completions"] {
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    place.run(&["completions", "cmd"]).refused(&["cmd", "bash"]);
}

#[test]
fn devices_and_styles_are_listed() {
    let place = Place::new();
    let devices = place.run(&["devices"]).succeeded().stdout;
    for device in ["auto", "flex", "ndarray"] {
        assert!(
            devices.lines().any(|line| line.starts_with(device)),
            "{devices}"
        );
    }
    let styles = place.run(&["styles"]).succeeded().stdout;
    assert!(
        styles.lines().any(|line| line.starts_with("3d ")),
        "{styles}"
    );
}

/// A reader that leaves, as `head` does, ends the program as it ends others, without a word.
#[test]
#[cfg(unix)]
fn a_closed_pipe_is_no_crash() {
    let place = Place::new();
    place.draw(&["-o", "made.png"]).succeeded();
    let turbo = fixture("turbo");
    let commands: [&[&str]; 7] = [
        &["styles"],
        &["doctor", "--model", &turbo],
        &["devices"],
        &["completions", "bash"],
        &["inspect", &turbo],
        &["info", "made.png"],
        &[
            "generate", "a fox", "--model", &turbo, "-o", "last.png", "--device", "flex",
        ],
    ];
    for command in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place
            .command()
            .args(command)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
        assert_eq!(output.status.code(), Some(141), "{command:?}");
    }
    assert_eq!(place.files(), ["last.png", "made.png"]);
}

#[test]
#[cfg(unix)]
fn closed_standard_error_is_no_crash() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let args = ["--guidance", "5", "-o", "a.png"];
    let status = place
        .command()
        .args(["generate", "a fox", "--model", &fixture("turbo")])
        .args(args)
        .stdout(Stdio::null())
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(place.files(), ["a.png"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_is_an_error() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Place::new()
        .command()
        .arg("styles")
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains("cannot write to standard output"),
        "{stderr}"
    );
}

/// Starts to draw with `args`, and interrupts the run once it has `begun`.
#[cfg(unix)]
fn interrupt(
    place: &Place,
    args: &[&str],
    begun: impl FnOnce(&mut ChildStderr),
) -> (Option<i32>, String) {
    let mut child = place
        .command()
        .args(["generate", "a fox", "--model", &fixture("turbo")])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    begun(&mut stderr);
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status();
    assert!(killed.unwrap().success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    (child.wait().unwrap().code(), rest)
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_leaves_nothing() {
    let place = Place::new();
    place.write("a.png", "old");
    let args = ["--steps", "900", "--size", "64x64", "-o", "a.png"];
    let (code, stderr) = interrupt(&place, &args, |stderr| {
        // The first warning comes when the model is loaded.
        stderr.read_exact(&mut [0]).unwrap();
        sleep(Duration::from_millis(200));
    });
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert_eq!(place.files(), ["a.png"]);
    assert_eq!(place.read("a.png"), b"old");
}

#[test]
#[cfg(unix)]
fn an_interrupted_series_keeps_the_finished_pictures_whole() {
    let place = Place::new();
    let args = ["-n", "10000", "--seed", "0", "-o", "a.png"];
    let (code, stderr) = interrupt(&place, &args, |_| {
        let patience = Instant::now() + Duration::from_secs(30);
        while !place.path("a-2.png").exists() {
            assert!(Instant::now() < patience);
            sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(code, Some(130), "{stderr}");
    let files = place.files();
    assert!((3..10_000).contains(&files.len()), "{files:?}");
    for seed in 0..files.len() {
        let image = place.image(&format!("a-{seed}.png"));
        assert_eq!(image.dimensions(), (24, 16));
    }
}
