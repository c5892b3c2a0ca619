//! The page: one file that needs nothing else, to look through, to filter and to print.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use image::RgbImage;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value};
use plantain_assets::{AssetFormat, contained, encode};
use serde::Serialize;

use super::cannot;
use crate::error::CampaignError;
use crate::manifest::Line;
use crate::run::Run;

const TEMPLATE: &str = include_str!("report.html");

/// Longest side of a picture on the page, in pixels.
const THUMBNAIL: u32 = 192;

/// What the page shows.
#[derive(Serialize)]
struct Page<'a> {
    campaign: &'a str,
    prompt: &'a str,
    figures: Vec<Figure>,
    reasons: Vec<(String, usize)>,
    formats: Vec<&'a str>,
    rows: Vec<&'a str>,
    cards: Vec<Card<'a>>,
}

/// A picture as the page shows it.
#[derive(Serialize)]
struct Card<'a> {
    line: &'a Line,
    /// The picture as a `data:` address; empty where there is none.
    image: String,
    /// Names of its formats, a line each, for the filter.
    formats: String,
    /// Whose assets it is for, a line each.
    rows: String,
    colours: Vec<String>,
}

/// A number of the summary.
#[derive(Serialize)]
struct Figure {
    name: &'static str,
    value: String,
}

/// The page for `lines`, with a thumbnail for each.
pub(super) fn page(
    run: Run<'_>,
    lines: &[Line],
    thumbnails: Vec<String>,
) -> Result<String, CampaignError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let added = environment.add_template("report", TEMPLATE);
    let template = added.and_then(|()| environment.get_template("report"));
    let cards = lines.iter().zip(thumbnails);
    let cards = cards.map(|(line, image)| card(run, line, image)).collect();
    let campaign = &run.file.campaign;
    let values = Page {
        campaign: &campaign.name,
        prompt: &campaign.prompt,
        figures: figures(lines),
        reasons: reasons(lines),
        formats: campaign
            .format
            .iter()
            .map(|format| format.name.as_str())
            .collect(),
        rows: rows(run),
        cards,
    };
    let values = Value::from(Serde(&values));
    let page = template.and_then(|template| template.render(values));
    page.map_err(|error| cannot("the report", &error))
}

/// Everyone whose assets there are, in the order of the campaign.
fn rows<'a>(run: Run<'a>) -> Vec<&'a str> {
    let assets = run.plan.shots.iter().flat_map(|shot| &shot.assets);
    let mut seen = BTreeSet::new();
    let names = assets.map(|asset| asset.of.as_str());
    names.filter(|name| seen.insert(*name)).collect()
}

fn card<'a>(run: Run<'_>, line: &'a Line, image: String) -> Card<'a> {
    let assets = run.plan.shots[line.shot_number].assets.iter();
    let format = |number: usize| run.file.campaign.format[number].name.as_str();
    let formats: BTreeSet<&str> = assets.clone().map(|asset| format(asset.format)).collect();
    let rows: BTreeSet<&str> = assets.map(|asset| asset.of.as_str()).collect();
    let joined = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join("\n");
    let palette = line.drawn.iter().flat_map(|drawn| &drawn.checks.palette);
    Card {
        line,
        image,
        formats: joined(formats),
        rows: joined(rows),
        colours: palette.map(|swatch| swatch.rgb.to_string()).collect(),
    }
}

/// A picture as the address of a small JPEG.
pub(super) fn thumbnail(picture: &RgbImage) -> Result<String, CampaignError> {
    let small = if picture.width().max(picture.height()) > THUMBNAIL {
        &contained(picture, [THUMBNAIL; 2])
    } else {
        picture
    };
    let bytes = encode(small, AssetFormat::Jpeg, Some(80), None);
    let bytes = bytes.map_err(|error| cannot("a thumbnail", &error))?;
    Ok(format!("data:image/jpeg;base64,{}", BASE64.encode(bytes)))
}

fn figures(lines: &[Line]) -> Vec<Figure> {
    let files = || lines.iter().flat_map(|line| &line.files);
    let made = files().filter(|file| file.failure.is_none()).count();
    let drawing: f64 = lines.iter().map(|line| line.timings.drawing).sum();
    let drawn = lines.iter().filter(|line| line.drawn.is_some()).count();
    let kept = lines
        .iter()
        .filter(|line| line.decision.kept.is_some())
        .count();
    let mut each = String::new();
    let _ = write!(each, "{:.2} s", drawing / drawn.max(1) as f64);
    let figure = |name, value: String| Figure { name, value };
    vec![
        figure("pictures drawn", drawn.to_string()),
        figure("kept", kept.to_string()),
        figure("files made", made.to_string()),
        figure("files that failed", (files().count() - made).to_string()),
        figure("a picture", each),
    ]
}

/// How many pictures were set aside for each kind of reason, the most frequent first.
fn reasons(lines: &[Line]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.decision.kept.is_none()) {
        // Numbers make every reason another one.
        let kind: String = line
            .decision
            .reason
            .chars()
            .take_while(|c| !c.is_ascii_digit())
            .collect();
        let kind = kind.trim().trim_end_matches("is below");
        let kind = if kind.is_empty() {
            "better ones of the same prompt"
        } else {
            kind.trim()
        };
        *counts.entry(kind.to_string()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
