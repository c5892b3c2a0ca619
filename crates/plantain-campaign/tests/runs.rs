//! Runs that are stopped, changed, split and joined.

mod support;

use plantain_campaign::*;
use support::{Drawer, Place};

const CAMPAIGN: &str = r#"name = "sale"
output = "{{ what }}/{{ format }}-{{ variant }}.{{ extension }}"
prompt = "a {{ what }} in {{ colour }}"
variants = 3
keep = 2
sizes = ["24x16", "16x24"]
rows = "rows.csv"

[[format]]
name = "card"
size = "24x16"

[[format]]
name = "tall"
size = "16x40"
type = "jpeg"

[checks]
contrast = 0.02
margin = 0.01
duplicates = "drop"
rerolls = 3
"#;
const ROWS: &str = "what,colour\nfox,red\nowl,grey\nbee,blue\nant,black\n";

fn place() -> Place {
    let place = Place::new(CAMPAIGN);
    place.write("rows.csv", ROWS);
    place
}

fn whole(place: &Place, out: &str) -> (Outcome, usize) {
    let mut drawer = Drawer::default();
    let outcome = place
        .run(out, Shard::WHOLE, &mut drawer, usize::MAX)
        .unwrap();
    (outcome, drawer.drawn)
}

#[test]
fn what_is_finished_is_not_done_again() {
    let place = place();
    let (outcome, drawn) = whole(&place, "out");
    assert!(outcome.drawn >= 12 && outcome.drawn == drawn, "{outcome:?}");
    assert!(
        outcome.assets > 0 && outcome.made == outcome.assets,
        "{outcome:?}"
    );
    let first = place.result("out");
    let (again, drawn) = whole(&place, "out");
    assert_eq!((again.drawn, again.made, drawn), (0, 0, 0));
    assert_eq!(again.assets, outcome.assets);
    assert_eq!(place.result("out"), first);
}

#[test]
fn an_asset_says_how_its_picture_was_made() {
    let place = place();
    let campaign = CAMPAIGN.replace("variants = 3", "variants = 3\nnegative = \"snow\"");
    place.write("campaign.toml", campaign);
    whole(&place, "out");
    let told = plantain::read_parameters(&place.path("out/fox/card-1.png")).unwrap();
    assert_eq!(told.prompt, "a fox in red");
    assert_eq!(told.negative_prompt, "snow");
    let (_, plan) = place.plan().unwrap();
    let shot = plan.shots.iter().find(|shot| shot.prompt == told.prompt);
    let seeds = shot.unwrap().seed..shot.unwrap().seed + 12;
    assert!(seeds.contains(&told.seed), "{}", told.seed);
    assert_eq!([told.settings.width, told.settings.height], [24, 16]);
    assert_eq!(told.model, "drawer");
}

#[test]
fn wherever_a_run_stops_the_next_one_ends_the_same() {
    let place = place();
    let (outcome, _) = whole(&place, "whole");
    let expected = place.result("whole");
    let steps = outcome.drawn + outcome.made;
    for stop in (1..steps).step_by(3) {
        let out = format!("out-{stop}");
        let stopped = place.run(&out, Shard::WHOLE, &mut Drawer::default(), stop);
        assert!(
            matches!(stopped, Err(CampaignError::Stopped)),
            "{stop}: {stopped:?}"
        );
        let (rest, _) = whole(&place, &out);
        assert!(
            rest.drawn < outcome.drawn || rest.made < outcome.made,
            "{stop}"
        );
        assert_eq!(place.result(&out), expected, "{stop}");
    }
}

#[test]
fn a_changed_row_is_drawn_again_and_no_other() {
    let place = place();
    whole(&place, "out");
    place.write("rows.csv", ROWS.replace("grey", "brown"));
    let (outcome, _) = whole(&place, "out");
    assert!(
        outcome.drawn > 0 && outcome.drawn <= 4 * 2 * 3,
        "{outcome:?}"
    );
    assert!(outcome.made <= 4, "{outcome:?}");
}

