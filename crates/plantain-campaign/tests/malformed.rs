//! Campaigns that cannot be: each is refused in one line that says where and what.

mod support;

use support::Place;

const GOOD: &str = r#"name = "sale"
output = "{{ sku }}-{{ format }}.png"
prompt = "a {{ what }}"
rows = "rows.csv"

[matrix]
colour = ["red"]

[[format]]
name = "small"
size = "32x32"

[checks]
sharpness = 0.1
"#;
const ROWS: &str = "sku,what\n1,fox\n2,owl\n";

/// The campaign with `from` replaced, and the rows.
fn error(from: &str, to: &str, rows: &[u8]) -> String {
    assert!(GOOD.contains(from), "{from}");
    let place = Place::new(&GOOD.replacen(from, to, 1));
    place.write("rows.csv", rows);
    place.write("box.svg", r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><text id="t">{{ title }}</text></svg>"#);
    let error = place.plan().map(drop).expect_err(to).to_string();
    error.replace(
        &format!(
            "{}/",
            place.path("").display().to_string().trim_end_matches('/')
        ),
        "",
    )
}

#[test]
fn the_good_one_is_good() {
    let place = Place::new(GOOD);
    place.write("rows.csv", ROWS);
    let (_, plan) = place.plan().unwrap();
    assert_eq!(plan.shots.len(), 2);
    assert_eq!(plan.assets(), 2);
}

#[test]
fn campaigns_that_cannot_be() {
    for (from, to, expected) in [
        (
            "name = \"sale\"",
            "name = \"sale",
            "campaign.toml:1: invalid basic string",
        ),
        (
            "prompt",
            "promt",
            "campaign.toml:3: `promt`: there is no such key; did you mean `prompt`?",
        ),
        (
            "prompt = ",
            "quux = ",
            "campaign.toml:3: `quux`: there is no such key; known are name, model",
        ),
        (
            "prompt = \"a {{ what }}\"\n",
            "",
            "campaign.toml:1: missing field `prompt`",
        ),
        (
            "name = \"sale\"",
            "name = \" \"",
            "campaign.toml:1: `name`: the campaign needs a name",
        ),
        (
            "name = \"sale\"",
            "name = 5",
            "campaign.toml:1: invalid type",
        ),
        (
            "name = \"sale\"",
            "name = \"sale\"\nseed = -1",
            "campaign.toml:2: invalid value",
        ),
        (
            "name = \"sale\"",
            "name = \"sale\"\nvariants = 0",
            "campaign.toml:2: `variants`: 1 to 1000",
        ),
        (
            "name = \"sale\"",
            "name = \"sale\"\nvariants = 2\nkeep = 3",
            "campaign.toml:3: `keep`: 1 to as many",
        ),
        (
            "a {{ what }}",
            "a {{ what",
            "campaign.toml:3: `prompt`: syntax error",
        ),
        (
            "a {{ what }}",
            "a {{ waht }}",
            "campaign.toml:3: `prompt`: line 2 of rows.csv, colour red has no variable `waht`; it has campaign, colour, sku, what",
        ),
        (
            "a {{ what }}",
            "{{ what|nice }}",
            "campaign.toml:3: `prompt`: ",
        ),
        (
            "a {{ what }}",
            "{{ '' }}",
            "campaign.toml:3: `prompt`: the prompt of line 2 of rows.csv, colour red is empty",
        ),
        (
            "{{ sku }}-",
            "",
            "campaign.toml:2: `output`: line 2 of rows.csv, colour red in the format small, and line 3",
        ),
        (
            ".png",
            ".gif",
            "campaign.toml:2: `output`: `1-small.gif` does not end in .png, .jpg or .webp",
        ),
        (
            "{{ sku }}-",
            "../{{ sku }}-",
            "campaign.toml:2: `output`: `../1-small.png` of line 2",
        ),
        (
            "{{ sku }}-",
            "/{{ sku }}-",
            "campaign.toml:2: `output`: `/1-small.png` of line 2",
        ),
        ("rows.csv", "rowz.csv", "cannot read rowz.csv"),
        (
            "rows.csv",
            "campaign.toml",
            "campaign.toml: the extension is none of",
        ),
        (
            "colour = [\"red\"]",
            "colour = []",
            "campaign.toml:7: `matrix.colour`: this list has no values",
        ),
        (
            "colour = [\"red\"]",
            "colour = \"red\"",
            "campaign.toml:7: invalid type",
        ),
        (
            "colour = [\"red\"]",
            "format = [\"red\"]",
            "campaign.toml:7: `matrix.format`: this name is taken",
        ),
        (
            "colour = [\"red\"]",
            "what = [\"red\"]",
            "rows.csv:1: `what`: the matrix has a key of this name too",
        ),
        (
            "size = \"32x32\"",
            "size = \"32\"",
            "campaign.toml:11: `32` is not a size",
        ),
        (
            "size = \"32x32\"",
            "size = \"0x32\"",
            "campaign.toml:11: `0x32` is not a size",
        ),
        (
            "size = \"32x32\"",
            "",
            "campaign.toml:10: `format.0.name`: this is no format with a usual size",
        ),
        (
            "size = \"32x32\"",
            "size = \"32x32\"\nsizes = [\"8x8\"]",
            "campaign.toml:12: `format.0.sizes`: give either",
        ),
        (
            "size = \"32x32\"",
            "size = \"32x32\"\ntype = \"gif\"",
            "campaign.toml:12: unknown variant `gif`",
        ),
        (
            "size = \"32x32\"",
            "size = \"32x32\"\ntype = \"jpeg\"",
            "campaign.toml:12: `format.0.type`: it contradicts the name `1-small.png`",
        ),
        (
            "size = \"32x32\"",
            "size = \"32x32\"\nquality = 80",
            "campaign.toml:12: `format.0.quality`: png is written without loss",
        ),
        (
            "size = \"32x32\"",
            "size = \"32x32\"\nfit = \"squeeze\"",
            "campaign.toml:12: unknown variant `squeeze`",
        ),
        (
            "size = \"32x32\"",
            "size = \"32x32\"\noverlay = \"none.svg\"",
            "campaign.toml:12: `format.0.overlay`: cannot read none.svg",
        ),
        (
            "size = \"32x32\"",
            "size = \"32x32\"\noverlay = \"rows.csv\"",
            "campaign.toml:12: `format.0.overlay`: rows.csv is no .svg",
        ),
        (
            "size = \"32x32\"",
            "size = \"32x32\"\noverlay = \"box.svg\"",
            "box.svg:1: line 2 of rows.csv, colour red has no variable `title`",
        ),
        (
            "[[format]]\nname = \"small\"\nsize = \"32x32\"",
            "[[format]]\nname = \"a\"\nsize = \"8x8\"\n[[format]]\nname = \"a\"\nsize = \"9x9\"",
            "campaign.toml:13: `format.1.name`: two formats have this name",
        ),
        (
            "sharpness = 0.1",
            "sharpness = 2.0",
            "campaign.toml:14: `checks.sharpness`: 2 is out of range: 0 to 1",
        ),
        (
            "sharpness = 0.1",
            "sharpnes = 0.1",
            "campaign.toml:14: `sharpnes`: there is no such key; did you mean `sharpness`?",
        ),
        (
            "sharpness = 0.1",
            "palette_within = [\"tone\"]",
            "campaign.toml:14: `checks.palette_within`: line 2 of rows.csv, colour red has no variable `tone`",
        ),
        (
            "sharpness = 0.1",
            "duplicates = \"maybe\"",
            "campaign.toml:14: unknown variant `maybe`",
        ),
    ] {
        let error = error(from, to, ROWS.as_bytes());
        assert!(error.starts_with(expected), "{error}\n  is not\n{expected}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn rows_that_cannot_be() {
    for (rows, expected) in [
        (&b""[..], "rows.csv: the table has no rows"),
        (b"sku,what\n", "rows.csv: the table has no rows"),
        (
            b"sku,what\n1\n",
            "rows.csv:2: this line has 1 fields, the header 2",
        ),
        (
            b"sku,what\n1,a\n2,b,c\n",
            "rows.csv:3: this line has 3 fields, the header 2",
        ),
        (
            b"sku,sku\n1,a\n",
            "rows.csv:1: `sku`: two columns have this name",
        ),
        (b"sku,\n1,a\n", "rows.csv:1: column 2 has no name"),
        (
            b"sku,what,size\n1,a,b\n",
            "rows.csv:1: `size`: this name is taken by a variable",
        ),
        (b"sku,what\n1,\xff\n", "rows.csv:2: this is not UTF-8"),
        (
            b"sku,what\n1,a\n1,b\n",
            "campaign.toml:2: `output`: line 2 of rows.csv, colour red in the format small, and line 3",
        ),
        (
            b"sku,what\na:b,a\n",
            "campaign.toml:2: `output`: `a:b-small.png` of line 2 of rows.csv, colour red has a character",
        ),
    ] {
        let error = error("name", "name", rows);
        assert!(error.starts_with(expected), "{error}\n  is not\n{expected}");
    }
}
