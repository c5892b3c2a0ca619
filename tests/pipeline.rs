//! The pipeline as a library: batches, previews, cancellation, reuse of texts, pictures to start from.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use plantain::sampling::Noise;
use plantain::trace::{HostTensor, SamplerTrace, Tensors, TraceComponent, trace};
use plantain::{
    Cancellation, DeviceChoice, DeviceOptions, Error, Event, GrayImage, Model, ModelSource,
    Observer, Picture, Pipeline, PrecisionChoice, Preview, Request, RgbImage, SamplerKind,
    Unobserved,
};

const OPTIONS: DeviceOptions = DeviceOptions {
    device: DeviceChoice::Flex,
    precision: PrecisionChoice::F32,
};

fn folder(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
    Path::new(folder).join(name)
}

fn model(name: &str) -> Model {
    Model::open(&folder(name)).unwrap()
}

/// A model of 24x16 pixels, with a latent of half of that and four channels.
fn turbo() -> Pipeline {
    Pipeline::load(model("turbo"), OPTIONS).unwrap()
}

fn draw(pipeline: &Pipeline, request: &Request) -> Vec<Picture> {
    pipeline.generate(request, &mut Unobserved).unwrap()
}

/// The events of a run.
fn events(pipeline: &Pipeline, request: &Request) -> Vec<Event> {
    let mut events = Vec::new();
    let mut observer = |event| {
        events.push(event);
        ControlFlow::Continue(())
    };
    pipeline.generate(request, &mut observer).unwrap();
    events
}

