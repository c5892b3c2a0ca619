//! What a campaign leaves besides its assets: the manifest, a page to look at, and contact sheets.

mod page;

use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use plantain_assets::{TILES_PER_PAGE, Tile, contact_sheet, contained};
use rayon::prelude::*;

use crate::error::CampaignError;
use crate::manifest::Line;
use crate::run::Run;
use crate::store::Store;

/// Name of the manifest in the output folder.
pub const MANIFEST: &str = "manifest.jsonl";
/// Name of the page in the output folder.
pub const REPORT: &str = "report.html";

/// What the names of contact sheets in the output folder begin with, before a number.
pub(crate) const CONTACT_SHEET: &str = "contact-sheet-";

/// Side of a picture on a contact sheet, in pixels.
const TILE: u32 = 160;
const COLUMNS: usize = 10;

/// Writes everything.
pub(crate) fn write(run: Run<'_>, store: &Store, lines: &[Line]) -> Result<(), CampaignError> {
    let mut manifest = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut manifest, line).map_err(|e| cannot("the manifest", &e))?;
        manifest.push(b'\n');
    }
    store.write_output(MANIFEST, &manifest)?;
    let mut thumbnails = Vec::with_capacity(lines.len());
    for (i, lines) in lines.chunks(TILES_PER_PAGE).enumerate() {
        let shown = lines.par_iter().map(|line| shown(store, line));
        let shown = shown.collect::<Result<Vec<_>, _>>()?;
        let (tiles, of_page): (Vec<_>, Vec<_>) = shown.into_iter().unzip();
        thumbnails.extend(of_page);
        store.write_output(&format!("{CONTACT_SHEET}{}.png", i + 1), &sheet(&tiles)?)?;
    }
    let page = page::page(run, lines, thumbnails)?;
    store.write_output(REPORT, page.as_bytes())?;
    Ok(())
}

/// The picture of a line on a contact sheet, and its thumbnail on the page.
fn shown(store: &Store, line: &Line) -> Result<(Tile, String), CampaignError> {
    let picture = picture(store, line)?;
    let thumbnail = picture.as_ref().map(page::thumbnail).transpose()?;
    let image = match picture {
        Some(picture) => contained(&picture, [TILE; 2]),
        None => RgbImage::new(TILE, TILE),
    };
    let tile = Tile {
        image,
        label: line.prompt.clone(),
        dimmed: line.decision.kept.is_none(),
    };
    Ok((tile, thumbnail.unwrap_or_default()))
}

fn sheet(tiles: &[Tile]) -> Result<Vec<u8>, CampaignError> {
    let sheet = contact_sheet(tiles, COLUMNS.min(tiles.len()), TILE);
    // To be looked at once: 8 % larger, and 7 ms sooner for each picture on it.
    let mut bytes = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
    let written = sheet.write_with_encoder(encoder);
    written.map_err(|e| cannot("a contact sheet", &e))?;
    Ok(bytes)
}

/// The picture of a line, if there is one.
fn picture(store: &Store, line: &Line) -> Result<Option<RgbImage>, CampaignError> {
    if line.drawn.is_none() {
        return Ok(None);
    }
    let bytes = store.read_picture(&line.key)?;
    let picture = image::load_from_memory(&bytes);
    let picture = picture.map_err(|e| cannot(&format!("use of the picture {}", line.key), &e))?;
    Ok(Some(picture.into_rgb8()))
}

fn cannot(what: &str, error: &dyn std::fmt::Display) -> CampaignError {
    CampaignError::Make {
        what: what.into(),
        reason: error.to_string(),
    }
}
