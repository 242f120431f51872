//! Builds deltas field by field, valid or invalid.

/// Appends an integer of RFC 3284, section 2.
pub(crate) fn integer(value: u64, out: &mut Vec<u8>) {
    let groups = (64 - (value | 1).leading_zeros()).div_ceil(7);
    for group in (0..groups).rev() {
        out.push((value >> (7 * group)) as u8 & 0x7f | if group > 0 { 0x80 } else { 0 });
    }
}

/// One window; the length of the encoding is computed.
#[derive(Clone, Default)]
pub(crate) struct HandWindow {
    /// The length and offset of the copy window.
    pub(crate) source: Option<(u64, u64)>,
    /// `true` if the copy window is a part of the target (VCD_TARGET).
    pub(crate) in_target: bool,
    pub(crate) target_len: u64,
    pub(crate) delta_indicator: u8,
    pub(crate) data: Vec<u8>,
    pub(crate) instructions: Vec<u8>,
    pub(crate) addresses: Vec<u8>,
    pub(crate) checksum: Option<u32>,
}

impl HandWindow {
    pub(crate) fn new(target_len: u64, data: &[u8], instructions: &[u8], addresses: &[u8]) -> Self {
        Self {
            target_len,
            data: data.to_vec(),
            instructions: instructions.to_vec(),
            addresses: addresses.to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn source(self, len: u64, offset: u64) -> Self {
        Self { source: Some((len, offset)), ..self }
    }

    pub(crate) fn checksum(self, target: &[u8]) -> Self {
        Self { checksum: Some(adler2::adler32_slice(target)), ..self }
    }

    /// Returns the header, as if the sections had their present lengths, then the sections.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.header([self.data.len(), self.instructions.len(), self.addresses.len()]), self.body()]
            .concat()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        [&self.data[..], &self.instructions, &self.addresses].concat()
    }

    /// Returns the header alone, with these lengths of the sections.
    pub(crate) fn header(&self, lengths: [usize; 3]) -> Vec<u8> {
        let mut fields = Vec::new();
        integer(self.target_len, &mut fields);
        fields.push(self.delta_indicator);
        for len in lengths {
            integer(len as u64, &mut fields);
        }
        if let Some(checksum) = self.checksum {
            fields.extend(checksum.to_be_bytes());
        }
        let copy = if self.in_target { 2 } else { 1 };
        let mut bytes = vec![
            if self.source.is_some() { copy } else { 0 }
                | if self.checksum.is_some() { 4 } else { 0 },
        ];
        if let Some((len, offset)) = self.source {
            integer(len, &mut bytes);
            integer(offset, &mut bytes);
        }
        integer(fields.len() as u64 + lengths.iter().sum::<usize>() as u64, &mut bytes);
        bytes.extend(fields);
        bytes
    }
}

/// Returns a file without secondary compressor and application header.
pub(crate) fn delta(windows: &[HandWindow]) -> Vec<u8> {
    let mut bytes = b"\xd6\xc3\xc4\0\0".to_vec();
    windows.iter().for_each(|window| bytes.extend(window.bytes()));
    bytes
}

/// Returns a file whose compressed sections are LZMA.
pub(crate) fn lzma_delta(windows: &[HandWindow]) -> Vec<u8> {
    let mut bytes = b"\xd6\xc3\xc4\0\x01\x02".to_vec();
    windows.iter().for_each(|window| bytes.extend(window.bytes()));
    bytes
}

/// Returns the start of an LZMA section of a decompressed length: the container's headers with a
/// dictionary of 256 KiB.
pub(crate) fn lzma_start(len: u64) -> Vec<u8> {
    let mut section = Vec::new();
    integer(len, &mut section);
    section.extend(b"\xfd7zXZ\0\0\0\xff\x12\xd9\x41\x02\0\x21\x01\x0c\0\0\0\x8f\x98\x41\x9c");
    section
}

/// The number of bytes that one of [`zeros_chunks`] decodes to.
pub(crate) const ZEROS_CHUNK: usize = 2_096_914;

/// Returns LZMA2 chunks of only zeros, each with a new state: 365 bytes made by liblzma for every 2
/// MB.
pub(crate) fn zeros_chunks(count: usize) -> Vec<u8> {
    let coded = include_bytes!("../fixtures/decode/zeros.lzma-chunk");
    let mut chunks = Vec::new();
    for index in 0..count {
        let size = ZEROS_CHUNK - 1;
        chunks.push(if index == 0 { 0xe0 } else { 0xc0 } | (size >> 16) as u8);
        chunks.extend((size as u16).to_be_bytes());
        chunks.extend((coded.len() as u16 - 1).to_be_bytes());
        chunks.push(0x5d);
        chunks.extend(coded);
    }
    chunks
}
