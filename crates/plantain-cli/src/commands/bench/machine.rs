//! The machine that is measured, and who else is using it.

use std::collections::BTreeMap;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::thread::available_parallelism;

use plantain::DeviceChoice;
use serde::{Deserialize, Serialize};

use super::row::Row;

/// What a measurement depends on besides the program's arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    /// Its name, or only its kind where the system does not tell.
    pub(super) cpu: String,
    /// As the system schedules them, so with hyper-threading two for each core.
    pub(super) cores: usize,
    pub(super) memory_mb: Option<u64>,
    pub(super) os: String,
    pub(super) kernel: Option<String>,
    /// Name and version of this program, its commit and what it was built for.
    pub(super) program: String,
    /// Instruction sets that the CPU kernels use.
    pub(super) features: Vec<String>,
    /// The measured devices by name.
    pub(super) devices: BTreeMap<String, String>,
}

impl Machine {
    /// This machine, with the devices of `rows`.
    pub(super) fn describe(rows: &[Row]) -> Self {
        let devices = rows.iter().filter_map(|row| {
            let device: DeviceChoice = row.device.parse().ok()?;
            Some((row.device.clone(), device.description()))
        });
        Self {
            cpu: value("/proc/cpuinfo", "model name").unwrap_or_else(|| ARCH.to_string()),
            cores: available_parallelism().map_or(1, Into::into),
            memory_mb: value("/proc/meminfo", "MemTotal").and_then(|size| megabytes(&size)),
            os: value("/etc/os-release", "PRETTY_NAME").unwrap_or_else(|| OS.to_string()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .ok()
                .map(|release| release.trim().to_string()),
            program: format!(
                "plantain {} ({})",
                env!("CARGO_PKG_VERSION"),
                crate::version::build()
            ),
            features: plantain::cpu_features()
                .into_iter()
                .map(str::to_string)
                .collect(),
            devices: devices.collect(),
        }
    }

    /// In a line.
    pub(super) fn summary(&self) -> String {
        let memory = self
            .memory_mb
            .map_or(String::new(), |mb| format!(", {mb} MB"));
        let Self {
            cpu,
            cores,
            os,
            program,
            ..
        } = self;
        format!("{cpu}, {cores} cores{memory}, {os}; {program}")
    }
}

/// Most memory that this process has held, where the system tells.
pub(super) fn peak_megabytes() -> Option<u64> {
    megabytes(&value("/proc/self/status", "VmHWM")?)
}

/// From `1024 kB`.
fn megabytes(size: &str) -> Option<u64> {
    let kilobytes: u64 = size.strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes / 1024)
}

/// The first value of `key` in a file of keys and values, where the system has it.
fn value(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once([':', '=']));
    let (_, value) = pairs.find(|(name, _)| name.trim() == key)?;
    Some(value.trim().trim_matches('"').to_string())
}

/// Processor time in the system's ticks, where it tells.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ticks {
    /// Of all cores, idle or not.
    all: u64,
    /// Of those, busy ones.
    busy: u64,
    /// Of those, this process's.
    own: u64,
}

/// Fewer than this say nothing: the system counts roughly.
const ENOUGH_TICKS: u64 = 100;

impl Ticks {
    /// Since the machine and the process started.
    pub(super) fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let cores = stat.lines().next()?.split_whitespace().skip(1).take(8);
        let cores: Vec<u64> = cores.filter_map(|ticks| ticks.parse().ok()).collect();
        let [_, _, _, idle, waiting, _, _, _] = cores[..] else {
            return None;
        };
        let all = cores.iter().sum::<u64>();
        let process = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program, in brackets, may hold spaces; user and system time are fields 14 and 15.
        let fields = process.rsplit_once(')')?.1.split_whitespace();
        let own = fields.skip(11).take(2).map(str::parse::<u64>);
        Some(Self {
            all,
            busy: all - idle - waiting,
            own: own.sum::<Result<u64, _>>().ok()?,
        })
    }

    /// With what passed from `began` to `ended`.
    pub(super) fn plus(self, began: Self, ended: Self) -> Self {
        Self {
            all: self.all + ended.all.saturating_sub(began.all),
            busy: self.busy + ended.busy.saturating_sub(began.busy),
            own: self.own + ended.own.saturating_sub(began.own),
        }
    }

    /// Share of the cores that other processes used.
    pub(super) fn of_others(self) -> Option<f64> {
        let others = self.busy.saturating_sub(self.own);
        (self.all >= ENOUGH_TICKS).then(|| others as f64 / self.all as f64)
    }
}
