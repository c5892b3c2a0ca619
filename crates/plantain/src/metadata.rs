//! How a picture was made, in the text form that other programs read.
//!
//! The form is the `parameters` text of the AUTOMATIC1111 web UI: the prompt, a line
//! `Negative prompt: ..` if there is one, and a last line of comma-separated `Key: value` pairs.

use std::fmt::{self, Write};

use plantain_sampling::{Noise, SamplerKind};
use plantain_weights::Addition;

use crate::device::PrecisionChoice;
use crate::request::{InitSettings, Settings};

/// Keyword of the PNG text chunk.
pub const PNG_KEYWORD: &str = "parameters";

/// How a picture was made.
///
/// ```
/// use plantain::Parameters;
///
/// let text = "a red fox\nSteps: 6, Sampler: flow-euler, CFG scale: 1, Seed: 7, \
///             Size: 512x512, Model: plantain-2-lite";
/// let parameters = Parameters::parse(text)?;
/// assert_eq!((parameters.seed, parameters.settings.steps), (7, 6));
/// # Ok::<(), plantain::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// What the picture shows.
    pub prompt: String,
    /// What it should not show.
    pub negative_prompt: String,
    /// Seed of the picture.
    pub seed: u64,
    /// Everything else that decides the picture.
    pub settings: Settings,
    /// Name of the model.
    pub model: String,
    /// What was added to the model.
    pub additions: Vec<Addition>,
    /// What products were computed in, as on the command line; texts of other programs do not tell.
    pub precision: Option<PrecisionChoice>,
    /// Whether its background was taken away afterwards, as `generate --transparent` does. Assets of campaigns do not tell.
    pub transparent: bool,
}

/// A parameters text that cannot be understood.
///
/// ```
/// use plantain::{Parameters, ParseError};
///
/// assert_eq!(Parameters::parse("a red fox"), Err(ParseError::NoSettings));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The last line holds no settings.
    #[error("the last line holds no `Steps: ..` settings")]
    NoSettings,
    /// A setting that a command line needs is missing.
    #[error("the setting `{0}` is missing")]
    Missing(&'static str),
    /// A setting has a value that this program does not know.
    #[error("the setting `{key}` has the value `{value}`, which this program does not know")]
    Unknown {
        /// Name of the setting.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

const NEGATIVE: &str = "Negative prompt: ";
/// Key of the strength; only where a picture was started from, which is not named.
const STRENGTH: &str = "Denoising strength";
/// Key that is there where only a part of that picture was drawn anew.
const MASK: &str = "Mask";
/// Key that is there where the picture was decoded in tiles.
const TILES: &str = "VAE tiles";
/// Key of what was added to the model, if anything was.
const ADDITIONS: &str = "Added";
const ADDITIONS_APART: &str = "; ";
const PRECISION: &str = "Precision";
/// Key that is there where the background was taken away.
const BACKGROUND: &str = "Background";
const TRANSPARENT: &str = "transparent";

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        writeln!(f, "{}", apart_from_settings(&self.prompt))?;
        if !self.negative_prompt.is_empty() {
            let negative = apart_from_settings(&self.negative_prompt);
            writeln!(f, "{NEGATIVE}{negative}")?;
        }
        write!(
            f,
            "Steps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}",
            settings.steps,
            settings.sampler,
            settings.guidance,
            self.seed,
            settings.width,
            settings.height,
            // In a line of pairs.
            self.model.replace(['\n', ','], " "),
        )?;
        if let Some(init) = &settings.init {
            write!(f, ", {STRENGTH}: {}", init.strength)?;
            if init.masked {
                write!(f, ", {MASK}: on")?;
            }
        }
        if settings.tiled {
            write!(f, ", {TILES}: on")?;
        }
        for (number, addition) in self.additions.iter().enumerate() {
            // In a line of pairs.
            let addition = addition.to_string().replace(['\n', ',', ';'], " ");
            match number {
                0 => write!(f, ", {ADDITIONS}: {addition}")?,
                _ => write!(f, "{ADDITIONS_APART}{addition}")?,
            }
        }
        if let Some(precision) = &self.precision {
            write!(f, ", {PRECISION}: {precision}")?;
        }
        if self.transparent {
            write!(f, ", {BACKGROUND}: {TRANSPARENT}")?;
        }
        write!(
            f,
            ", Refiner: {}, RNG: {}, Version: plantain {}",
            if settings.refine { "on" } else { "off" },
            Noise::NAME,
            env!("CARGO_PKG_VERSION"),
        )
    }
}