fn largest_difference(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    let pairs = a.as_raw().iter().zip(b.as_raw());
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// A picture in which every pixel differs.
fn gradient(width: u32, height: u32) -> Arc<RgbImage> {
    let pixel = |x: u32, y: u32| image::Rgb([(x * 10) as u8, (y * 15) as u8, (x * y) as u8]);
    Arc::new(RgbImage::from_fn(width, height, pixel))
}

/// White on the left half.
fn left_half(width: u32, height: u32) -> Arc<GrayImage> {
    let grey = |x: u32| if x < width / 2 { 255 } else { 0 };
    Arc::new(GrayImage::from_fn(width, height, |x, _| {
        image::Luma([grey(x)])
    }))
}

#[test]
fn a_model_is_the_same_wherever_it_comes_from() {
    let request = Request::new("a red fox");
    let opened = draw(&turbo(), &request);
    let read = Pipeline::load(folder("turbo"), OPTIONS).unwrap();
    assert_eq!(draw(&read, &request)[0].image, opened[0].image);
    let error = Pipeline::load(Path::new("/nowhere"), OPTIONS).unwrap_err();
    assert!(matches!(error, Error::Read(_)), "{error}");
}

#[test]
fn an_observer_sees_the_model_being_loaded_and_may_stop_it() {
    let mut seen = Vec::new();
    let mut observer = |event| {
        seen.push(event);
        match seen.len() {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let error = Pipeline::load_observed(model("turbo"), OPTIONS, &mut observer).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    let loading = |component| Event::Loading { component };
    assert_eq!(seen, [loading("refiner"), loading("decoder")]);
}

#[test]
fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Pipeline>();
    shared::<Model>();
    shared::<Request>();
    shared::<Picture>();
    shared::<Cancellation>();
    shared::<Preview>();
}

#[test]
fn two_threads_draw_with_one_pipeline() {
    let pipeline = turbo();
    let request = Request::new("a fox").seed(3).steps(2);
    let alone = draw(&pipeline, &request);
    let both = thread::scope(|scope| {
        let run = || scope.spawn(|| draw(&pipeline, &request));
        [run(), run()].map(|thread| thread.join().unwrap())
    });
    assert!(both.iter().all(|drawn| drawn[0] == alone[0]));
}

#[test]
fn pictures_of_a_batch_are_those_of_single_runs() {
    let pipeline = turbo();
    let base = Request::new("a fox")
        .negative_prompt("snow")
        .seed(7)
        .steps(3);
    let guided = base.clone().guidance(3.0).sampler(SamplerKind::EulerA);
    let started = base.clone().init_image(gradient(24, 16)).strength(0.7);
    for request in [base, guided, started] {
        let single = draw(&pipeline, &request.clone().count(5));
        let batched = draw(&pipeline, &request.count(5).batch(2));
        assert_eq!(batched.len(), 5);
        for (i, (a, b)) in single.iter().zip(&batched).enumerate() {
            assert_eq!(b.parameters.seed, 7 + i as u64);
            assert_eq!(a.parameters, b.parameters);
            assert!(largest_difference(&a.image, &b.image) <= 1, "picture {i}");
        }
        assert_ne!(batched[0].image, batched[1].image);
    }
}

#[test]
fn a_text_that_was_read_lately_is_not_read_again() {
    let pipeline = turbo();
    let reads = |request: &Request| {
        let events = events(&pipeline, request).into_iter();
        events.filter(|event| *event == Event::Encoding).count()
    };
    let request = Request::new("a fox").count(2);
    assert_eq!(reads(&request), 1);
    assert_eq!(reads(&request.clone().seed(5)), 0);
    let guided = request.guidance(2.0).negative_prompt("snow");
    assert_eq!(reads(&guided), 1);
    assert_eq!(reads(&guided), 0);
    assert_eq!(reads(&Request::new("a cat")), 1);
    let again = draw(&pipeline, &guided);
    assert_eq!(again, draw(&turbo(), &guided));
}

/// Collects previews.
#[derive(Default)]
struct Watcher(Vec<Preview>);

impl Observer for Watcher {
    fn event(&mut self, _event: Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn wants_previews(&self) -> bool {
        true
    }

    fn preview(&mut self, preview: &Preview) {
        self.0.push(preview.clone());
    }
}

#[test]
fn previews_come_after_each_step_for_each_picture() {
    let pipeline = turbo();
    let request = Request::new("a fox").steps(2).count(3).batch(2);
    let mut watcher = Watcher::default();
    let pictures = pipeline.generate(&request, &mut watcher).unwrap();
    assert_eq!(pictures, draw(&pipeline, &request));
    let seen: Vec<_> = watcher.0.iter().map(|p| (p.picture, p.step)).collect();
    assert_eq!(seen, [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]);
    for preview in &watcher.0 {
        assert_eq!((preview.steps, preview.image.dimensions()), (2, (12, 8)));
    }
}

/// What a preview is worth, with a model that has learnt something.
#[test]
#[cfg(feature = "embedded-model")]
fn the_last_preview_resembles_the_picture() {
    let pipeline = Pipeline::load(ModelSource::BuiltIn, OPTIONS).unwrap();
    let request = Request::new("a red fox, 3d render, on a teal background");
    let mut watcher = Watcher::default();
    let pictures = pipeline.generate(&request.seed(7).steps(4), &mut watcher);
    let picture = &pictures.unwrap()[0].image;
    let preview = &watcher.0.last().unwrap().image;
    let (width, height) = preview.dimensions();
    let filter = image::imageops::FilterType::Triangle;
    let small = image::imageops::resize(picture, width, height, filter);
    let pairs = preview.as_raw().iter().zip(small.as_raw());
    let squares = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let error = (squares.sum::<f64>() / preview.as_raw().len() as f64).sqrt();
    println!("root mean square error {error:.1} grey levels");
    assert!(error < 40.0, "{error:.1} grey levels");
}

/// Where the grounds of several things meet, and in corners, where the decoder sees less.
#[test]
#[cfg(feature = "embedded-model")]
fn a_plain_ground_is_even() {
    let pipeline = Pipeline::load(ModelSource::BuiltIn, OPTIONS).unwrap();
    let request = Request::new("a cat and a dog, 3d render, on a white background").seed(1);
    let picture = draw(&pipeline, &request).remove(0).image;
    let ground = *picture.get_pixel(256, 40);
    let off = |pixel: &image::Rgb<u8>| {
        let apart = pixel.0.iter().zip(ground.0);
        apart.map(|(a, b)| a.abs_diff(b)).max().unwrap()
    };
    let near: Vec<_> = picture.pixels().map(off).filter(|off| *off <= 12).collect();
    let mean = near.iter().map(|off| f64::from(*off)).sum::<f64>() / near.len() as f64;
    println!("off by {mean:.2} grey levels on average");
    assert!(near.len() > 512 * 512 / 2 && mean < 2.5, "{mean:.2}");
    // The things are sampled into squares of half the side, in the middle.
    let rows = picture.enumerate_rows();
    let outside = rows.filter(|(y, _)| !(120..392).contains(y));
    let furthest = outside
        .flat_map(|(_, row)| row.map(|(.., pixel)| off(pixel)))
        .max();
    assert!(furthest < Some(9), "{furthest:?}");
    for corner in [(0, 0), (511, 0), (0, 511), (511, 511)] {
        let off = off(picture.get_pixel(corner.0, corner.1));
        assert!(off < 9, "{corner:?}: {off}");
    }
}

#[test]
fn a_run_is_cancelled_from_another_thread() {
    let pipeline = turbo();
    let cancellation = Cancellation::new();
    let (began, begin) = mpsc::channel();
    let (pressed, press) = mpsc::channel();
    let switch = cancellation.clone();
    let other = thread::spawn(move || {
        begin.recv().unwrap();
        switch.cancel();
        pressed.send(()).unwrap();
    });
    let mut steps = 0;
    let mut observer = |event| {
        if let Event::Step { .. } = event {
            steps += 1;
            began.send(()).unwrap();
            press.recv().unwrap();
        }
        ControlFlow::Continue(())
    };
    let request = Request::new("a fox").steps(4);
    let mut watched = cancellation.watch(&mut observer);
    let mut finished = 0;
    let outcome = pipeline.generate_each(&request, &mut watched, |_| {
        finished += 1;
        Ok(())
    });
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!((steps, finished), (1, 0));
    assert!(cancellation.is_cancelled());
    other.join().unwrap();
    // A pressed switch stops whatever watches it.
    let mut unobserved = Unobserved;
    let outcome = pipeline.generate(&request, &mut cancellation.watch(&mut unobserved));
    assert!(matches!(outcome, Err(Error::Cancelled)));
    draw(&pipeline, &request);
}

#[test]
fn the_encoder_is_loaded_with_the_first_picture_to_start_from() {
    let pipeline = turbo();
    let request = Request::new("a fox").steps(2);
    let loading = Event::Loading {
        component: "encoder",
    };
    assert!(!events(&pipeline, &request).contains(&loading));
    let request = request.init_image(gradient(48, 40));
    assert!(events(&pipeline, &request).contains(&loading));
    let again = events(&pipeline, &request);
    assert!(!again.contains(&loading) && again.contains(&Event::EncodingImage));
}

/// What `trace` makes of the same picture, mask and noise, step by step; that is compared with diffusers elsewhere.
fn traced(init: &RgbImage, mask: Option<Vec<f32>>, seed: u64, settings: SamplerTrace) -> Vec<f32> {
    const SCALING: f32 = 0.18215;
    let model = model("turbo");
    let run = |component, inputs: Tensors, settings| {
        trace(&model, component, &inputs, OPTIONS, settings).unwrap()
    };
    let tensor = |shape: &[usize], values| HostTensor {
        shape: shape.to_vec(),
        values,
    };
    let none = SamplerTrace::default();
    let ids = prompt_ids();
    let ids = Tensors::from([("input_ids".into(), tensor(&[1, ids.len()], ids))]);
    let text = run(TraceComponent::TextEncoder, ids, none);
    let channel = |c: usize| init.pixels().map(move |p| f32::from(p.0[c]) / 127.5 - 1.0);
    let pixels = (0..3).flat_map(channel).collect();
    let image = Tensors::from([("image".into(), tensor(&[1, 3, 16, 24], pixels))]);
    let encoded = &run(TraceComponent::Encoder, image, none)["latent"];
    let scaled = |tensor: &HostTensor, factor: f32| HostTensor {
        shape: tensor.shape.clone(),
        values: tensor.values.iter().map(|v| v * factor).collect(),
    };
    let noise = Noise::new(seed).normal(4 * 8 * 12);
    let mut inputs = Tensors::from([
        ("noise".into(), tensor(&[1, 4, 8, 12], noise)),
        ("init_latent".into(), scaled(encoded, SCALING)),
        (
            "encoder_hidden_states".into(),
            text["last_hidden_state"].clone(),
        ),
    ]);
    if let Some(mask) = mask {
        inputs.insert("mask".into(), tensor(&[1, 1, 8, 12], mask));
    }
    let latent = &run(TraceComponent::Sampler, inputs, settings)["latent"];
    let latent = Tensors::from([("latent".into(), scaled(latent, 1.0 / SCALING))]);
    run(TraceComponent::Decoder, latent, none)["image"]
        .values
        .clone()
}

/// The prompt `a fox` as the tokenizer of the model has it.
fn prompt_ids() -> Vec<f32> {
    let model = model("turbo");
    let tokenizer = tokenizers::Tokenizer::from_bytes(model.tokenizer_json().unwrap()).unwrap();
    let info = model.manifest().tokenizer.clone().unwrap();
    let encoding = tokenizer.encode("a fox", true).unwrap();
    let mut ids: Vec<f32> = encoding.get_ids().iter().map(|id| *id as f32).collect();
    ids.resize(info.max_length, info.pad_token_id as f32);
    ids
}

fn assert_drawn(picture: &RgbImage, values: &[f32], what: &str) {
    let plane = values.len() / 3;
    for (at, pixel) in picture.pixels().enumerate() {
        for (channel, found) in pixel.0.into_iter().enumerate() {
            let value = values[channel * plane + at].clamp(-1.0, 1.0) * 127.5 + 127.5;
            assert!((value - f32::from(found)).abs() < 1.0, "{what}: pixel {at}");
        }
    }
}

#[test]
fn a_picture_to_start_from_goes_through_encoder_sampler_and_decoder() {
    let pipeline = turbo();
    let init = gradient(24, 16);
    let settings = |strength| SamplerTrace {
        steps: Some(5),
        strength: Some(strength),
        ..SamplerTrace::default()
    };
    let request = Request::new("a fox")
        .seed(9)
        .steps(5)
        .init_image(init.clone());
    let drawn = &draw(&pipeline, &request.clone().strength(0.6))[0];
    let expected = traced(&init, None, 9, settings(0.6));
    assert_drawn(&drawn.image, &expected, "without a mask");
    let used = drawn.parameters.settings.init.unwrap();
    assert_eq!((used.strength, used.masked), (0.6, false));
    // As many steps as are run.
    let steps = events(&pipeline, &request.clone().strength(0.6)).into_iter();
    let steps = steps.filter(|event| matches!(event, Event::Step { steps: 3, .. }));
    assert_eq!(steps.count(), 3);

    let mask = left_half(24, 16);
    let drawn = &draw(&pipeline, &request.mask(mask))[0];
    let latent_mask = (0..8 * 12).map(|i| if i % 12 < 6 { 1.0 } else { 0.0 });
    let expected = traced(&init, Some(latent_mask.collect()), 9, settings(1.0));
    let mut mixed = drawn.image.clone();
    for (x, y, pixel) in init.enumerate_pixels().filter(|(x, ..)| *x >= 12) {
        assert_eq!(drawn.image.get_pixel(x, y), pixel);
        let value = |channel: usize| {
            let value = expected[channel * 384 + (y * 24 + x) as usize];
            (value.clamp(-1.0, 1.0) * 127.5 + 127.5).round() as u8
        };
        mixed.put_pixel(x, y, image::Rgb([0, 1, 2].map(value)));
    }
    assert_drawn(&mixed, &expected, "with a mask");
    assert_eq!(drawn.parameters.settings.init.unwrap().strength, 1.0);
}

#[test]
fn pictures_and_masks_of_other_sizes_are_fitted() {
    let pipeline = turbo();
    let request = Request::new("a fox").steps(2).init_image(gradient(100, 30));
    let whole = draw(&pipeline, &request);
    assert_eq!(whole[0].image.dimensions(), (24, 16));
    // The middle 45 columns of the picture are used, so the border of the mask is in the middle of the result.
    let small = draw(&pipeline, &request.clone().mask(left_half(50, 15)));
    let same = draw(&pipeline, &request.mask(left_half(100, 30)));
    assert_eq!(small[0].image.dimensions(), (24, 16));
    let right = |image: &RgbImage| image::imageops::crop_imm(image, 14, 0, 10, 16).to_image();
    assert_eq!(right(&small[0].image), right(&same[0].image));
}

#[test]
fn requests_that_cannot_be_met_say_why() {
    let image = || Request::new("a fox").steps(4).init_image(gradient(24, 16));
    let plain = || Request::new("a fox");
    let cases: [(Request, &[&str]); 9] = [
        (
            plain().mask(left_half(24, 16)),
            &["a mask is given", "initial image"],
        ),
        (plain().strength(0.5), &["a strength is given"]),
        (image().strength(0.0), &["strength 0", "above 0"]),
        (image().strength(1.5), &["strength 1.5", "at most 1"]),
        (image().strength(f64::NAN), &["strength NaN"]),
        (
            image().strength(0.1),
            &["none of 4 steps", "at least 10 steps"],
        ),
        (image().mask(GrayImage::new(24, 16)), &["no white", "2x2"]),
        (
            image().mask(GrayImage::new(0, 0)),
            &["the mask has no pixels"],
        ),
        (
            plain().init_image(RgbImage::new(0, 5)),
            &["picture to start from has no pixels"],
        ),
    ];
    let pipeline = turbo();
    for (request, parts) in cases {
        let error = pipeline.generate(&request, &mut Unobserved).unwrap_err();
        let error = error.to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}`: {error}");
        }
    }
}

#[test]
fn a_model_without_an_encoder_says_how_to_get_one() {
    let mut manifest = turbo().manifest().clone();
    manifest.components.vae_encoder = None;
    let request = Request::new("a fox").init_image(gradient(24, 16));
    let error = request.settings(&manifest).unwrap_err().to_string();
    assert!(
        error.contains("has no encoder") && error.contains("convert"),
        "{error}"
    );
}

#[test]
fn files_are_opened_as_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("a.png");
    gradient(3, 2).save(&path).unwrap();
    assert_eq!(plantain::open_picture(&path).unwrap(), *gradient(3, 2));
    assert_eq!(plantain::open_mask(&path).unwrap().dimensions(), (3, 2));
}