#[test]
fn an_asset_is_made_again_when_what_its_overlay_links_to_changes() {
    let place = place();
    let (campaign, _) = CAMPAIGN.split_once("[checks]").unwrap();
    let linked = campaign.replacen(
        "24x16\"\n\n",
        "24x16\"\noverlay = \"brand/card.svg\"\n\n",
        1,
    );
    place.write("campaign.toml", linked);
    place.write(
        "brand/card.svg",
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="24" height="16">
            <image href="marks/{{ what }}/logo.png" width="8" height="8"/></svg>"#,
    );
    let logo = |what: &str, grey: u8| {
        let path = place.path(&format!("brand/marks/{what}/logo.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let logo = image::GrayImage::from_pixel(4, 4, image::Luma([grey]));
        logo.save(path).unwrap();
    };
    for what in ["fox", "owl", "bee", "ant"] {
        logo(what, 0);
    }
    let (first, _) = whole(&place, "out");
    assert_eq!(first.lacking, Vec::<String>::new());
    let before = place.result("out");
    logo("owl", 255);
    place.write("brand/marks/unused.png", "nothing links to it");
    let (again, _) = whole(&place, "out");
    assert_eq!((again.drawn, again.made), (0, 2));
    let after = place.result("out");
    let changed = before.keys().filter(|name| before[*name] != after[*name]);
    let changed: Vec<_> = changed.filter(|name| *name != MANIFEST).collect();
    assert_eq!(changed, ["owl/card-1.png", "owl/card-2.png"]);
    // One that is gone is missed, and not passed over in silence.
    std::fs::remove_file(place.path("brand/marks/bee/logo.png")).unwrap();
    let (without, _) = whole(&place, "out");
    assert_eq!((without.made, without.lacking.len()), (0, 2));
}

#[test]
fn rows_may_move() {
    // Which of two that look alike is set aside depends on their order, so nothing is compared here.
    let place = place();
    let (campaign, _) = CAMPAIGN.split_once("[checks]").unwrap();
    place.write("campaign.toml", campaign);
    whole(&place, "out");
    let mut rows: Vec<_> = ROWS.lines().collect();
    rows[1..].reverse();
    place.write("rows.csv", rows.join("\n"));
    let (outcome, _) = whole(&place, "out");
    assert_eq!((outcome.drawn, outcome.made), (0, 0));
}

#[test]
fn a_damaged_or_missing_file_is_made_again() {
    let place = place();
    whole(&place, "out");
    let expected = place.result("out");
    let asset = expected
        .keys()
        .find(|name| name.ends_with(".png") && !name.contains("sheet"));
    let asset = asset.unwrap();
    place.write(&format!("out/{asset}"), b"cut off");
    let (outcome, _) = whole(&place, "out");
    assert_eq!((outcome.drawn, outcome.made), (0, 1));
    assert_eq!(place.result("out"), expected);
}

#[test]
fn shards_in_any_order_make_the_whole() {
    let place = place();
    let (outcome, _) = whole(&place, "whole");
    let expected = place.result("whole");
    let shard = |text: &str| match text.parse() {
        Ok(ShardChoice::Given(shard)) => shard,
        other => panic!("{other:?}"),
    };
    let mut drawn = 0;
    for part in ["3/4", "1/4", "4/4"] {
        let mut drawer = Drawer::default();
        // Two of them share a folder.
        let out = if part == "3/4" { "a" } else { "b" };
        place
            .run(out, shard(part), &mut drawer, usize::MAX)
            .unwrap();
        drawn += drawer.drawn;
    }
    let error = place.merge("joined", &["a", "b"]).unwrap_err();
    assert!(
        matches!(error, CampaignError::Incomplete { expected: 24, .. }),
        "{error}"
    );
    let mut drawer = Drawer::default();
    place
        .run("c", shard("2/4"), &mut drawer, usize::MAX)
        .unwrap();
    assert_eq!(drawn + drawer.drawn, 24);
    let joined = place.merge("joined", &["a", "b", "c"]).unwrap();
    assert_eq!(joined.drawn, outcome.drawn - 24);
    assert_eq!(place.result("joined"), expected);
}

#[test]
fn a_picture_that_fails_does_not_stop_the_rest() {
    let place = place();
    let mut drawer = Drawer {
        failing: Some(2),
        ..Drawer::default()
    };
    let outcome = place
        .run("out", Shard::WHOLE, &mut drawer, usize::MAX)
        .unwrap();
    assert!(outcome.assets > 0, "{outcome:?}");
    let result = place.result("out");
    let manifest = String::from_utf8_lossy(&result[MANIFEST]);
    assert!(manifest.contains("could not be drawn: the UNet produced"));
    let (again, drawn) = whole(&place, "out");
    assert!(again.drawn > 0 && again.drawn == drawn, "{again:?}");
    let result = place.result("out");
    assert!(!String::from_utf8_lossy(&result[MANIFEST]).contains("could not be drawn"));
}

#[test]
fn files_that_no_longer_belong_to_the_campaign_are_named() {
    let place = place();
    let (outcome, _) = whole(&place, "out");
    assert!(outcome.left.is_empty(), "{outcome:?}");
    place.write("rows.csv", ROWS.replace("bee,blue\n", ""));
    let (outcome, _) = whole(&place, "out");
    assert!(!outcome.left.is_empty());
    for path in &outcome.left {
        assert!(path.starts_with("bee/"), "{path}");
        assert!(place.path("out").join(path).exists());
    }
}

#[test]
fn two_runs_do_not_share_a_ledger() {
    let place = place();
    std::fs::create_dir_all(place.path("out/.plantain")).unwrap();
    let ledger = std::fs::File::create(place.path("out/.plantain/ledger.jsonl")).unwrap();
    ledger.lock().unwrap();
    let error = place.run("out", Shard::WHOLE, &mut Drawer::default(), usize::MAX);
    assert!(
        matches!(error, Err(CampaignError::Busy { .. })),
        "{error:?}"
    );
}

#[test]
fn locales_share_a_picture() {
    let place = Place::new(
        r#"name = "posts"
output = "{{ locale }}.png"
prompt = "a fox"
rows = "rows.jsonl"
[[format]]
name = "card"
size = "24x16"
"#,
    );
    place.write("rows.jsonl", "{\"locale\": \"en\"}\n{\"locale\": \"de\"}\n");
    let (outcome, drawn) = whole(&place, "out");
    assert_eq!((outcome.assets, drawn), (2, 1));
}
