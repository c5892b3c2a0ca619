//! Zip archives, byte by byte, so that they can be wrong.

/// A file of an archive.
pub struct Stored<'a> {
    pub name: &'a str,
    pub content: &'a [u8],
    pub method: u16,
    pub flags: u16,
    /// What its headers say.
    pub size: u32,
}

impl<'a> Stored<'a> {
    pub fn new(name: &'a str, content: &'a [u8]) -> Self {
        Self {
            name,
            content,
            method: 0,
            flags: 0,
            size: content.len() as u32,
        }
    }
}

/// An archive of `files`, none compressed.
pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    archive_of(
        files
            .iter()
            .map(|(name, content)| Stored::new(name, content)),
    )
}

/// An archive of `files` as they say they are.
pub fn archive_of<'a>(files: impl IntoIterator<Item = Stored<'a>>) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    let mut count = 0u16;
    for file in files {
        let at = archive.len() as u32;
        // What local headers and the directory share: version, flags, method, time, date, checksum, sizes, lengths of names.
        let mut common = vec![20, 0];
        common.extend(file.flags.to_le_bytes());
        common.extend(file.method.to_le_bytes());
        common.extend([0; 8]);
        common.extend(file.size.to_le_bytes());
        common.extend(file.size.to_le_bytes());
        common.extend((file.name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(file.name.as_bytes());
        archive.extend(file.content);
        directory.extend(b"PK\x01\x02\0\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(file.name.as_bytes());
        count += 1;
    }
    let at = archive.len() as u32;
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend((directory.len() as u32).to_le_bytes());
    archive.extend(at.to_le_bytes());
    archive.extend([0; 2]);
    archive
}
