//! Tensors of a model under their stable names, and the numbers in them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use plantain_formats::ElementType;
use plantain_nn::StoredRows;
use rayon::prelude::*;

use crate::change::Change;
use crate::container::{Container, Stored};
use crate::error::{ReadError, ScaleProblem, TensorProblem};
use crate::float::{CHUNK, FloatType, is_finite};
use crate::int8::{self, Int8Weight, StoredScales};
use crate::manifest::Component;

/// Why the numbers of a tensor cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueError {
    NotFloat { dtype: String },
    NonFinite,
    OutOfRange { dtype: &'static str },
    Scales { rows: usize, problem: ScaleProblem },
}

impl ValueError {
    /// The same, as what is wrong with the tensor `name`.
    pub(crate) fn of(self, name: String) -> TensorProblem {
        match self {
            Self::NotFloat { dtype } => TensorProblem::NotFloat { name, dtype },
            Self::NonFinite => TensorProblem::NonFinite { name },
            Self::OutOfRange { dtype } => TensorProblem::OutOfRange { name, dtype },
            Self::Scales { rows, problem } => TensorProblem::Scales {
                scales: int8::scales_name(&name),
                name,
                rows,
                problem,
            },
        }
    }
}

/// A tensor in its file.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let tensor = model.tensors().get("unet.conv_in.bias").unwrap();
/// println!("{:?} as {}", tensor.shape, tensor.type_name());
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'a> {
    /// Its shape, as the modules of `plantain-nn` have it.
    pub shape: &'a [usize],
    dtype: ElementType,
    bytes: &'a [u8],
    /// Where it is not stored row-major.
    strides: Option<&'a [usize]>,
    /// Where it is stored as integers and its scales are there.
    scales: Option<StoredScales<'a>>,
    /// What is added to its numbers.
    changes: &'a [Change],
    /// Rows that follow those that are stored.
    more: &'a [Rows],
}

/// Rows of numbers in a file of their own.
#[derive(Debug, Clone)]
struct Rows {
    file: Arc<Container>,
    stored: Stored,
}

impl<'a> TensorRef<'a> {
    /// A tensor of numbers that are `bytes` as `F32`.
    pub(crate) fn of_f32(shape: &'a [usize], bytes: &'a [u8]) -> Self {
        Self {
            shape,
            dtype: ElementType::F32,
            bytes,
            strides: None,
            scales: None,
            changes: &[],
            more: &[],
        }
    }

    /// A tensor that lies in `bytes` as `stored` says.
    pub(crate) fn stored(stored: &'a Stored, bytes: &'a [u8]) -> Self {
        Self {
            dtype: stored.dtype,
            strides: stored.strides.as_deref(),
            ..Self::of_f32(&stored.shape, bytes)
        }
    }

