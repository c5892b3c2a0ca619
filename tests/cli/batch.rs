//! `plantain batch`

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Place, fixture};

const CAMPAIGN: &str = r#"name = "sale"
output = "{{ what }}-{{ format }}.png"
prompt = "a {{ what }}"
variants = 2
rows = "rows.csv"

[[format]]
name = "card"
size = "24x16"

[[format]]
name = "tall"
size = "40x80"
fit = "crop"
"#;
const THINGS: [&str; 6] = ["fox", "owl", "bee", "ant", "cat", "dog"];

/// A folder with a campaign for the fixture `turbo`, of so many rows.
fn place(rows: usize) -> Place {
    let place = Place::new();
    let head = format!("model = {:?}\n", fixture("turbo"));
    place.write("campaign.toml", head + CAMPAIGN);
    let rows: Vec<_> = THINGS.iter().take(rows).copied().collect();
    place.write("rows.csv", format!("what\n{}\n", rows.join("\n")));
    place
}

/// Checks that two runs came to the same.
#[track_caller]
fn assert_same(found: &Files, expected: &Files, when: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{when}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{name} differs {when}");
    }
}

type Files = BTreeMap<String, Vec<u8>>;

/// Every file in `folder` but those that name times, and the manifest without them.
fn result(folder: &Path) -> Files {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_file() && name != "report.html" {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    let manifest = String::from_utf8(files.remove("manifest.jsonl").unwrap()).unwrap();
    for (i, line) in manifest.lines().enumerate() {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("timings").unwrap();
        files.insert(format!("line {i}"), line.to_string().into_bytes());
    }
    files
}

#[test]
fn a_campaign_is_rendered_and_told_about() {
    let place = place(2);
    let told = place
        .run(&["batch", "campaign.toml", "--out", "out"])
        .succeeded();
    let expected =
        "4 pictures drawn, 4 files made, 4 in all; see out/report.html and out/manifest.jsonl\n";
    assert_eq!(told.stdout, expected);
    let files = result(&place.path("out"));
    let card = image::load_from_memory(&files["fox-card.png"]).unwrap();
    let tall = image::load_from_memory(&files["owl-tall.png"]).unwrap();
    assert_eq!((card.width(), card.height()), (24, 16));
    assert_eq!((tall.width(), tall.height()), (40, 80));
    let report = String::from_utf8(place.read("out/report.html")).unwrap();
    assert_eq!(report.matches("<article").count(), 4);
    let again = place
        .run(&["batch", "campaign.toml", "--out", "out", "--json"])
        .succeeded();
    let again: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        [&again["drawn"], &again["made"], &again["assets"]],
        [0, 0, 4]
    );
}

#[test]
fn a_text_that_is_too_long_is_told_once() {
    let place = place(1);
    let campaign = String::from_utf8(place.read("campaign.toml")).unwrap();
    let endless = format!("prompt = \"a {{{{ what }}}} {}\"", "fox ".repeat(500));
    place.write(
        "campaign.toml",
        campaign.replace("prompt = \"a {{ what }}\"", &endless),
    );
    let told = place.run(&["batch", "campaign.toml"]).succeeded();
    let warning = "the text is too long for this model; it is cut before `fox";
    assert_eq!(told.stderr.matches(warning).count(), 1, "{told:?}");
}

#[test]
fn what_does_not_fit_into_memory_is_refused_before_anything_is_drawn() {
    let place = place(1);
    let before = place.files();
    let told = place.run(&["batch", "campaign.toml", "--memory", "0"]);
    told.refused(&["MB of memory at least, and 0 MB may be used"]);
    assert_eq!(place.files(), before);
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = place(3);
    let before = place.files();
    let told = place
        .run(&["batch", "campaign.toml", "--out", "out", "--dry-run"])
        .succeeded();
    for part in [
        "6 pictures of 24x16",
        "6 files of 3 kept pictures",
        "fox-card.png",
    ] {
        assert!(told.stdout.contains(part), "{part}: {told:?}");
    }
    assert_eq!(place.files(), before);
}

