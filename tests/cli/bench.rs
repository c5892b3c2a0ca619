//! `plantain bench`: rows, tables, charts, reports and comparisons.

use serde_json::Value;

use crate::support::{Outcome, Place, fixture};

const SCHEMA: &str = include_str!("../../benches/report.schema.json");

fn bench(place: &Place, args: &[&str]) -> Outcome {
    let model = fixture("turbo");
    let command = ["bench", "--model", &model, "--runs", "2"];
    place.run(&[&command[..], args].concat())
}

/// What is wrong with `value` by the rules that `report.schema.json` uses.
fn faults(value: &Value, schema: &Value, path: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, rule: &Value| {
        if !holds {
            faults.push(format!("{path} is {value}, against {rule}"));
        }
    };
    for (rule, expected) in schema.as_object().unwrap() {
        match rule.as_str() {
            "type" => check(has_type(value, expected), expected),
            "enum" => check(expected.as_array().unwrap().contains(value), expected),
            "minimum" if value.is_number() => check(value.as_f64() >= expected.as_f64(), expected),
            "maximum" if value.is_number() => check(value.as_f64() <= expected.as_f64(), expected),
            "required" => {
                for name in expected.as_array().unwrap() {
                    check(value.get(name.as_str().unwrap()).is_some(), name);
                }
            }
            "properties" | "items" | "additionalProperties" | "minimum" | "maximum" => {}
            "title" | "description" | "$schema" => {}
            rule => panic!("this check does not know the rule `{rule}`"),
        }
    }
    let none = Value::Bool(false);
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let known = schema.get("properties").and_then(|p| p.get(name));
        match known.or(schema.get("additionalProperties")) {
            Some(schema) if *schema != none => faults.extend(self::faults(value, schema, &path)),
            _ => faults.push(format!("{path} is unknown")),
        }
    }
    for (i, value) in value.as_array().into_iter().flatten().enumerate() {
        faults.extend(self::faults(
            value,
            &schema["items"],
            &format!("{path}[{i}]"),
        ));
    }
    faults
}

fn has_type(value: &Value, expected: &Value) -> bool {
    if let Some(any) = expected.as_array() {
        return any.iter().any(|expected| has_type(value, expected));
    }
    match expected.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        unknown => panic!("this check does not know the type `{unknown}`"),
    }
}

#[test]
fn every_combination_is_a_row_of_json() {
    let place = Place::new();
    let parts = "text-encoder,unet,decoder,pipeline";
    let args = ["--device", "flex,ndarray", "--precision", "f32,int8"];
    let rows = bench(&place, &[&args[..], &["--part", parts, "--json"]].concat()).succeeded();
    let rows: Vec<Value> = rows
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 16);
    for row in &rows {
        let pipeline = row["part"] == "pipeline";
        assert_eq!(row["picture_s"] == row["median_s"], pipeline, "{row}");
        assert_eq!(row["steps"].is_null(), !pipeline, "{row}");
        let steps = pipeline || row["part"] == "unet";
        assert_eq!(row["step_s"].is_null(), !steps, "{row}");
        assert_eq!(row["runs"], 2);
        let error = row["max_abs"].as_f64().unwrap();
        match row["precision"].as_str().unwrap() {
            "f32" => assert!(error < 1e-4, "{row}"),
            _ => assert!(error < 1.0, "{row}"),
        }
        assert_eq!(row["psnr_db"].is_null(), error == 0.0, "{row}");
    }
    let reference = |row: &&Value| row["device"] == "flex" && row["precision"] == "f32";
    for row in rows.iter().filter(reference) {
        assert_eq!(row["max_abs"], 0.0, "{row}");
    }
}

#[test]
fn files_hold_what_is_printed() {
    let place = Place::new();
    let files = [
        "--report",
        "new.json",
        "--markdown",
        "new.md",
        "--chart",
        "new.svg",
    ];
    let args = ["--part", "unet,decoder", "--precision", "f32,bf16"];
    let printed = bench(&place, &[&args[..], &files].concat()).succeeded();
    assert!(printed.stdout.contains("flex bf16"), "{printed:?}");
    let report: Value = serde_json::from_slice(&place.read("new.json")).unwrap();
    let schema = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(faults(&report, &schema, "report"), Vec::<String>::new());
    assert_eq!(report["rows"].as_array().unwrap().len(), 4);
    assert!(report["machine"]["devices"]["flex"].is_string());
    let markdown = String::from_utf8(place.read("new.md")).unwrap();
    let rows = markdown.lines().filter(|line| line.starts_with("| "));
    assert_eq!(rows.count(), 5, "{markdown}");
    let chart = String::from_utf8(place.read("new.svg")).unwrap();
    assert!(chart.starts_with("<svg "), "{chart}");
    for name in ["unet flex f32", "decoder flex bf16"] {
        assert!(chart.contains(name), "{name}: {chart}");
    }
    assert_eq!(place.files(), ["new.json", "new.md", "new.svg"]);
}

#[test]
fn a_report_is_compared_with_an_earlier_one() {
    let place = Place::new();
    let args = ["--part", "unet,decoder", "--report", "old.json"];
    bench(&place, &args).succeeded();
    let args = ["--part", "unet,text-encoder", "--compare", "old.json"];
    let compared = bench(&place, &args).succeeded().stdout;
    let (_, ratios) = compared.split_once("new / old").unwrap();
    assert!(ratios.lines().any(|l| l.starts_with("unet ")), "{ratios}");
    let (unknown, missing) = ratios.split_once("not measured now:").unwrap();
    let (_, unknown) = unknown.split_once("not in the old report:").unwrap();
    assert!(unknown.contains("text-encoder of"), "{ratios}");
    assert!(missing.contains("decoder of"), "{ratios}");
    let sizes = ["--part", "unet", "--size", "32x32", "--compare", "old.json"];
    let compared = bench(&place, &sizes).succeeded().stdout;
    assert!(compared.contains("at 32x32"), "{compared}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let place = Place::new();
    bench(&place, &["--size", "17x16"]).refused(&["17x16", "multiples of"]);
    bench(&place, &["--part", "sampler"]).refused(&["sampler", "text-encoder"]);
    bench(&place, &["--compare", "none.json"]).refused(&["none.json", "--report"]);
    bench(&place, &["--part", "unet", "--steps", "0"]).succeeded();
    bench(&place, &["--part", "pipeline", "--steps", "0"]).refused(&["0"]);
    place.write("old.json", "{}");
    bench(&place, &["--compare", "old.json"]).refused(&["old.json", "machine"]);
    let sharded = ["--model", &fixture("sharded"), "--part", "text-encoder"];
    place
        .run(&[&["bench"], &sharded[..]].concat())
        .refused(&["text"]);
    let arguments = ["--part", "unet", "--chart", "no/chart.svg"];
    let failed = bench(&place, &arguments);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.says("cannot write no/chart.svg"), "{failed:?}");
}