    /// The float type that keeps its numbers: the one that it is stored as, or for a type that packages do not have the nearest;
    /// `None` when it holds no floats.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.bias").unwrap();
    /// assert!(tensor.float_type().is_some());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn float_type(&self) -> Option<FloatType> {
        FloatType::keeping(self.dtype)
    }

    /// The float type that its bytes are numbers of, just as they lie there.
    fn plain_type(&self) -> Option<FloatType> {
        let own = self.changes.is_empty() && self.more.is_empty();
        let plain = self.strides.is_none() && own;
        FloatType::of(self.dtype).filter(|_| plain)
    }

    /// Whether it is a weight stored as 8-bit integers, which need scales beside them.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(model.tensors().iter().all(|(_, tensor)| !tensor.is_int8()));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn is_int8(&self) -> bool {
        self.strides.is_none() && is_int8(self.dtype, self.shape)
    }

    /// Name of the type it is stored as, as in the headers of its file.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.bias").unwrap();
    /// assert!(tensor.type_name().starts_with('F'));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn type_name(&self) -> String {
        self.dtype.name().to_string()
    }

    /// How many numbers it holds.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.weight").unwrap();
    /// assert_eq!(tensor.parameters(), 8 * 4 * 3 * 3);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn parameters(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its bytes as they lie in the file, before anything is added to its numbers.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.bias").unwrap();
    /// let size = tensor.float_type().map_or(1, |stored| stored.size());
    /// assert_eq!(tensor.bytes().len(), size * tensor.parameters());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it holds finite numbers, without keeping them.
    pub(crate) fn check(self) -> Result<(), ValueError> {
        let Some(stored) = self.plain_type() else {
            return self.to_f32().map(drop);
        };
        let chunks = self.bytes.par_chunks(CHUNK * stored.size());
        let finite = chunks.all(|bytes| stored.all_finite(bytes));
        finite.then_some(()).ok_or(ValueError::NonFinite)
    }

    /// Its numbers, converted in parallel.
    pub(crate) fn to_f32(self) -> Result<Vec<f32>, ValueError> {
        let mut values = match self.float_type() {
            None => self.stored_int8()?.to_f32(),
            Some(_) => self.decoded(),
        };
        for rows in self.more {
            values.extend(Self::stored(&rows.stored, rows.file.data(&rows.stored)).decoded());
        }
        for change in self.changes {
            change.add_to(&mut values);
        }
        let finite = values.par_chunks(CHUNK).all(is_finite);
        finite.then_some(values).ok_or(ValueError::NonFinite)
    }

    /// The bytes of what is stored, row by row without gaps.
    pub(crate) fn row_major(self) -> Cow<'a, [u8]> {
        let Some(strides) = self.strides else {
            return Cow::Borrowed(self.bytes);
        };
        let stored = Stored {
            dtype: self.dtype,
            shape: self.shape.to_vec(),
            strides: Some(strides.to_vec()),
            range: 0..self.bytes.len(),
        };
        Cow::Owned(stored.gather(self.bytes).into_owned())
    }

    /// The numbers that are stored.
    pub(crate) fn decoded(self) -> Vec<f32> {
        let (elements, size) = self.dtype.block();
        let bytes = self.row_major();
        if self.dtype == ElementType::F32 {
            // Without clearing first what is then written.
            let bytes = bytes.as_chunks().0.par_iter();
            return bytes.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        }
        let mut values = vec![0.0; bytes.len() / size * elements];
        let chunk = CHUNK / elements;
        values
            .par_chunks_mut(chunk * elements)
            .zip(bytes.par_chunks(chunk * size))
            .for_each(|(values, bytes)| {
                self.dtype.decode(bytes, values);
            });
        values
    }

    /// Its integers and scales: as they are stored, or the nearest to its numbers.
    pub(crate) fn to_int8(self) -> Result<Int8Weight<'a>, ValueError> {
        if self.is_int8() && self.changes.is_empty() {
            return self.stored_int8();
        }
        let rows = self.shape.first().copied().unwrap_or(1);
        Int8Weight::nearest(&self.to_f32()?, rows)
    }

    fn stored_int8(self) -> Result<Int8Weight<'a>, ValueError> {
        if !self.is_int8() {
            let dtype = self.type_name();
            return Err(ValueError::NotFloat { dtype });
        }
        Int8Weight::stored(self.bytes, self.shape[0], self.scales)
    }

    /// Its numbers as bytes of type `target`.
    pub(crate) fn encoded(self, target: FloatType) -> Result<Cow<'a, [u8]>, ValueError> {
        if self.plain_type() == Some(target) {
            return self.check().map(|()| Cow::Borrowed(self.bytes));
        }
        let values = self.to_f32()?;
        let mut bytes = vec![0; values.len() * target.size()];
        let fits = bytes
            .par_chunks_mut(CHUNK * target.size())
            .zip(values.par_chunks(CHUNK))
            .map_init(
                || vec![0.0; CHUNK],
                |back, (bytes, values)| {
                    target.encode(values, bytes);
                    let back = &mut back[..values.len()];
                    target.decode(bytes, back);
                    is_finite(back)
                },
            )
            .reduce(|| true, |a, b| a & b);
        let dtype = target.name();
        fits.then_some(Cow::Owned(bytes))
            .ok_or(ValueError::OutOfRange { dtype })
    }
}

/// Integers with a scale per output channel: only weights have output channels.
fn is_int8(dtype: ElementType, shape: &[usize]) -> bool {
    dtype == ElementType::I8 && shape.len() >= 2
}

/// A tensor to be added to a [`TensorSource`].
#[derive(Debug)]
pub(crate) struct NamedTensor {
    /// Stable name.
    pub(crate) name: String,
    /// Name in the source.
    pub(crate) original: String,
    pub(crate) stored: Stored,
}