impl Parameters {
    /// Reads a text written by [`fmt::Display`].
    ///
    /// # Errors
    /// When it has no settings line, or one that this program cannot repeat.
    ///
    /// ```
    /// use plantain::Parameters;
    ///
    /// let text = "a red fox\nSteps: 6, Sampler: flow-euler, CFG scale: 1, Seed: 7, \
    ///             Size: 512x512, Model: plantain-2-lite";
    /// let parameters = Parameters::parse(text)?;
    /// assert_eq!(Parameters::parse(&parameters.to_string())?, parameters);
    /// # Ok::<(), plantain::ParseError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (body, last) = text.trim_end().rsplit_once('\n').unwrap_or(("", text));
        if !last.starts_with("Steps: ") {
            return Err(ParseError::NoSettings);
        }
        let (prompt, negative_prompt) = match body.rsplit_once(&format!("\n{NEGATIVE}")) {
            Some((prompt, negative)) => (prompt, negative),
            None => (body, ""),
        };
        let size = value(last, "Size")?;
        let (width, height) = size.split_once('x').ok_or_else(|| unknown("Size", size))?;
        Ok(Self {
            prompt: prompt.to_string(),
            negative_prompt: negative_prompt.to_string(),
            seed: number(last, "Seed")?,
            settings: Settings {
                steps: number(last, "Steps")?,
                guidance: number(last, "CFG scale")?,
                width: width.parse().map_err(|_| unknown("Size", size))?,
                height: height.parse().map_err(|_| unknown("Size", size))?,
                sampler: number::<SamplerKind>(last, "Sampler")?,
                refine: value(last, "Refiner").is_ok_and(|refiner| refiner == "on"),
                tiled: value(last, TILES).is_ok_and(|tiles| tiles == "on"),
                init: init_settings(last)?,
            },
            model: value(last, "Model")?.to_string(),
            additions: additions(last)?,
            precision: precision(last)?,
            transparent: value(last, BACKGROUND).is_ok_and(|background| background == TRANSPARENT),
        })
    }

    /// The command that makes the picture again, quoted for a POSIX shell. The model is named in a
    /// comment, because where it lies is not known; so are the files that a picture was started from, for which `INIT` and
    /// `MASK` stand. What was added to the model is named without the folder that it is in.
    ///
    /// ```
    /// # use plantain::Parameters;
    /// # let text = "a red fox\nSteps: 6, Sampler: flow-euler, CFG scale: 1, Seed: 7, \
    /// #             Size: 512x512, Model: plantain-2-lite";
    /// let parameters = Parameters::parse(text)?;
    /// assert!(parameters.command_line().starts_with("plantain generate 'a red fox' --seed 7"));
    /// # Ok::<(), plantain::ParseError>(())
    /// ```
    pub fn command_line(&self) -> String {
        let settings = &self.settings;
        let mut line = "plantain generate".to_string();
        // Such a prompt would be taken for an option.
        let hyphen = self.prompt.starts_with('-');
        if !hyphen {
            let _ = write!(line, " {}", shell_quoted(&self.prompt));
        }
        if !self.negative_prompt.is_empty() {
            let _ = write!(line, " --negative={}", shell_quoted(&self.negative_prompt));
        }
        let _ = write!(
            line,
            " --seed {} --steps {} --guidance {} --size {}x{} --sampler {}",
            self.seed,
            settings.steps,
            settings.guidance,
            settings.width,
            settings.height,
            settings.sampler
        );
        if let Some(init) = &settings.init {
            let mask = if init.masked { " --mask MASK" } else { "" };
            let _ = write!(line, " --init INIT{mask} --strength {}", init.strength);
        }
        if !settings.refine {
            line.push_str(" --no-refine");
        }
        if settings.tiled {
            line.push_str(" --tiled");
        }
        for Addition { kind, value } in &self.additions {
            let _ = write!(line, " --{}={}", kind.name(), shell_quoted(value));
        }
        // On a CPU, which has no half precision, the same model is drawn in another one.
        let precision = self
            .precision
            .filter(|precision| *precision != PrecisionChoice::F16);
        if let Some(precision) = precision {
            let _ = write!(line, " --precision {precision}");
        }
        if self.transparent {
            line.push_str(" --transparent");
        }
        if hyphen {
            // A hyphen alone would be standard input.
            let space = if self.prompt == "-" { " " } else { "" };
            let _ = write!(
                line,
                " -- {}",
                shell_quoted(&format!("{}{space}", self.prompt))
            );
        }
        let _ = write!(line, "  # model: {}", comment(&self.model));
        if let Some(init) = &settings.init {
            line.push_str("; INIT: the picture it was made from");
            if init.masked {
                line.push_str("; MASK: the mask");
            }
        }
        line
    }
}

