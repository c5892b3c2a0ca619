//! From stored tensors into Burn modules, by module path.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::error::{LoadError, TensorProblem};
use crate::tensor::{TensorRef, ValueError};
use crate::tensors::TensorSource;

/// A float tensor that a module needs.
///
/// ```
/// use plantain_weights::{Component, ExpectedTensor};
///
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let first: &ExpectedTensor = &model.expected_tensors(Component::Unet)[0];
/// println!("{} {:?}", first.name, first.shape);
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// Stable name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
}

/// The module path of the parameter being walked over.
#[derive(Debug)]
struct ModulePath(Vec<String>);

impl ModulePath {
    fn below(prefix: &str) -> Self {
        Self(vec![prefix.to_string()])
    }

    /// A variant of an enum is no part of the name: the configuration says which one it is.
    fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.push(name.to_string());
        }
    }

    fn exit(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.pop();
        }
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

struct Lister {
    path: ModulePath,
    tensors: Vec<ExpectedTensor>,
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.exit(container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.push(ExpectedTensor {
            name: self.path.name(),
            shape: param.lazy_shape().to_vec(),
        });
    }
}

/// The tensors that `module` needs, their names starting with `prefix` and a dot. No parameter is
/// initialised.
///
/// ```
/// use burn::tensor::Device;
/// use plantain_nn::UNetConfig;
/// use plantain_weights::expected_tensors;
///
/// let unet = UNetConfig::default().init(&Device::flex());
/// let expected = expected_tensors(&unet, "unet");
/// assert!(expected.iter().all(|tensor| tensor.name.starts_with("unet.")));
/// ```
pub fn expected_tensors<M: Module>(module: &M, prefix: &str) -> Vec<ExpectedTensor> {
    let mut lister = Lister {
        path: ModulePath::below(prefix),
        tensors: Vec::new(),
    };
    module.visit(&mut lister);
    lister.tensors
}

/// Which numbers of a module nobody has looked at yet, and what is wrong with others.
#[derive(Default)]
struct Looks(Mutex<(BTreeSet<String>, Vec<TensorProblem>)>);

impl Looks {
    fn lock(&self) -> MutexGuard<'_, (BTreeSet<String>, Vec<TensorProblem>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, name: String) {
        self.lock().0.insert(name);
    }

    /// Whether nobody has looked at this tensor before.
    fn is_first(&self, name: &str) -> bool {
        self.lock().0.remove(name)
    }

    fn tell(&self, name: &str, error: ValueError) {
        self.lock().1.push(error.of(name.to_string()));
    }
}

/// A module whose numbers are looked at when they are read.
pub(crate) struct Unchecked<M> {
    pub(crate) module: M,
    looks: Arc<Looks>,
}

impl<M> Unchecked<M> {
    /// The module, once all numbers that were not read until now have been looked at.
    pub(crate) fn checked(self, source: &TensorSource, prefix: &str) -> Result<M, LoadError> {
        let (unseen, mut problems) = std::mem::take(&mut *self.looks.lock());
        for name in unseen {
            let checked = source.get(&name).map(TensorRef::check);
            source.forget(&name);
            problems.extend(checked.and_then(Result::err).map(|error| error.of(name)));
        }
        without_problems(problems, self.module, source, prefix)
    }
}

struct Loader<'a> {
    path: ModulePath,
    source: &'a Arc<TensorSource>,
    problems: Vec<TensorProblem>,
    looks: Arc<Looks>,
}

impl Loader<'_> {
    /// Checks whether there are numbers for the parameter at the current path.
    fn check(&self, expected: &[usize]) -> Result<(), TensorProblem> {
        let name = self.path.name();
        let Some(tensor) = self.source.get(&name) else {
            return Err(TensorProblem::Missing {
                name,
                shape: expected.to_vec(),
                suggestion: None,
            });
        };
        if tensor.shape != expected {
            return Err(TensorProblem::Misshaped {
                name,
                expected: expected.to_vec(),
                found: tensor.shape.to_vec(),
            });
        }
        self.looks.expect(name);
        Ok(())
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.exit(container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        if let Err(problem) = self.check(&shape.to_vec()) {
            self.problems.push(problem);
            return param;
        }
        let (source, name, dims) = (Arc::clone(self.source), self.path.name(), shape.clone());
        let looks = Arc::clone(&self.looks);
        let read = move |device: &Device, _: bool| {
            let first = looks.is_first(&name);
            if let Some(numbers) = source.numbers_in_file(&name) {
                // While they are read they are fetched from the file once for both.
                let tensor = source.get(&name).filter(|_| first);
                if let Some(Err(error)) = tensor.map(TensorRef::check) {
                    looks.tell(&name, error);
                }
                return Tensor::from_data(
                    TensorData::from_bytes(numbers, dims, DType::F32),
                    device,
                );
            }
            let values = source.get(&name).map(TensorRef::to_f32);
            // Where nobody asks any more what is wrong, this shows itself as what no component may compute.
            let nothing = || vec![f32::NAN; dims.num_elements()];
            let values = values.transpose().unwrap_or_else(|error| {
                looks.tell(&name, error);
                None
            });
            let values = values.unwrap_or_else(nothing);
            source.forget(&name);
            Tensor::from_data(TensorData::new(values, dims), device)
        };
        Param::uninitialized(param.id, read, param.lazy_device(), false, shape)
    }
}

/// Gives every float parameter of `module` the values that `source` has under `prefix`, a dot and
/// the parameter's path. Values become `f32`, on the parameter's device; parameter ids stay. All
/// values are looked at now, but take memory only when a parameter is first used: by then another
/// may have been moved elsewhere. Large tensors that are stored as `f32` stay in their mapped file until something is written to them.
///
/// # Errors
/// [`LoadError::Tensors`] with every tensor that is missing or of another shape, and if there is none with every one that is of another
/// type, not finite, or without the scales that its integers need; then no module is returned, so no part of a network runs with random weights.
///
/// ```
/// use burn::tensor::Device;
/// use plantain_weights::load_module;
///
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let config = model.manifest().components.unet.clone().unwrap();
/// let network = config.init(&Device::flex());
/// let unet = load_module(network, model.tensors(), "unet")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_module<M: Module>(
    module: M,
    source: &Arc<TensorSource>,
    prefix: &str,
) -> Result<M, LoadError> {
    load_unchecked(module, source, prefix)?.checked(source, prefix)
}

/// As [`load_module`], for those who read the numbers at once: these are looked at when they are read.
pub(crate) fn load_unchecked<M: Module>(
    module: M,
    source: &Arc<TensorSource>,
    prefix: &str,
) -> Result<Unchecked<M>, LoadError> {
    let looks = Arc::default();
    let mut loader = Loader {
        path: ModulePath::below(prefix),
        source,
        problems: Vec::new(),
        looks: Arc::clone(&looks),
    };
    let module = module.map(&mut loader);
    let module = without_problems(loader.problems, module, source, prefix)?;
    Ok(Unchecked { module, looks })
}

fn without_problems<M>(
    problems: Vec<TensorProblem>,
    module: M,
    source: &TensorSource,
    prefix: &str,
) -> Result<M, LoadError> {
    if problems.is_empty() {
        return Ok(module);
    }
    Err(LoadError::Tensors {
        origin: source.origin().to_string(),
        prefix: prefix.to_string(),
        problems,
    })
}