#[derive(Debug, Clone)]
struct Entry {
    file: Arc<Container>,
    original: String,
    stored: Stored,
    changes: Vec<Change>,
    more: Vec<Rows>,
}

/// The tensors of a model under their stable names, in one file or several.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// for (name, tensor) in model.tensors().iter().take(3) {
///     println!("{name} {:?}", tensor.shape);
/// }
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TensorSource {
    origin: String,
    entries: BTreeMap<String, Entry>,
}

impl TensorSource {
    /// No tensors yet, of a source that errors call `origin`.
    pub(crate) fn new(origin: String) -> Self {
        Self {
            origin,
            entries: BTreeMap::new(),
        }
    }

    /// Adds the given tensors of `file`.
    pub(crate) fn add(
        &mut self,
        file: Container,
        tensors: Vec<NamedTensor>,
    ) -> Result<(), ReadError> {
        let file = Arc::new(file);
        for tensor in tensors {
            let entry = Entry {
                file: Arc::clone(&file),
                original: tensor.original,
                stored: tensor.stored,
                changes: Vec::new(),
                more: Vec::new(),
            };
            if let Some(first) = self.entries.get(&tensor.name) {
                return Err(ReadError::Ambiguous {
                    origin: self.origin.clone(),
                    first: first.original.clone(),
                    second: entry.original,
                    name: tensor.name,
                });
            }
            self.entries.insert(tensor.name, entry);
        }
        Ok(())
    }

    /// Adds `change` to the numbers of the tensor with the stable name `name`; whether there is one.
    pub(crate) fn change(&mut self, name: &str, change: Change) -> bool {
        let entry = self.entries.get_mut(name);
        entry.map(|entry| entry.changes.push(change)).is_some()
    }

    /// Adds the rows `stored` of `file` to the matrix with the stable name `name`; whether there is one that is stored row by row.
    pub(crate) fn append(&mut self, name: &str, file: &Arc<Container>, stored: &Stored) -> bool {
        let entry = self.entries.get_mut(name);
        let Some(entry) = entry.filter(|entry| entry.stored.strides.is_none()) else {
            return false;
        };
        let (Some(rows), Some(more)) = (entry.stored.shape.first_mut(), stored.shape.first())
        else {
            return false;
        };
        *rows += more;
        entry.more.push(Rows {
            file: Arc::clone(file),
            stored: stored.clone(),
        });
        true
    }

    /// Takes the tensors of `component` away.
    pub(crate) fn remove(&mut self, component: Component) {
        let start = format!("{component}.");
        self.entries.retain(|name, _| !name.starts_with(&start));
    }

    /// Gives every tensor the name that `renamed` says, and takes those away that it says nothing of.
    pub(crate) fn rename(&mut self, renamed: impl Fn(&str) -> Option<String>) {
        let entries = std::mem::take(&mut self.entries).into_iter();
        let entries = entries.filter_map(|(name, entry)| Some((renamed(&name)?, entry)));
        self.entries = entries.collect();
    }

    /// What makes the numbers of the tensor with the stable name `name` others than those that are stored.
    pub(crate) fn additions(&self, name: &str) -> Vec<Vec<u8>> {
        let Some(entry) = self.entries.get(name) else {
            return Vec::new();
        };
        let rows = entry.more.iter();
        let rows = rows.map(|rows| rows.file.data(&rows.stored).to_vec());
        let changes = entry.changes.iter().flat_map(Change::identity);
        rows.chain(changes).collect()
    }

