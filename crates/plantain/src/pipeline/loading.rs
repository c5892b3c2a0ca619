//! A model's networks onto the device.

use std::panic::resume_unwind;
use std::thread;

use plantain_nn::{ClipTextModel, Decoder, Packing};
use plantain_weights::{Model, Target};

use super::notify;
use crate::denoiser::Denoiser;
use crate::error::Error;
use crate::observer::{Event, Observer};
use crate::refinement::Refinement;

/// What draws a latent, and what makes a picture of it.
pub(super) type Networks = (Drawing, Finishing);
type Drawing = (ClipTextModel, Denoiser);
type Finishing = (Option<Refinement>, Decoder);

/// Loads all that every picture needs.
///
/// On the CPU tensors of small models are packed by one thread each, so the two groups are loaded beside each other. What a graphics
/// processor gets is uploaded by the thread that draws.
pub(super) fn load_networks(
    model: &Model,
    target: &Target,
    observer: &mut dyn Observer,
) -> Result<Networks, Error> {
    if !matches!(target.packing, Some(Packing::Host(_))) {
        let drawing = load_drawing(model, target, observer)?;
        tell(observer, "refiner")?;
        let refiner = Refinement::load(model, target)?;
        tell(observer, "decoder")?;
        return Ok((drawing, (refiner, model.load_decoder(target)?)));
    }
    tell(observer, "refiner")?;
    tell(observer, "decoder")?;
    let finishing = || -> Result<Finishing, Error> {
        Ok((
            Refinement::load(model, target)?,
            model.load_decoder(target)?,
        ))
    };
    thread::scope(|scope| {
        let beside = thread::Builder::new().spawn_scoped(scope, finishing);
        let drawing = load_drawing(model, target, observer);
        let finishing = match beside {
            Ok(beside) => beside.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // The system gives no more threads.
            Err(_) => finishing(),
        };
        Ok((drawing?, finishing?))
    })
}

fn load_drawing(
    model: &Model,
    target: &Target,
    observer: &mut dyn Observer,
) -> Result<Drawing, Error> {
    tell(observer, "text encoder")?;
    let text_encoder = model.load_text_encoder(target)?;
    tell(observer, "UNet")?;
    Ok((text_encoder, Denoiser::load(model, target)?))
}

fn tell(observer: &mut dyn Observer, component: &'static str) -> Result<(), Error> {
    notify(observer, Event::Loading { component })
}
