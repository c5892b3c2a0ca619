//! Whether the tensors of a model are those that its networks need.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{Encoding, TargetType};
use crate::error::TensorProblem;
use crate::int8;
use crate::load::ExpectedTensor;
use crate::manifest::Component;
use crate::package::Model;
use crate::tensor::{TensorRef, ValueError};
use crate::write::{OutputTensor, Part};

/// The tensors that fit, and what is wrong with the others.
pub(super) struct Checked<'a> {
    pub(super) fitting: Vec<OutputTensor<'a>>,
    pub(super) problems: Vec<TensorProblem>,
}

/// Compares the tensors of `model` with what its networks need, and reads each once to see whether
/// it can be written as `target`.
pub(super) fn check(model: &Model, target: TargetType) -> Checked<'_> {
    let expected = expected(model);
    let mut problems = Vec::new();
    let mut fitting = Vec::new();
    for tensor in &expected {
        let Some((name, stored)) = model.tensors.get_named(&tensor.name) else {
            continue;
        };
        match fit(name, stored, tensor, target) {
            Ok(parts) => fitting.extend(parts),
            Err(problem) => problems.push(problem),
        }
        model.tensors.forget(name);
    }
    problems.extend(strangers(model, &expected));
    Checked { fitting, problems }
}

/// The tensors that all networks of `model` need.
fn expected(model: &Model) -> Vec<ExpectedTensor> {
    let components = Component::ALL.iter();
    components
        .flat_map(|&component| model.expected_tensors(component))
        .collect()
}

impl Model {
    /// The tensors that no network of this model needs, each as [`TensorProblem::Unused`]. They do
    /// no harm, but a model whose parts are called otherwise than expected has some.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// for problem in model.unused_tensors() {
    ///     println!("warning: {problem}");
    /// }
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn unused_tensors(&self) -> Vec<TensorProblem> {
        let mut strangers = strangers(self, &expected(self));
        strangers.retain(|problem| matches!(problem, TensorProblem::Unused { .. }));
        strangers
    }
}

/// What is written of the tensor that `expected` asks for, or what is wrong with it.
fn fit<'a>(
    name: &'a str,
    tensor: TensorRef<'a>,
    expected: &ExpectedTensor,
    target: TargetType,
) -> Result<Vec<OutputTensor<'a>>, TensorProblem> {
    let owned = name.to_string();
    if tensor.shape != expected.shape {
        return Err(TensorProblem::Misshaped {
            name: owned,
            expected: expected.shape.clone(),
            found: tensor.shape.to_vec(),
        });
    }
    let output = |name: Cow<'a, str>, part| OutputTensor { name, tensor, part };
    let written = match target.of(name, tensor) {
        Some(Encoding::Float(dtype)) => tensor
            .encoded(dtype)
            .map(|_| vec![output(name.into(), Part::Floats(dtype))]),
        Some(Encoding::Int8) => rounds(tensor).map(|()| {
            let scales = int8::scales_name(name);
            vec![
                output(name.into(), Part::Integers),
                output(scales.into(), Part::Scales),
            ]
        }),
        None => {
            let dtype = tensor.type_name();
            Err(ValueError::NotFloat { dtype })
        }
    };
    written.map_err(|error| error.of(owned))
}

/// Whether `tensor` can be written as int8, and read again.
fn rounds(tensor: TensorRef<'_>) -> Result<(), ValueError> {
    if tensor.is_int8() {
        tensor.to_f32().map(drop)
    } else {
        tensor.to_int8().map(drop)
    }
}

/// Tensors that are needed and not there, and tensors that are there and not needed, each with the
/// name among the others that resembles it most.
fn strangers(model: &Model, expected: &[ExpectedTensor]) -> Vec<TensorProblem> {
    let needed: BTreeSet<&str> = expected.iter().map(|t| t.name.as_str()).collect();
    let is_needed = |name: &str| {
        let weight = int8::weight_of(name).filter(|_| model.tensors.is_scales(name));
        needed.contains(weight.unwrap_or(name))
    };
    let missing: Vec<_> = expected
        .iter()
        .filter(|t| model.tensors.get(&t.name).is_none())
        .collect();
    let unused: Vec<_> = model
        .tensors
        .iter()
        .filter(|(name, _)| !is_needed(name))
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