    /// The file or folder, or a name for bytes in memory.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(model.tensors().origin().ends_with("turbo"));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The tensor with the stable name `name`.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(model.tensors().get("unet.conv_in.bias").is_some());
    /// assert!(model.tensors().get("unet.conv_inn.bias").is_none());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn get(&self, name: &str) -> Option<TensorRef<'_>> {
        self.get_named(name).map(|(_, tensor)| tensor)
    }

    /// The tensor with the stable name `name`, with that name borrowed from here.
    pub(crate) fn get_named(&self, name: &str) -> Option<(&str, TensorRef<'_>)> {
        let (name, entry) = self.entries.get_key_value(name)?;
        Some((name, self.view(name, entry)))
    }

    /// Lets the system take back the memory of the tensor with the stable name `name`, which has been
    /// read and will hardly be read again.
    pub(crate) fn forget(&self, name: &str) {
        if let Some(entry) = self.entries.get(name) {
            entry.file.forget(&entry.stored);
        }
    }

    /// Whether the tensor with the stable name `name` holds the scales of an int8 weight.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(!model.tensors().is_scales("unet.conv_in.weight"));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn is_scales(&self, name: &str) -> bool {
        int8::weight_of(name)
            .and_then(|weight| self.entries.get(weight))
            .is_some_and(|entry| is_int8(entry.stored.dtype, &entry.stored.shape))
    }

    /// All tensors by stable name, in the order of the names.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(model.tensors().iter().any(|(name, _)| name.starts_with("vae.")));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, TensorRef<'_>)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), self.view(name, entry)))
    }

    /// What the source file calls the tensor with the stable name `name`.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let original = model.tensors().original_name("unet.conv_in.bias");
    /// assert_eq!(original, Some("unet/conv_in.bias"));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn original_name(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|entry| entry.original.as_str())
    }

    /// Number of tensors.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert_eq!(model.tensors().len(), model.tensors().iter().count());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tensor.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(!model.tensors().is_empty());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn view<'a>(&'a self, name: &str, entry: &'a Entry) -> TensorRef<'a> {
        let stored = &entry.stored;
        let scales = is_int8(stored.dtype, &stored.shape)
            .then(|| self.entries.get(&int8::scales_name(name)))
            .flatten();
        TensorRef {
            scales: scales.map(|scales| StoredScales {
                shape: &scales.stored.shape,
                dtype: scales.stored.dtype,
                bytes: scales.file.data(&scales.stored),
            }),
            changes: &entry.changes,
            more: &entry.more,
            ..TensorRef::stored(stored, entry.file.data(stored))
        }
    }
}

/// The rows of a matrix that are read where they are stored.
#[derive(Debug)]
pub(crate) struct RowsInFile {
    file: Arc<Container>,
    stored: Stored,
    float: FloatType,
}

impl RowsInFile {
    /// Those of the matrix with the stable name `name`; `None` where its numbers are not floats that lie there row by row, just
    /// as they are.
    pub(crate) fn of(source: &TensorSource, name: &str) -> Option<Self> {
        let (_, tensor) = source.get_named(name)?;
        let float = tensor.plain_type()?;
        let entry = source.entries.get(name)?;
        Some(Self {
            file: Arc::clone(&entry.file),
            stored: entry.stored.clone(),
            float,
        })
    }
}

impl StoredRows for RowsInFile {
    fn read(&self, index: usize, row: &mut [f32]) {
        let bytes = row.len() * self.float.size();
        let table = self.file.data(&self.stored);
        self.float.decode(&table[index * bytes..][..bytes], row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_number_in_a_large_tensor_is_found() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 3 * CHUNK + 7];
            values[2 * CHUNK + 5] = bad;
            let mut bytes = vec![0; values.len() * 2];
            FloatType::F16.encode(&values, &mut bytes);
            let shape = [values.len()];
            let tensor = TensorRef {
                dtype: ElementType::F16,
                ..TensorRef::of_f32(&shape, &bytes)
            };
            assert_eq!(tensor.to_f32(), Err(ValueError::NonFinite));
        }
    }

    #[test]
    fn rows_are_read_where_they_lie() {
        let folder = "../../tests/fixtures/weights/turbo";
        let model = crate::Model::open(std::path::Path::new(folder)).unwrap();
        let name = "text_encoder.embeddings.token_embedding.weight";
        let rows = RowsInFile::of(model.tensors(), name).unwrap();
        let table = model.tensors().get(name).unwrap();
        let width = table.shape[1];
        let table = table.to_f32().unwrap();
        for (index, expected) in table.chunks(width).enumerate() {
            let mut row = vec![0.0; width];
            rows.read(index, &mut row);
            assert_eq!(row, expected);
        }
        assert!(RowsInFile::of(model.tensors(), "text_encoder.nothing").is_none());
    }

    #[test]
    fn a_number_beyond_half_precision_is_refused() {
        let bytes = 70000f32.to_le_bytes();
        let tensor = TensorRef::of_f32(&[1], &bytes);
        assert_eq!(
            tensor.encoded(FloatType::F16),
            Err(ValueError::OutOfRange { dtype: "F16" })
        );
        assert!(tensor.encoded(FloatType::Bf16).is_ok());
    }
}
