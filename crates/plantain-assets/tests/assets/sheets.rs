use image::{Rgb, RgbImage};
use plantain_assets::{Tile, contact_sheet};

fn tile(label: &str, dimmed: bool) -> Tile {
    Tile {
        image: RgbImage::from_pixel(60, 40, Rgb([200, 30, 30])),
        label: label.to_string(),
        dimmed,
    }
}

/// Pixels darker than any part of the paper or a dimmed picture.
fn dark(sheet: &RgbImage) -> usize {
    sheet
        .pixels()
        .filter(|pixel| pixel.0.iter().all(|&byte| byte < 150))
        .count()
}

fn red(sheet: &RgbImage) -> usize {
    sheet
        .pixels()
        .filter(|pixel| pixel.0 == [200, 30, 30])
        .count()
}

#[test]
fn every_picture_is_shown_whole_and_dimmed_ones_pale() {
    let tiles: Vec<Tile> = (0..7).map(|index| tile("", index == 3)).collect();
    let sheet = contact_sheet(&tiles, 3, 96);
    // Six pictures of 96x64 that keep their colour.
    assert_eq!(red(&sheet), 6 * 96 * 64);
    assert_eq!(sheet.width(), 3 * (96 + 6) + 6);
}

#[test]
fn labels_are_written_and_long_ones_shortened() {
    let none = dark(&contact_sheet(&[tile("", false)], 1, 160));
    let short = dark(&contact_sheet(&[tile("fox-1", false)], 1, 160));
    let long = "a very long label that says everything about it ".repeat(20);
    let sheet = contact_sheet(&[tile(&long, false)], 1, 160);
    assert_eq!(none, 0);
    assert!(
        short > 30 && dark(&sheet) > short,
        "{short} {}",
        dark(&sheet)
    );
    let margin = sheet
        .enumerate_pixels()
        .filter(|(x, ..)| *x < 10 || *x >= 170);
    assert!(margin.into_iter().all(|(.., pixel)| pixel.0 == [246; 3]));
}

#[test]
fn labels_and_sheets_of_any_kind_do_no_harm() {
    for label in [
        "<&>\"'",
        "\u{0}\u{1b}\n",
        "🦊",
        "\u{fffe}",
        "   ",
        "مرحبا",
        "]]>",
    ] {
        assert!(contact_sheet(&[tile(label, true)], 0, 40).width() > 40);
    }
    assert_eq!(red(&contact_sheet(&[], 4, 100)), 0);
    contact_sheet(&[tile("x", false)], 1, 0);
    contact_sheet(&[tile("wide", false)], usize::MAX, 1);
    let empty = Tile {
        image: RgbImage::new(0, 0),
        ..tile("nothing", false)
    };
    contact_sheet(&[empty], 1, 64);
}