#[test]
fn what_is_lacking_is_told_by_the_exit_code() {
    let place = place(1);
    let campaign = String::from_utf8(place.read("campaign.toml")).unwrap();
    place.write(
        "campaign.toml",
        campaign + "[checks]\nsharpness = 1.0\nrerolls = 1\n",
    );
    let told = place.run(&["batch", "campaign.toml", "--out", "out"]);
    assert_eq!(told.code, Some(3), "{told:?}");
    assert!(
        told.says("warning: line 2 of rows.csv in 24x16: 1 too few pictures are good enough"),
        "{told:?}"
    );
    assert!(
        told.stdout.starts_with("4 pictures drawn, 0 files made"),
        "{told:?}"
    );
}

#[test]
fn campaigns_that_cannot_be_rendered() {
    let place = place(1);
    place.run(&["batch"]).refused(&["<CAMPAIGN>"]);
    place
        .run(&["batch", "none.toml"])
        .refused(&["cannot read none.toml"]);
    place
        .run(&["batch", "campaign.toml", "--shard", "3/2"])
        .refused(&["shards count from 1/2"]);
    place
        .run(&["batch", "campaign.toml", "--shard", "auto"])
        .refused(&["no scheduler"]);
    place
        .run(&["batch", "campaign.toml", "--out", "rows.csv"])
        .refused(&["cannot write rows.csv"]);
    place
        .run(&["batch", "merge", "campaign.toml", "--out", "out"])
        .refused(&["2 of 2 pictures are missing"]);
    let campaign = String::from_utf8(place.read("campaign.toml")).unwrap();
    place.write("campaign.toml", format!("steps = 5000\n{campaign}"));
    place
        .run(&["batch", "campaign.toml"])
        .refused(&["1 to 1000 steps"]);
    place.write("campaign.toml", "nam = 1");
    place
        .run(&["batch", "campaign.toml"])
        .refused(&["campaign.toml:1", "did you mean `name`?"]);
}

#[test]
fn the_schema_is_printed() {
    let place = Place::new();
    let schema = place.run(&["batch", "schema"]).succeeded().stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["properties"]["format"].is_object());
}

#[test]
fn shards_are_joined() {
    let place = place(5);
    place
        .run(&["batch", "campaign.toml", "--out", "whole"])
        .succeeded();
    for part in ["3/4", "1/4", "4/4", "2/4"] {
        let told = place.run(&["batch", "campaign.toml", "--out", "my out", "--shard", part]);
        let told = told.succeeded();
        assert!(told.stdout.contains("pictures drawn"), "{part}");
        assert!(told.says("merge campaign.toml --out 'my out'"), "{told:?}");
    }
    place
        .run(&["batch", "merge", "campaign.toml", "--out", "my out"])
        .succeeded();
    let expected = result(&place.path("whole"));
    assert_same(&result(&place.path("my out")), &expected, "of four shards");
}

#[test]
#[cfg(unix)]
fn killed_at_any_moment_a_campaign_ends_the_same() {
    const KILLS: u32 = 20;
    let place = place(6);
    let began = Instant::now();
    place
        .run(&["batch", "campaign.toml", "--out", "whole"])
        .succeeded();
    let whole = began.elapsed();
    let expected = result(&place.path("whole"));
    // Spread over the time of a run, in an order that is not that of time.
    for kill in 0..KILLS {
        let moment = whole * (kill * 7 % KILLS) / KILLS;
        let mut child = place
            .command()
            .args(["batch", "campaign.toml", "--out", "out", "--quiet"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        if kill % 5 == 4 {
            place
                .run(&["batch", "campaign.toml", "--out", "out"])
                .succeeded();
            let when = format!("after {} kills", kill + 1);
            assert_same(&result(&place.path("out")), &expected, &when);
            fs::remove_dir_all(place.path("out")).unwrap();
        }
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_finishes_the_picture_and_keeps_it() {
    let place = place(6);
    let child = place
        .command()
        .args(["batch", "campaign.toml", "--out", "out"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ledger = place.path("out/.plantain/ledger.jsonl");
    let began = Instant::now();
    while fs::read(&ledger).unwrap_or_default().is_empty()
        && began.elapsed() < Duration::from_secs(60)
    {
        sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // It may have been quicker.
    if output.status.code() != Some(0) {
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(told.contains("what is finished is kept"), "{told}");
    }
    let rest = place
        .run(&["batch", "campaign.toml", "--out", "out", "--json"])
        .succeeded();
    let rest: serde_json::Value = serde_json::from_str(&rest.stdout).unwrap();
    assert!(rest["drawn"].as_u64() < Some(12), "{rest}");
}
