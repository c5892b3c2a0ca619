//! One combination in a process of its own, which waits to be told when to run: memory that one combination takes does
//! not count for another, and their runs can alternate.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use plantain::bench::Part;
use plantain::{DeviceChoice, PrecisionChoice};
use serde::{Deserialize, Serialize};

use super::row::Row;
use crate::args::BenchArgs;
use crate::failure::Failure;

/// What a worker that has loaded its networks is told, a line each.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Order {
    WarmUp,
    Run,
    /// Compare with the reference, and give the row.
    Finish,
}

/// What it answers, a line each; the first time when it has loaded them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Finished(Box<Row>),
    Failed {
        message: String,
        help: Option<String>,
    },
}

/// What is measured where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Combination {
    pub(super) device: DeviceChoice,
    pub(super) precision: PrecisionChoice,
    pub(super) part: Part,
}

/// A worker as seen by who gives the orders.
pub(super) struct Worker {
    combination: Combination,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts the process and waits until it has loaded its networks.
    pub(super) fn start(args: &BenchArgs, combination: Combination) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|e| failed(combination, &e.to_string()))?;
        let mut child = command(program.into(), args, combination)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(combination, &e.to_string()))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, answers) = pipes.ok_or_else(|| failed(combination, "it has no pipes"))?;
        let mut worker = Self {
            combination,
            child,
            orders,
            answers: BufReader::new(answers).lines(),
        };
        worker.answer()?;
        Ok(worker)
    }

    /// Gives an order and waits for it to be followed; there is a row when it was the last one.
    pub(super) fn order(&mut self, order: Order) -> Result<Option<Row>, Failure> {
        let combination = self.combination;
        let line = serde_json::to_string(&order);
        let line = line.map_err(|e| failed(combination, &e.to_string()))?;
        let told = writeln!(self.orders, "{line}");
        told.map_err(|_| failed(combination, ENDED))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Option<Row>, Failure> {
        let failed = |reason: &str| failed(self.combination, reason);
        let Some(Ok(answer)) = self.answers.next() else {
            return Err(failed(ENDED));
        };
        match serde_json::from_str(&answer).map_err(|e| failed(&e.to_string()))? {
            Answer::Done => Ok(None),
            Answer::Finished(row) => Ok(Some(*row)),
            Answer::Failed { message, help } => {
                let failure = Failure::new(message);
                Err(match help {
                    Some(help) => failure.help(help),
                    None => failure,
                })
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A worker that breaks says why by itself.
const ENDED: &str = "its process ended early";

fn failed(combination: Combination, reason: &str) -> Failure {
    let Combination {
        device,
        precision,
        part,
    } = combination;
    Failure::new(format!(
        "timing {part} on {device} in {precision} failed: {reason}"
    ))
}

fn command(program: OsString, args: &BenchArgs, combination: Combination) -> Command {
    let Combination {
        device,
        precision,
        part,
    } = combination;
    let mut command = Command::new(program);
    command.args(["bench", "--worker", "--device", &device.to_string()]);
    command.args(["--precision", precision.name(), "--part", part.name()]);
    if args.fusion {
        command.arg("--fusion");
    }
    if let Some(model) = &args.model {
        command.arg("--model").arg(model);
    }
    if let Some(size) = args.size {
        let size = format!("{}x{}", size.width, size.height);
        command.args(["--size", &size]);
    }
    if let Some(steps) = args.steps {
        command.args(["--steps", &steps.to_string()]);
    }
    if let Some(threads) = args.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    command
}
