//! Tensors of a model under their stable names.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Bytes;
use plantain_nn::StoredRows;

use crate::change::Change;
use crate::container::{Container, Stored};
use crate::error::ReadError;
use crate::float::FloatType;
use crate::int8::{self, StoredScales};
use crate::manifest::Component;
use crate::tensor::{Rows, TensorRef, is_int8};

/// Bytes of a tensor that reading in place is for: what is smaller costs nothing to copy, and then the file may go.
const WORTH_LENDING: usize = 1 << 20;

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

    /// The numbers of the tensor with the stable name `name` as they lie in its file, without a copy, and forgotten after their
    /// use. `None` for those that are not `f32` there, and for small ones.
    pub(crate) fn numbers_in_file(&self, name: &str) -> Option<Bytes> {
        let entry = self.entries.get(name)?;
        let bytes = self.view(name, entry).plain_f32()?;
        (bytes.len() >= WORTH_LENDING).then(|| entry.file.lend(&entry.stored))
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
        let mut tensor = TensorRef::stored(stored, entry.file.data(stored));
        tensor.scales = scales.map(|scales| StoredScales {
            shape: &scales.stored.shape,
            dtype: scales.stored.dtype,
            bytes: scales.file.data(&scales.stored),
        });
        tensor.changes = &entry.changes;
        tensor.more = &entry.more;
        tensor
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

    /// Tensors `a`, .. of these types and shapes, all bytes 0.
    fn source(tensors: &[(safetensors::Dtype, Vec<usize>)]) -> (tempfile::TempDir, TensorSource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.safetensors");
        let bytes = vec![0; 4 * WORTH_LENDING];
        let names = ('a'..).map(String::from);
        let views = names.zip(tensors).map(|(name, (dtype, shape))| {
            let length = dtype.bitsize() / 8 * shape.iter().product::<usize>();
            let data = &bytes[..length];
            (
                name,
                safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap(),
            )
        });
        safetensors::serialize_to_file(views, None, &path).unwrap();
        let file = Container::open(&path).unwrap();
        let named = file.tensors.iter().map(|(name, stored)| NamedTensor {
            name: name.clone(),
            original: name.clone(),
            stored: stored.clone(),
        });
        let named = named.collect();
        let mut source = TensorSource::new("some".to_string());
        source.add(file, named).unwrap();
        (folder, source)
    }

    #[test]
    fn large_tensors_of_this_machines_numbers_are_not_copied() {
        use safetensors::Dtype::{F16, F32};
        let large = WORTH_LENDING / 4;
        let (_folder, source) = source(&[
            (F32, vec![large]),
            (F32, vec![large - 1]),
            (F16, vec![2 * large]),
            (F32, vec![1, large]),
        ]);
        for (name, lent) in [("a", true), ("b", false), ("c", false), ("d", true)] {
            let bytes = source.numbers_in_file(name);
            let place = bytes.as_ref().map(|bytes| bytes.as_ptr());
            let stored = source.get(name).unwrap().bytes();
            assert_eq!(place, lent.then_some(stored.as_ptr()), "{name}");
            assert!(bytes.is_none_or(|bytes| bytes[..] == *stored), "{name}");
        }
        assert!(source.numbers_in_file("e").is_none());
    }

    #[test]
    fn tensors_that_are_more_than_what_is_stored_are_not_lent() {
        use safetensors::Dtype::F32;
        let (columns, rows) = (WORTH_LENDING / 4 / 256, 256);
        let wide = vec![rows, columns];
        let shapes = [wide.clone(), wide, vec![1, columns], vec![rows, 1]];
        let (_folder, mut source) = source(&shapes.map(|shape| (F32, shape)));
        assert!(source.numbers_in_file("a").is_some() && source.numbers_in_file("b").is_some());
        let [down, up] = ["c", "d"].map(|name| source.entries[name].stored.clone());
        let file = Arc::clone(&source.entries["a"].file);
        let change = Change::new(&file, &up, &down, 1.0, &[rows, columns]).unwrap();
        assert!(source.change("a", change));
        assert!(source.append("b", &file, &down));
        for name in ["a", "b"] {
            assert!(source.numbers_in_file(name).is_none(), "{name}");
        }
    }

    #[test]
    fn what_is_written_to_a_tensor_does_not_reach_its_file() {
        let (_folder, source) = source(&[(safetensors::Dtype::F32, vec![WORTH_LENDING / 4])]);
        let mut bytes = source.numbers_in_file("a").unwrap();
        bytes[0] = 1;
        assert_eq!(bytes[0], 1);
        drop(bytes);
        assert_eq!(source.get("a").unwrap().bytes()[0], 0);
    }
}
