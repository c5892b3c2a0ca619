//! `plantain generate`

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use plantain::weights::check_destination;
use plantain::{DeviceOptions, Format, Model, Picture, Pipeline, Request, style};
use serde_json::json;

use crate::args::GenerateArgs;
use crate::commands::adapt::adapt;
use crate::commands::cut_out::CutOut;
use crate::commands::memory::{Asked, fit};
use crate::commands::{
    cut_before, open_model, settle_device, use_threads, warn_of_license, warn_of_unused,
};
use crate::failure::Failure;
use crate::interrupt;
use crate::out;
use crate::progress::Progress;

/// Longest prompt read from standard input, in bytes; text encoders take a few hundred at most.
const MAX_PROMPT: u64 = 1 << 20;

/// What prompts say that ask for a picture without a background.
const NO_BACKGROUND: [&str; 6] = [
    "transparent background",
    "transparent bg",
    "transparent png",
    "no background",
    "without background",
    "without a background",
];

pub(crate) fn run(args: &GenerateArgs) -> Result<(), Failure> {
    let mut output = Output::new(args)?;
    let prompt = read_prompt(&args.prompt)?;
    // Not before: while a prompt is typed, Ctrl-C ends the program at once.
    interrupt::install();
    let started = Instant::now();
    let model = adapt(open_model(args.model.as_deref())?, &args.adapt, args.quiet)?;
    let mut request = request(args, &model, prompt)?;
    let settings = request.settings(model.manifest());
    let settings = settings.map_err(plantain::Error::from)?;
    let prepare = || CutOut::prepare(&mut request, &settings, model.manifest());
    output.cutting = args.transparent.then(prepare);
    settle_device(&args.on, args.quiet || args.json);
    let asked = Asked {
        device: args.on.device,
        precision: args.precision,
        megabytes: args.memory,
        tiled: args.tiled,
        quiet: args.quiet,
    };
    let plan = fit(&model, &request, &asked)?;
    request.tiled |= plan.is_some_and(|plan| plan.tiled);
    let options = DeviceOptions {
        device: args.on.device,
        precision: plan.map_or(args.precision, |plan| plan.precision),
    };
    if !args.quiet && args.model.is_some() {
        warn_of_license(model.manifest());
        warn_of_unused(&model);
    }

    let mut progress = Progress::new(request.count, args.json, args.quiet);
    let outcome = draw(
        args,
        options,
        &model,
        &request,
        &mut output,
        &mut progress,
        started,
    );
    progress.finish();
    outcome?;
    let cutting = output.cutting;
    cutting.map_or(Ok(()), |cutting| cutting.finish(request.count))
}

fn draw(
    args: &GenerateArgs,
    options: DeviceOptions,
    model: &Model,
    request: &Request,
    output: &mut Output,
    progress: &mut Progress,
    mut started: Instant,
) -> Result<(), Failure> {
    use_threads(args.threads);
    let pipeline = Pipeline::load_observed(model, options, progress)?;
    if !args.quiet {
        warn(&pipeline, request, progress)?;
        if !args.transparent && asks_for_no_background(&request.prompt) {
            progress.line("note: --transparent takes a plain background away");
        }
    }
    let reporter = Reporter {
        json: args.json,
        quiet: args.quiet,
        device: pipeline.device().to_string(),
        precision: pipeline.precision(),
    };
    let bar = progress.clone_bar();
    let mut unheard = None;
    let outcome = pipeline.generate_each(request, progress, |mut picture| {
        let path = output.path(picture.parameters.seed, request.count);
        if output.write(&mut picture, &path)? {
            bar.suspend(|| reporter.report(&path, &picture, started.elapsed().as_secs_f64()))
                .map_err(|failure| {
                    unheard = Some(failure);
                    plantain::Error::Cancelled
                })?;
        }
        started = Instant::now();
        Ok(())
    });
    match unheard {
        Some(failure) => Err(failure),
        None => Ok(outcome?),
    }
}

fn request(args: &GenerateArgs, model: &Model, prompt: String) -> Result<Request, Failure> {
    let init_image = args.init.as_deref().map(plantain::open_picture);
    let mask = args.mask.as_deref().map(plantain::open_mask);
    let mut request = Request {
        prompt,
        negative_prompt: args.negative.clone(),
        seed: args.seed.unwrap_or_else(random_seed),
        count: args.count as usize,
        batch: args.batch as usize,
        steps: args.steps,
        guidance: args.guidance,
        size: args.size.map(|size| [size.width, size.height]),
        aspect: args.aspect,
        sampler: args.sampler,
        skip_refiner: args.no_refine,
        tiled: args.tiled,
        init_image: init_image.transpose()?.map(Into::into),
        strength: args.strength,
        mask: mask.transpose()?.map(Into::into),
    };
    if let Some(name) = &args.style {
        let style = style::find(name).map_err(|e| Failure::new(e.to_string()))?;
        request.prompt = style.prompt(&request.prompt);
        // Nobody asked for what a style would keep out, so nobody is warned that this model cannot.
        if request.heeds_negative_prompt(model.manifest()) {
            request.negative_prompt = style.negative_prompt(&request.negative_prompt);
        }
    }
    if args.transparent {
        request = request.on_ground_to_cut(model.manifest());
    }
    Ok(request)
}

/// Short enough to be read and typed.
fn random_seed() -> u64 {
    u64::from(rand::random::<u32>())
}