/// A prompt of which no line can be taken for the negative one: tokenizers pass over a space before it.
fn apart_from_settings(prompt: &str) -> String {
    prompt.replace(&format!("\n{NEGATIVE}"), &format!("\n {NEGATIVE}"))
}

fn init_settings(settings: &str) -> Result<Option<InitSettings>, ParseError> {
    match number(settings, STRENGTH) {
        Err(ParseError::Missing(_)) => Ok(None),
        strength => Ok(Some(InitSettings {
            strength: strength?,
            masked: value(settings, MASK).is_ok(),
        })),
    }
}

fn precision(settings: &str) -> Result<Option<PrecisionChoice>, ParseError> {
    match number(settings, PRECISION) {
        Err(ParseError::Missing(_)) => Ok(None),
        precision => precision.map(Some),
    }
}

fn additions(settings: &str) -> Result<Vec<Addition>, ParseError> {
    let Ok(text) = value(settings, ADDITIONS) else {
        return Ok(Vec::new());
    };
    let additions = text.split(ADDITIONS_APART).map(str::parse);
    let additions: Result<_, String> = additions.collect();
    additions.map_err(|_| unknown(ADDITIONS, text))
}

fn value<'a>(settings: &'a str, key: &'static str) -> Result<&'a str, ParseError> {
    settings
        .split(", ")
        .find_map(|pair| pair.strip_prefix(key)?.strip_prefix(": "))
        .ok_or(ParseError::Missing(key))
}

fn number<T: std::str::FromStr>(settings: &str, key: &'static str) -> Result<T, ParseError> {
    let text = value(settings, key)?;
    text.parse().map_err(|_| unknown(key, text))
}

fn unknown(key: &'static str, value: &str) -> ParseError {
    ParseError::Unknown {
        key,
        value: value.to_string(),
    }
}

/// A name that no shell takes for anything else, also where it knows no comments.
fn comment(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " ._-+,:/".contains(c);
    name.chars()
        .map(|c| if plain(c) { c } else { ' ' })
        .collect()
}

