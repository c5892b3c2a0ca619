//! A folder to run the command in, and what comes of it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::Command as AssertCommand;
use image::RgbImage;
use tempfile::TempDir;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_plantain");

/// A committed tiny model: `turbo` runs without guidance and draws 24x16 pixels, `modern` takes the
/// guidance as an input, `sharded` has no text encoder, `deep` draws 128x128 pixels from a latent 16
/// times smaller.
pub fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
    let path = Path::new(folder).join(name).canonicalize();
    path.expect("the fixture is there").display().to_string()
}

/// A folder of its own for one test.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    pub fn image(&self, name: &str) -> RgbImage {
        let image = image::load_from_memory(&self.read(name));
        image.unwrap_or_else(|e| panic!("{name}: {e}")).to_rgb8()
    }

    /// The names of everything in the folder, hidden files too, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder is there");
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The program, to be run in the folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.folder.path());
        // Mesa's layer that orders graphics processors complains on standard error where nobody is logged in.
        command.env("NODEVICE_SELECT", "1");
        command
    }

    /// Runs the program in the folder.
    pub fn run(&self, args: &[&str]) -> Outcome {
        self.run_with(args, "")
    }

    /// The same with `input` on standard input.
    pub fn run_with(&self, args: &[&str], input: impl Into<Vec<u8>>) -> Outcome {
        let output = AssertCommand::from_std(self.command())
            .args(args)
            .write_stdin(input)
            .output()
            .expect("the program starts");
        Outcome {
            command: args.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text on standard output"),
            stderr: String::from_utf8(output.stderr).expect("text on standard error"),
        }
    }

    /// Draws with the model `turbo`.
    pub fn draw(&self, args: &[&str]) -> Outcome {
        self.draw_from("a red fox", &fixture("turbo"), args)
    }

    /// Draws `prompt` with the model at `model`.
    pub fn draw_from(&self, prompt: &str, model: &str, args: &[&str]) -> Outcome {
        let command = ["generate", prompt, "--model", model];
        self.run(&[&command, args].concat())
    }

    /// Converts a fixture to `NAME.safetensors`.
    pub fn convert(&self, name: &str) -> String {
        let file = format!("{name}.safetensors");
        self.run(&["convert", &fixture(name), &file]).succeeded();
        file
    }

    /// Copies a fixture to a folder of the same name, to be damaged.
    pub fn copy(&self, name: &str) -> String {
        copy_folder(Path::new(&fixture(name)), &self.path(name));
        name.to_string()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// How a run ended.
pub struct Outcome {
    pub command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "`plantain {command}` ended with {code:?}\n{stdout}\n{stderr}"
        )
    }
}

impl Outcome {
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Checks that the run ended with one error that holds every one of `parts`, and said nothing
    /// else.
    #[track_caller]
    pub fn refused(self, parts: &[&str]) -> Self {
        assert!(matches!(self.code, Some(1 | 2)), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        let errors = self.stderr.matches('×').count() + self.stderr.matches("error:").count();
        assert_eq!(errors, 1, "{self:?}");
        for part in parts {
            assert!(self.says(part), "`{part}` is not said: {self:?}");
        }
        self
    }

    /// Whether standard error holds `part`, wherever its lines are broken.
    pub fn says(&self, part: &str) -> bool {
        unbroken(&self.stderr).contains(&unbroken(part))
    }
}

fn unbroken(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && *c != '│')
        .collect()
}