fn read_prompt(prompt: &str) -> Result<String, Failure> {
    if prompt != "-" {
        return Ok(prompt.to_string());
    }
    let failed = |reason: String| {
        Failure::new(format!(
            "cannot read the prompt from standard input: {reason}"
        ))
    };
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(MAX_PROMPT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| failed(e.to_string()))?;
    if bytes.len() as u64 > MAX_PROMPT {
        return Err(failed("it is longer than 1 MiB".into()));
    }
    let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".into()))?;
    Ok(text.trim().to_string())
}

fn warn(pipeline: &Pipeline, request: &Request, progress: &Progress) -> Result<(), Failure> {
    for warning in request.warnings(pipeline.manifest()) {
        progress.line(&format!("warning: {warning}"));
    }
    let prompts = request.drawn_prompts(pipeline.manifest());
    let negative = std::slice::from_ref(&request.negative_prompt);
    for (what, texts) in [("prompt", &prompts[..]), ("negative prompt", negative)] {
        for text in texts {
            let cut = pipeline.cut_text(text)?;
            if !cut.is_empty() {
                progress.line(&format!("warning: {}", cut_before(what, &cut)));
                // Of several things all are cut there.
                break;
            }
        }
    }
    Ok(())
}

fn asks_for_no_background(prompt: &str) -> bool {
    let prompt = prompt.to_lowercase();
    NO_BACKGROUND.iter().any(|asking| prompt.contains(asking))
}

/// Where pictures go.
struct Output {
    path: Option<PathBuf>,
    format: Format,
    /// What takes backgrounds away, if they are not wanted.
    cutting: Option<CutOut>,
}

impl Output {
    fn new(args: &GenerateArgs) -> Result<Self, Failure> {
        let path = args.output.clone();
        let by_name = path.as_deref().and_then(Format::of_path);
        if let (Some(path), Some(by_name), Some(format)) = (&path, by_name, args.format)
            && by_name != format
        {
            return Err(Failure::new(format!(
                "--format {} contradicts the name {}",
                format.name(),
                path.display()
            ))
            .help("leave --format out, or change the extension"));
        }
        let extension = path.as_deref().and_then(Path::extension);
        if let (Some(extension), None, None) = (extension, by_name, args.format) {
            return Err(Failure::new(format!(
                "the extension .{} names no picture format",
                extension.display()
            ))
            .help("use .png, .jpg or .webp, or say --format"));
        }
        let format = args.format.or(by_name).unwrap_or(Format::Png);
        if args.transparent && format == Format::Jpeg {
            return Err(Failure::new("a JPEG cannot be transparent").help("use .png or .webp"));
        }
        if let Some(path) = &path {
            check_place(path)?;
        }
        Ok(Self {
            path,
            format,
            cutting: None,
        })
    }

    /// Writes a picture; or else, where it cannot be written as it is wanted, remembers that, and gives `false`.
    fn write(&mut self, picture: &mut Picture, path: &Path) -> Result<bool, plantain::Error> {
        match &mut self.cutting {
            Some(cutting) => cutting.save(picture, path, self.format),
            None => picture.save(path, self.format).map(|()| true),
        }
    }

    /// The file of the picture with `seed`, which goes into the name where there are several.
    fn path(&self, seed: u64, count: usize) -> PathBuf {
        let extension = self.format.name();
        match &self.path {
            None => PathBuf::from(format!("plantain-{seed}.{extension}")),
            Some(path) if count == 1 => path.clone(),
            Some(path) => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let extension = path
                    .extension()
                    .map_or(extension.into(), |e| e.to_string_lossy());
                path.with_file_name(format!("{stem}-{seed}.{extension}"))
            }
        }
    }
}

/// Finds out before the work whether there is a place to write to.
fn check_place(path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Err(Failure::new("pictures do not go to standard output")
            .help("name a file with --output, such as fox.png"));
    }
    check_destination(path).map_err(|error| {
        let help = match error.kind() {
            ErrorKind::IsADirectory => "name a file in it with --output, such as fox.png",
            ErrorKind::NotFound => "create it, or choose another place with --output",
            _ => "choose another place with --output",
        };
        Failure::new(format!("cannot write {}: {error}", path.display())).help(help)
    })
}

/// Tells about finished pictures on standard output.
struct Reporter {
    json: bool,
    quiet: bool,
    device: String,
    precision: &'static str,
}

impl Reporter {
    fn report(&self, path: &Path, picture: &Picture, seconds: f64) -> Result<(), Failure> {
        let parameters = &picture.parameters;
        let settings = &parameters.settings;
        if self.json {
            let object = json!({
                "path": path.to_string_lossy(),
                "seed": parameters.seed,
                "seconds": (seconds * 1000.0).round() / 1000.0,
                "prompt": parameters.prompt,
                "negative_prompt": parameters.negative_prompt,
                "width": settings.width,
                "height": settings.height,
                "steps": settings.steps,
                "guidance": settings.guidance,
                "sampler": settings.sampler.name(),
                "refined": settings.refine,
                "strength": settings.init.map(|init| init.strength),
                "masked": settings.init.is_some_and(|init| init.masked),
                "transparent": parameters.transparent,
                "model": parameters.model,
                "device": self.device,
                "precision": self.precision,
            });
            out::line(object)
        } else if self.quiet {
            Ok(())
        } else {
            let seed = parameters.seed;
            out::line(format_args!(
                "{}  seed {seed}  {seconds:.2} s",
                path.display()
            ))
        }
    }
}
