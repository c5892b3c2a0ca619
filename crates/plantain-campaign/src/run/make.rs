//! Making assets of the pictures that are kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use image::{DynamicImage, RgbImage, RgbaImage};
use plantain::weights::sha256;
use plantain::{Parameters, read_parameters};
use plantain_assets::{
    Fonts, Insets, Measures, Overlay, SIDE_TO_CUT, cut_out, encode, fit_beside, shrink,
};

use super::{Run, Wanted};
use crate::error::{CampaignError, Place};
use crate::identity::key_of;
use crate::judge::Judgement;
use crate::painter::{CampaignEvent, CampaignObserver};
use crate::plan::{Asset, Recipe};
use crate::store::{AssetRecord, Entry, PictureRecord, Store};

/// What came of it.
pub(super) struct Made {
    pub(super) made: usize,
    /// By path: why an asset could not be made.
    pub(super) failures: HashMap<String, String>,
}

/// An asset to be made.
struct Task<'a> {
    asset: &'a Asset,
    path: &'a str,
    picture: &'a PictureRecord,
}

/// Makes the assets of all kept pictures that are not there yet.
pub(super) fn make(
    run: Run<'_>,
    store: &mut Store,
    wanted: &[Wanted],
    judgement: &Judgement,
    observer: &mut dyn CampaignObserver,
) -> Result<Made, CampaignError> {
    let fonts = fonts(run)?;
    let pictures = store.known().pictures.clone();
    let tasks = tasks(run, &pictures, wanted, judgement);
    let assets = tasks.len();
    let open: Vec<_> = tasks
        .into_iter()
        .filter(|task| !is_made(store, task))
        .collect();
    let finished = assets - open.len();
    observer.event(CampaignEvent::Making { assets, finished });
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = channel();
    let shared = &*store;
    let outcome = thread::scope(|scope| {
        // Nothing is being drawn.
        for _ in 0..run.jobs.max(rayon::current_num_threads()) {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while let Some(task) = open.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let made = make_one(run, shared, &fonts, task);
                    if stopped.load(Ordering::Relaxed) || sender.send((task.path, made)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut entries = Vec::new();
        let mut failures = HashMap::new();
        for (path, made) in receiver {
            match made {
                Ok(Ok(entry)) => entries.push(entry),
                Ok(Err(reason)) => drop(failures.insert(path.to_string(), reason)),
                Err(error) => {
                    stopped.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            observer.event(CampaignEvent::Asset);
            if observer.stops() {
                stopped.store(true, Ordering::Relaxed);
                return Err(CampaignError::Stopped);
            }
        }
        Ok((entries, failures))
    });
    let (entries, failures) = outcome?;
    let made = entries.len();
    store.learn(entries);
    Ok(Made { made, failures })
}

fn fonts(run: Run<'_>) -> Result<Fonts, CampaignError> {
    let Some(folder) = &run.file.campaign.fonts else {
        return Ok(Fonts::bundled());
    };
    let fonts = Fonts::bundled().with_folder(&run.file.resolve(folder));
    fonts.map_err(|error| run.file.source.invalid(&["fonts"], error.to_string()))
}

fn tasks<'a>(
    run: Run<'a>,
    pictures: &'a HashMap<String, PictureRecord>,
    wanted: &[Wanted],
    judgement: &Judgement,
) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    for (wanted, decision) in wanted.iter().zip(&judgement.decisions) {
        let shot = &run.plan.shots[wanted.shot];
        let picture = pictures.get(&run.key(*wanted));
        let (Some(kept), Some(picture)) = (decision.kept, picture) else {
            continue;
        };
        tasks.extend(shot.assets.iter().map(|asset| Task {
            asset,
            path: &asset.paths[kept - 1],
            picture,
        }));
    }
    tasks
}

/// A name for all that goes into the asset of a picture.
fn asset_key(asset: &Asset, picture: &PictureRecord) -> String {
    key_of("made", &(&asset.key, &picture.sha256))
}

fn is_made(store: &Store, task: &Task<'_>) -> bool {
    let record = store.known().assets.get(task.path);
    record.is_some_and(|record| record.key == asset_key(task.asset, task.picture))
}

/// The entry of an asset that was made, or why it could not be; other failures are of the folder.
fn make_one(
    run: Run<'_>,
    store: &Store,
    fonts: &Fonts,
    task: &Task<'_>,
) -> Result<Result<Entry, String>, CampaignError> {
    let started = Instant::now();
    let file = store.read_picture(&task.picture.key)?;
    let parameters = read_parameters(&store.picture_path(&task.picture.key));
    let rendered = parameters
        .map_err(|error| error.to_string())
        .and_then(|parameters| render(run, fonts, task, &file, &parameters));
    let bytes = match rendered {
        Ok(bytes) => bytes,
        Err(reason) => return Ok(Err(reason)),
    };
    store.write_output(task.path, &bytes)?;
    let entry = Entry::Asset(AssetRecord {
        key: asset_key(task.asset, task.picture),
        path: task.path.to_string(),
        sha256: sha256(&bytes),
        seconds: (started.elapsed().as_secs_f64() * 1e3).round() / 1e3,
    });
    store.append(&entry)?;
    Ok(Ok(entry))
}

/// The bytes of the asset of the picture in `file`, or why there are none.
fn render(
    run: Run<'_>,
    fonts: &Fonts,
    task: &Task<'_>,
    file: &[u8],
    parameters: &Parameters,
) -> Result<Vec<u8>, String> {
    let recipe = &task.asset.recipe;
    let image = image::load_from_memory(file)
        .map_err(|e| e.to_string())?
        .to_rgb8();
    let measures = &task.picture.measures;
    let mut canvas = if recipe.transparent {
        transparent(&image, measures, recipe)?
    } else {
        DynamicImage::from(fitted(&image, measures, recipe, 1)).into_rgba8()
    };
    if let Some(svg) = &recipe.overlay {
        let format = &run.file.campaign.format[task.asset.format];
        let folder = format.overlay_folder(run.file);
        let place = Place::file(
            &run.file
                .resolve(format.overlay.as_deref().unwrap_or(&folder)),
        );
        let overlay = Overlay::new(svg.clone(), &folder, fonts);
        let drawn = overlay.and_then(|overlay| overlay.draw(&mut canvas));
        drawn.map_err(|error| format!("{place}: {error}"))?;
    }
    let text = parameters.to_string();
    encode(&canvas, recipe.file_type, recipe.quality, Some(&text)).map_err(|e| e.to_string())
}

/// The picture in the shape of the asset, `factor` times as large.
fn fitted(image: &RgbImage, measures: &Measures, recipe: &Recipe, factor: u32) -> RgbImage {
    let size = [recipe.size.width, recipe.size.height].map(|side| side * factor);
    let covered = Insets {
        left: recipe.covered.left * factor,
        top: recipe.covered.top * factor,
        right: recipe.covered.right * factor,
        bottom: recipe.covered.bottom * factor,
    };
    fit_beside(image, measures, size, covered, recipe.fit)
}

/// The picture in the shape of the asset, without its background.
fn transparent(
    image: &RgbImage,
    measures: &Measures,
    recipe: &Recipe,
) -> Result<RgbaImage, String> {
    // An edge is found where there are pixels enough to tell it, and then made as small as it is wanted.
    let factor = SIDE_TO_CUT.div_ceil(recipe.size.width.min(recipe.size.height));
    let large = fitted(image, measures, recipe, factor);
    let cut = cut_out(&large).map_err(|error| error.to_string())?;
    Ok(shrink(&cut, factor))
}
