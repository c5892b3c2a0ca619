//! Parts of a campaign for machines that work side by side.

use std::fmt;
use std::str::FromStr;

use crate::error::CampaignError;

/// Shard `index` of `count`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// The whole campaign.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Its number, from 1, and how many there are.
    pub fn parts(self) -> (usize, usize) {
        (self.index, self.count)
    }

    /// Whether there are others.
    pub fn is_part(self) -> bool {
        self.count > 1
    }

    /// Whether the shot with number `shot` in the plan is its work.
    pub(crate) fn has(self, shot: usize) -> bool {
        shot % self.count == self.index - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// What was asked for: a shard by its number, or the one that the scheduler of a cluster gave to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardChoice {
    /// This one.
    Given(Shard),
    /// The scheduler's; how many there are is given, or the scheduler's to say as well.
    Scheduler(Option<usize>),
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a shard such as 2/4, auto/4 or auto");
        let Some((index, count)) = text.split_once('/') else {
            return if text == "auto" {
                Ok(Self::Scheduler(None))
            } else {
                Err(wrong())
            };
        };
        let count = count.parse().map_err(|_| wrong())?;
        if count == 0 {
            return Err(wrong());
        }
        if index == "auto" {
            return Ok(Self::Scheduler(Some(count)));
        }
        let index = index.parse().map_err(|_| wrong())?;
        if index == 0 || index > count {
            return Err(format!(
                "`{text}`: shards count from 1/{count} to {count}/{count}"
            ));
        }
        Ok(Self::Given(Shard { index, count }))
    }
}

/// A scheduler's variables: the number of this process, the first number, and how many there are.
struct Scheduler {
    name: &'static str,
    index: &'static str,
    first: Option<&'static str>,
    count: Option<&'static str>,
}

/// Kubernetes does not tell its pods how many there are.
const SCHEDULERS: [Scheduler; 3] = [
    Scheduler {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        first: Some("SLURM_ARRAY_TASK_MIN"),
        count: Some("SLURM_ARRAY_TASK_COUNT"),
    },
    Scheduler {
        name: "AWS Batch",
        index: "AWS_BATCH_JOB_ARRAY_INDEX",
        first: None,
        count: Some("AWS_BATCH_JOB_ARRAY_SIZE"),
    },
    Scheduler {
        name: "Kubernetes",
        index: "JOB_COMPLETION_INDEX",
        first: None,
        count: None,
    },
];

impl Shard {
    /// The shard that is meant: `choice`, or without one what the scheduler says, or the whole. `variable` reads the
    /// environment.
    ///
    /// # Errors
    /// When a scheduler is asked for or at work, and its variables do not make a shard.
    pub fn choose(
        choice: Option<ShardChoice>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CampaignError> {
        let given = match choice {
            Some(ShardChoice::Given(shard)) => return Ok(shard),
            Some(ShardChoice::Scheduler(count)) => count,
            None => None,
        };
        let at_work = SCHEDULERS.iter().find(|one| variable(one.index).is_some());
        match (at_work, choice) {
            (Some(scheduler), _) => scheduler.shard(given, variable),
            (None, Some(_)) => {
                let names = SCHEDULERS.map(|one| format!("{} ({})", one.index, one.name));
                let message = format!(
                    "no scheduler says which shard this is: none of {} is set",
                    names.join(", ")
                );
                Err(CampaignError::Shard(message))
            }
            (None, None) => Ok(Self::WHOLE),
        }
    }
}

impl Scheduler {
    fn shard(
        &self,
        given: Option<usize>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Shard, CampaignError> {
        let name = self.name;
        let number = |key: &str| -> Result<Option<usize>, CampaignError> {
            let Some(text) = variable(key) else {
                return Ok(None);
            };
            let wrong = || {
                CampaignError::Shard(format!("{name} set {key} to `{text}`, which is no number"))
            };
            text.parse().map(Some).map_err(|_| wrong())
        };
        let index = number(self.index)?.unwrap_or(0);
        let first = self.first.map_or(Ok(None), number)?.unwrap_or(0);
        let told = self.count.map_or(Ok(None), number)?;
        let Some(count) = given.or(told) else {
            return Err(CampaignError::Shard(format!(
                "{name} does not say how many shards there are; say --shard auto/N"
            )));
        };
        let index = (index + 1).saturating_sub(first);
        if index == 0 || index > count {
            return Err(CampaignError::Shard(format!(
                "{name} gave this process a number that is not one of {count} shards; let its numbers count up by 1"
            )));
        }
        Ok(Shard { index, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(choice: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let choice = (!choice.is_empty()).then(|| choice.parse()).transpose()?;
        let variable = |key: &str| {
            let found = variables.iter().find(|(name, _)| *name == key);
            found.map(|(_, value)| (*value).to_string())
        };
        let shard = Shard::choose(choice, variable);
        shard
            .map(|shard| shard.to_string())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn shards_are_given_or_the_schedulers() {
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_MIN", "5"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];
        let aws = [
            ("AWS_BATCH_JOB_ARRAY_INDEX", "0"),
            ("AWS_BATCH_JOB_ARRAY_SIZE", "3"),
        ];
        let kubernetes = [("JOB_COMPLETION_INDEX", "1")];
        for (choice, variables, expected) in [
            ("", &[][..], "1/1"),
            ("2/4", &[], "2/4"),
            ("", &slurm, "3/4"),
            ("1/1", &slurm, "1/1"),
            ("auto", &aws, "1/3"),
            ("auto/8", &kubernetes, "2/8"),
        ] {
            assert_eq!(choose(choice, variables).unwrap(), expected, "{choice}");
        }
        for (choice, variables, part) in [
            ("0/4", &[][..], "count from 1/4"),
            ("5/4", &[], "count from 1/4"),
            ("x", &[], "2/4"),
            ("1/0", &[], "2/4"),
            ("auto", &[], "JOB_COMPLETION_INDEX"),
            ("", &kubernetes, "--shard auto/N"),
            ("auto/1", &kubernetes, "not one of 1"),
            ("", &[("AWS_BATCH_JOB_ARRAY_INDEX", "x")], "no number"),
        ] {
            let error = choose(choice, variables).unwrap_err();
            assert!(error.contains(part), "{choice}: {error}");
        }
    }

    #[test]
    fn every_shot_is_the_work_of_one_shard() {
        for count in 1..6 {
            let shards: Vec<_> = (1..=count).map(|index| Shard { index, count }).collect();
            for shot in 0..20 {
                let owners = shards.iter().filter(|shard| shard.has(shot));
                assert_eq!(owners.count(), 1);
            }
        }
    }
}
