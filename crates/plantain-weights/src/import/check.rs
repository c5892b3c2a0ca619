//! Whether the tensors of a model are those that its networks need.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::TargetType;
use crate::error::TensorProblem;
use crate::load::ExpectedTensor;
use crate::manifest::Component;
use crate::package::Model;
use crate::tensors::{TensorRef, ValueError};
use crate::write::OutputTensor;

/// The tensors that fit, and what is wrong with the others.
pub(super) struct Checked<'a> {
    pub(super) fitting: Vec<OutputTensor<'a>>,
    pub(super) problems: Vec<TensorProblem>,
}

/// Compares the tensors of `model` with what its networks need, and reads each once to see whether
/// it can be written as `target`.
pub(super) fn check(model: &Model, target: TargetType) -> Checked<'_> {
    let expected: Vec<ExpectedTensor> = Component::ALL
        .iter()
        .flat_map(|&component| model.expected_tensors(component))
        .collect();
    let mut problems = Vec::new();
    let mut fitting = Vec::new();
    for tensor in &expected {
        match find(model, tensor, target) {
            Some(Ok(output)) => fitting.push(output),
            Some(Err(problem)) => problems.push(problem),
            None => {}
        }
    }
    problems.extend(strangers(model, &expected));
    Checked { fitting, problems }
}

/// The tensor that `expected` asks for, or what is wrong with it; `None` when it is missing.
fn find<'a>(
    model: &'a Model,
    expected: &ExpectedTensor,
    target: TargetType,
) -> Option<Result<OutputTensor<'a>, TensorProblem>> {
    let (name, tensor) = model.tensors.get_named(&expected.name)?;
    Some(fit(name, tensor, expected, target))
}

fn fit<'a>(
    name: &'a str,
    tensor: TensorRef<'a>,
    expected: &ExpectedTensor,
    target: TargetType,
) -> Result<OutputTensor<'a>, TensorProblem> {
    let owned = name.to_string();
    if tensor.shape != expected.shape {
        return Err(TensorProblem::Misshaped {
            name: owned,
            expected: expected.shape.clone(),
            found: tensor.shape.to_vec(),
        });
    }
    let Some(stored) = tensor.float_type() else {
        return Err(TensorProblem::NotFloat {
            name: owned,
            dtype: tensor.type_name(),
        });
    };
    let dtype = target.of(stored);
    match tensor.encoded(dtype) {
        Ok(_) => Ok(OutputTensor {
            name,
            tensor,
            dtype,
        }),
        Err(ValueError::OutOfRange) => Err(TensorProblem::OutOfRange {
            name: owned,
            dtype: dtype.name(),
        }),
        Err(ValueError::NonFinite | ValueError::NotFloat) => {
            Err(TensorProblem::NonFinite { name: owned })
        }
    }
}

/// Tensors that are needed and not there, and tensors that are there and not needed, each with the
/// name among the others that resembles it most.
fn strangers(model: &Model, expected: &[ExpectedTensor]) -> Vec<TensorProblem> {
    let needed: BTreeSet<&str> = expected.iter().map(|t| t.name.as_str()).collect();
    let missing: Vec<_> = expected
        .iter()
        .filter(|t| model.tensors.get(&t.name).is_none())
        .collect();
    let unused: Vec<_> = model
        .tensors
        .iter()
        .filter(|(name, _)| !needed.contains(name))
        .collect();
    let missing_names: Vec<_> = missing.iter().map(|t| t.name.as_str()).collect();
    let unused_names: Vec<_> = unused.iter().map(|(name, _)| *name).collect();
    let original = |name: &str| {
        model
            .tensors
            .original_name(name)
            .unwrap_or(name)
            .to_string()
    };
    let missing = missing.par_iter().map(|tensor| TensorProblem::Missing {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        suggestion: nearest(&tensor.name, &unused_names).map(original),
    });
    let unused = unused
        .par_iter()
        .map(|(name, tensor)| TensorProblem::Unused {
            name: original(name),
            shape: tensor.shape.to_vec(),
            suggestion: nearest(name, &missing_names).map(str::to_string),
        });
    missing.chain(unused).collect()
}

/// Most names compared with each other: with thousands of strangers a suggestion says nothing.
const MAX_CANDIDATES: usize = 500;

fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    const ALIKE: f64 = 0.8;
    candidates
        .iter()
        .take(MAX_CANDIDATES)
        .filter(|other| 4 * other.len().abs_diff(name.len()) <= name.len())
        .map(|other| (strsim::normalized_levenshtein(name, other), *other))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other)
}
