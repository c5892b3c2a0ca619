//! A campaign in a folder of its own, and painters that need no model.
#![allow(dead_code)] // Each test file uses a part.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use plantain::{Error, Model, Parameters, Picture, SamplerKind, Settings};
use plantain_campaign::*;
use tempfile::TempDir;

/// A campaign's folder.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new(campaign: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("campaign.toml", campaign);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn file(&self) -> Result<CampaignFile, CampaignError> {
        CampaignFile::read(&self.path("campaign.toml"))
    }

    pub fn plan(&self) -> Result<(CampaignFile, Plan), CampaignError> {
        let file = self.file()?;
        let model = model();
        let identity = ModelIdentity {
            manifest: model.manifest(),
            fingerprint: "a model",
        };
        let plan = Plan::new(&file, identity)?;
        Ok((file, plan))
    }

    /// The whole of it, into the folder `out`.
    pub fn run(
        &self,
        out: &str,
        shard: Shard,
        painter: &mut Drawer,
        stop_after: usize,
    ) -> Result<Outcome, CampaignError> {
        let (file, plan) = self.plan().unwrap();
        let folder = self.path(out);
        let campaign = Run {
            file: &file,
            plan: &plan,
            folder: &folder,
            jobs: 2,
        };
        run(
            campaign,
            shard,
            painter,
            &mut Watcher::stopping_after(stop_after),
        )
    }

    pub fn merge(&self, out: &str, shards: &[&str]) -> Result<Outcome, CampaignError> {
        let (file, plan) = self.plan().unwrap();
        let folder = self.path(out);
        let campaign = Run {
            file: &file,
            plan: &plan,
            folder: &folder,
            jobs: 1,
        };
        let shards: Vec<PathBuf> = shards.iter().map(|shard| self.path(shard)).collect();
        let shards: Vec<&Path> = shards.iter().map(AsRef::as_ref).collect();
        merge(
            campaign,
            &shards,
            &mut Drawer::default(),
            &mut Watcher::stopping_after(usize::MAX),
        )
    }

    /// Every file of `out` that a user looks at, without what differs from run to run.
    pub fn result(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(out), &self.path(out), &mut files);
        let manifest = files.remove(MANIFEST).expect("there is a manifest");
        let lines = String::from_utf8(manifest).unwrap();
        let lines = lines.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("timings").unwrap();
            line.to_string()
        });
        let lines: Vec<String> = lines.collect();
        files.insert(MANIFEST.into(), lines.join("\n").into_bytes());
        files.remove(REPORT).expect("there is a report");
        files
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if name == ".plantain" {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// A model whose manifest is used.
pub fn model() -> Model {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
    Model::open(&Path::new(folder).join("turbo")).unwrap()
}

/// Draws a disc whose place and colour follow from prompt and seed.
#[derive(Default)]
pub struct Drawer {
    pub drawn: usize,
    /// Every picture whose seed this divides cannot be drawn.
    pub failing: Option<u64>,
}

impl Painter for Drawer {
    fn settings(&self, shot: &Shot) -> Result<Settings, Error> {
        Ok(Settings {
            steps: 1,
            guidance: 1.0,
            width: shot.size.width as usize,
            height: shot.size.height as usize,
            sampler: SamplerKind::Euler,
            refine: false,
            tiled: false,
            init: None,
        })
    }

    fn paint(
        &mut self,
        shot: &Shot,
        seeds: Range<u64>,
        easel: &mut dyn Easel,
    ) -> Result<(), Error> {
        for seed in seeds {
            if self.failing.is_some_and(|n| seed % n == 0) {
                return Err(Error::NonFinite {
                    component: "UNet",
                    detail: String::new(),
                });
            }
            self.drawn += 1;
            let parameters = Parameters {
                prompt: shot.prompt.clone(),
                negative_prompt: shot.negative.clone(),
                seed,
                settings: self.settings(shot)?,
                model: "drawer".into(),
                additions: Vec::new(),
                precision: None,
                transparent: false,
            };
            easel.finished(Painted {
                picture: Picture {
                    image: disc(shot, seed),
                    parameters,
                },
                device: "none".into(),
                precision: "f32".into(),
            })?;
        }
        Ok(())
    }
}

fn disc(shot: &Shot, seed: u64) -> RgbImage {
    let number = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ shot.prompt.len() as u64;
    let byte = |i: u32| ((number >> (8 * i)) & 255) as u8;
    let (width, height) = (shot.size.width, shot.size.height);
    let (x, y) = (u32::from(byte(0)) % width, u32::from(byte(1)) % height);
    let radius = width.min(height) / 4;
    RgbImage::from_fn(width, height, |u, v| {
        if u.abs_diff(x).pow(2) + v.abs_diff(y).pow(2) < radius.pow(2) {
            Rgb([byte(2), byte(3), byte(4)])
        } else {
            Rgb([byte(5) / 2 + 100, 200, 210])
        }
    })
}

/// Stops after so many pictures and assets.
pub struct Watcher {
    left: Cell<usize>,
}

impl Watcher {
    pub fn stopping_after(count: usize) -> Self {
        Self {
            left: Cell::new(count),
        }
    }
}

impl CampaignObserver for Watcher {
    fn event(&mut self, event: CampaignEvent) {
        if matches!(event, CampaignEvent::Picture | CampaignEvent::Asset) {
            self.left.set(self.left.get().saturating_sub(1));
        }
    }

    fn stops(&self) -> bool {
        self.left.get() == 0
    }
}
