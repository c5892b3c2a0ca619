//! Prompts of every kind, from the command line and from standard input.

use crate::support::{Outcome, Place, fixture};

fn draw_stdin(place: &Place, input: impl Into<Vec<u8>>) -> Outcome {
    let model = fixture("turbo");
    let args = [
        "generate", "-", "--model", &model, "--seed", "1", "-o", "in.png", "--json",
    ];
    place.run_with(&args, input)
}

fn prompt(drawn: &Outcome) -> String {
    let object: serde_json::Value = serde_json::from_str(&drawn.stdout).unwrap();
    object["prompt"].as_str().unwrap().to_string()
}

#[test]
fn a_hyphen_reads_the_prompt_from_standard_input() {
    let place = Place::new();
    let drawn = draw_stdin(&place, "a red fox\n").succeeded();
    assert_eq!(prompt(&drawn), "a red fox");
    place.draw(&["--seed", "1", "-o", "arg.png"]).succeeded();
    assert_eq!(place.read("in.png"), place.read("arg.png"));
}

#[test]
fn an_empty_prompt_draws() {
    let place = Place::new();
    assert_eq!(prompt(&draw_stdin(&place, "").succeeded()), "");
    assert_eq!(prompt(&draw_stdin(&place, "\n\n").succeeded()), "");
    place
        .draw_from("", &fixture("turbo"), &["-o", "a.png"])
        .succeeded();
}

#[test]
fn several_lines_are_one_prompt() {
    let place = Place::new();
    let drawn = draw_stdin(&place, "a fox\r\nin snow\n").succeeded();
    assert_eq!(prompt(&drawn), "a fox\r\nin snow");
}

#[test]
fn any_script_is_a_prompt() {
    let place = Place::new();
    for text in [
        "ein Füchslein",
        "赤い狐",
        "🦊🦊",
        "ثعلب أحمر",
        "e\u{301}\u{200b}",
    ] {
        let drawn = draw_stdin(&place, text).succeeded();
        assert_eq!(prompt(&drawn), text);
    }
}

#[test]
fn a_very_long_prompt_is_cut_with_a_warning() {
    let place = Place::new();
    let drawn = draw_stdin(&place, "fox ".repeat(10_000)).succeeded();
    assert!(
        drawn.says("warning: the prompt is too long for this model"),
        "{}",
        drawn.stderr
    );
    assert_eq!(place.image("in.png").dimensions(), (24, 16));
}

#[test]
fn a_very_long_negative_prompt_is_cut_with_a_warning() {
    let place = Place::new();
    let snow = "snow ".repeat(50);
    let drawn = place
        .draw(&["--negative", &snow, "--guidance", "3"])
        .succeeded();
    assert!(drawn.says("warning: the negative prompt is too long for this model"));
}

#[test]
fn an_endless_prompt_is_refused() {
    let place = Place::new();
    draw_stdin(&place, "fox ".repeat(300_000)).refused(&["longer than 1 MiB"]);
    assert!(place.files().is_empty());
}

#[test]
fn a_prompt_that_is_no_text_is_refused() {
    let place = Place::new();
    draw_stdin(&place, b"\xff\xfe\x00").refused(&["standard input", "not UTF-8"]);
    assert!(place.files().is_empty());
}

#[test]
fn a_prompt_is_needed() {
    let place = Place::new();
    place.run(&["generate"]).refused(&["<PROMPT>"]);
}

#[test]
fn a_model_without_a_tokenizer_cannot_be_prompted() {
    let place = Place::new();
    let drawn = place.draw_from("a fox", &fixture("sharded"), &["-o", "a.png"]);
    drawn.refused(&["`sharded` has no tokenizer", "plantain trace"]);
    assert!(place.files().is_empty());
}
