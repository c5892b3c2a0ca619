//! Samples with a method that is not built in: Heun's, second order, with two evaluations a step.
//!
//!     cargo run --release -p plantain --example custom_sampler
//!
//! `Pipeline` runs the samplers of `plantain-sampling`. For one of your own, take the networks of the model and drive
//! them yourself, with the crates below `plantain`.

use burn::tensor::{Device, Tensor, TensorData};
use image::{Rgb, RgbImage};
use plantain::Model;
use plantain::sampling::{Noise, Sampler, SamplerKind, SamplerOptions};
use plantain::weights::Target;
use plantain_nn::Conditioning;
use tokenizers::Tokenizer;

const STEPS: usize = 6;
type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let (prompt, model) = ("a green lamp, 3d render", plantain::default_model()?);
    let target = Target::stock(Device::flex());
    let text = model.load_text_encoder(&target)?;
    let states = text.forward(&[tokens(&model, prompt)?])?;
    let unet = model.load_unet(&target)?;
    let conditioning = Conditioning {
        text: unet.read_text(states.last_hidden_state),
        class_labels: Some(states.pooler_output),
        timestep_cond: None,
    };
    // The built-in model predicts the flow, the direction from the picture to the noise; timesteps are thousandths.
    let flow = |x: Tensor<4>, sigma: f32| unet.forward(x, &[1000.0 * sigma], &conditioning);

    let (kind, options) = (SamplerKind::FlowEuler, SamplerOptions::default());
    let schedule = Sampler::new(kind, &model.manifest().sampler.schedule, STEPS, options)?;
    let vae = model.manifest().components.vae.as_ref();
    let vae = vae.ok_or("the model has no decoder")?;
    // The picture is half as large as finished ones: the refiner, which enlarges latents, is left out here.
    let own = model.manifest().own_size();
    let side = own[0] / model.manifest().sampling_scale();
    let shape = [1, vae.latent_channels(), side, side];
    let noise = TensorData::new(Noise::new(1).normal(shape.iter().product()), shape);
    let mut x = Tensor::from_data(noise, &target.device);
    for pair in schedule.sigmas().windows(2) {
        let (sigma, distance) = (pair[0], pair[1] - pair[0]);
        let first = flow(x.clone(), sigma);
        let euler = x.clone() + first.clone() * distance;
        // At the end there is no noise left to ask about.
        x = match pair[1] {
            0.0 => euler,
            next => x + (first + flow(euler, next)) * (distance / 2.0),
        };
    }
    let (scaling, shift) = vae.scaling();
    let decoder = model.load_decoder(&target)?;
    save(decoder.forward(x / scaling + shift), "heun.png")
}

/// The prompt as the text encoder takes it; a long one is not cut here.
fn tokens(model: &Model, prompt: &str) -> Result<Vec<i64>, Failure> {
    let json = model.tokenizer_json().ok_or("no tokenizer")?;
    let info = model.manifest().tokenizer.clone().ok_or("no tokenizer")?;
    let tokenizer = Tokenizer::from_bytes(json).map_err(|e| e.to_string())?;
    let encoding = tokenizer.encode(prompt, true).map_err(|e| e.to_string())?;
    let mut ids: Vec<i64> = encoding.get_ids().iter().map(|id| (*id).into()).collect();
    ids.resize(info.max_length, info.pad_token_id.into());
    Ok(ids)
}

/// Writes a picture of `[1, 3, height, width]` in -1 to 1.
fn save(image: Tensor<4>, path: &str) -> Result<(), Failure> {
    let [_, _, height, width] = image.dims();
    let values = image.into_data().try_into_vec::<f32>();
    let values = values.map_err(|e| format!("{e:?}"))?;
    let byte = |value: f32| (value.clamp(-1.0, 1.0) * 127.5 + 127.5).round() as u8;
    let picture = RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        Rgb([0, 1, 2].map(|channel| byte(values[channel * width * height + at])))
    });
    println!("{path}");
    Ok(picture.save(path)?)
}