/// A text as shells take it for one argument: in single quotes, each single quote inside written as `'\''`.
///
/// ```
/// assert_eq!(plantain::shell_quoted("it's red"), r"'it'\''s red'");
/// ```
#[must_use]
pub fn shell_quoted(text: &str) -> String {
    // Terminals act on other control characters when they are pasted.
    let text = text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', " ");
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        Parameters {
            prompt: "a fox, it's red, Steps: 3".into(),
            negative_prompt: "snow".into(),
            seed: u64::MAX,
            settings: Settings {
                steps: 8,
                guidance: 3.5,
                width: 128,
                height: 64,
                sampler: SamplerKind::FlowEuler,
                refine: false,
                tiled: false,
                init: None,
            },
            model: "plantain-2-lite".into(),
            additions: Vec::new(),
            precision: None,
            transparent: false,
        }
    }

    #[test]
    fn a_background_that_was_taken_away_is_told() {
        let mut expected = parameters();
        expected.transparent = true;
        let text = expected.to_string();
        assert!(text.contains("Model: plantain-2-lite, Background: transparent, "));
        assert_eq!(Parameters::parse(&text), Ok(expected.clone()));
        assert!(
            expected
                .command_line()
                .contains(" --no-refine --transparent  #")
        );
        let other = Parameters::parse(&text.replace("transparent", "white"));
        assert_eq!(other, Ok(parameters()));
    }

    #[test]
    fn what_was_added_and_the_precision_read_back() {
        let mut expected = parameters();
        expected.precision = Some(PrecisionChoice::Int8);
        expected.additions = ["recipe lcm", "lora it's ink.safetensors:0.8"]
            .map(|addition| addition.parse().unwrap())
            .to_vec();
        let text = expected.to_string();
        assert!(text.contains(
            "Added: recipe lcm; lora it's ink.safetensors:0.8, Precision: int8, Refiner"
        ));
        assert_eq!(Parameters::parse(&text), Ok(expected.clone()));
        let line = expected.command_line();
        assert!(
            line.contains(
                r" --recipe='lcm' --lora='it'\''s ink.safetensors:0.8' --precision int8  #"
            )
        );
        expected.additions[1].value = "a, b; c:1".into();
        let read = Parameters::parse(&expected.to_string()).unwrap();
        assert_eq!(read.additions[1].value, "a  b  c:1");
        // What `info` prints is pasted into shells.
        for (ours, foreign) in [
            ("recipe lcm", "hypernet x"),
            ("int8", "int8; rm x"),
            ("int8", "$(x)"),
        ] {
            let error = Parameters::parse(&text.replace(ours, foreign)).unwrap_err();
            assert!(matches!(error, ParseError::Unknown { .. }), "{error}");
        }
        expected.precision = Some(PrecisionChoice::F16);
        assert!(!expected.command_line().contains("--precision"));
    }

    #[test]
    fn the_text_reads_back() {
        let mut expected = parameters();
        assert_eq!(
            Parameters::parse(&expected.to_string()),
            Ok(expected.clone())
        );
        expected.negative_prompt.clear();
        expected.prompt = "two\nlines ü".into();
        assert_eq!(
            Parameters::parse(&expected.to_string()),
            Ok(expected.clone())
        );
        expected.prompt = "a fox\nNegative prompt: snow".into();
        let read = Parameters::parse(&expected.to_string()).unwrap();
        assert_eq!(read.prompt, "a fox\n Negative prompt: snow");
        expected.prompt = "-".into();
        assert!(expected.command_line().contains(" -- '- '  #"));
        expected.prompt.clear();
        expected.settings.tiled = true;
        assert!(expected.command_line().contains(" --no-refine --tiled  #"));
        assert_eq!(
            Parameters::parse(&expected.to_string()),
            Ok(expected.clone())
        );
        for masked in [false, true] {
            let strength = 0.6;
            expected.settings.init = Some(InitSettings { strength, masked });
            let text = expected.to_string();
            assert!(text.contains("Model: plantain-2-lite, Denoising strength: 0.6"));
            assert_eq!(Parameters::parse(&text), Ok(expected.clone()));
        }
    }

    #[test]
    fn files_that_are_not_known_are_told_to_be_named() {
        let mut parameters = parameters();
        let mut line = |masked| {
            let strength = 0.5;
            parameters.settings.init = Some(InitSettings { strength, masked });
            parameters.command_line()
        };
        assert!(line(false).ends_with(
            " --init INIT --strength 0.5 --no-refine  # model: plantain-2-lite; INIT: the picture it was made from"
        ));
        let masked = line(true);
        assert!(masked.contains(" --init INIT --mask MASK --strength 0.5 "));
        assert!(masked.ends_with("; MASK: the mask"));
    }

    #[test]
    fn foreign_texts_are_refused() {
        assert_eq!(Parameters::parse("a fox"), Err(ParseError::NoSettings));
        let foreign =
            "a fox\nSteps: 20, Sampler: UniPC, CFG scale: 7, Seed: 1, Size: 8x8, Model: m";
        assert!(matches!(
            Parameters::parse(foreign),
            Err(ParseError::Unknown { key: "Sampler", .. })
        ));
    }

    #[test]
    fn the_command_line_is_quoted() {
        let line = parameters().command_line();
        assert!(
            line.starts_with(r"plantain generate 'a fox, it'\''s red, Steps: 3' --negative='snow'")
        );
        assert!(line.contains("--no-refine"));
        let mut hostile = parameters();
        hostile.model = "x\r; rm $(y) `z` | w".into();
        hostile.prompt = "a\u{1b}[201~\rfox".into();
        let line = hostile.command_line();
        assert!(line.ends_with("# model: x   rm   y   z    w"), "{line}");
        assert!(
            line.starts_with("plantain generate 'a [201~ fox'"),
            "{line}"
        );
        let mut hyphen = parameters();
        hyphen.prompt = "-n".into();
        assert!(hyphen.command_line().contains(" --no-refine -- '-n'  #"));
    }
}
