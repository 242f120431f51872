//! A naive reference decoder: RFC 3284 byte by byte, without secondary compressors, limits or
//! optimisation.

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len.try_into().ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn integer(&mut self, max: u64) -> Option<u64> {
        let mut value = 0u128;
        for _ in 0..10 {
            let byte = self.byte()?;
            value = value << 7 | u128::from(byte & 0x7f);
            if byte < 0x80 {
                return u64::try_from(value).ok().filter(|&value| value <= max);
            }
        }
        None
    }
}

const U32: u64 = u32::MAX as u64;

/// Returns type (0 ADD, 1 RUN, 2 and up COPY of mode type - 2) and size of the instructions of a
/// code.
pub(crate) fn code(code: u8) -> Vec<(u8, u64)> {
    let code_of = u64::from(code);
    match code {
        0 => vec![(1, 0)],
        1..=18 => vec![(0, code_of - 1)],
        19..=162 => {
            let size = (code_of - 19) % 16;
            vec![(2 + (code - 19) / 16, if size == 0 { 0 } else { size + 3 })]
        }
        163..=234 => vec![
            (0, (code_of - 163) % 12 / 3 + 1),
            (2 + (code - 163) / 12, (code_of - 163) % 3 + 4),
        ],
        235..=246 => vec![(0, (code_of - 235) % 4 + 1), (8 + (code - 235) / 4, 4)],
        247..=255 => vec![(2 + (code - 247), 4), (0, 1)],
    }
}

/// Returns the target if the delta and the source are valid.
pub(crate) fn decode(source: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut file = Bytes(delta.strip_prefix(b"\xd6\xc3\xc4")?);
    let sdch = match file.byte()? {
        0 => false,
        b'S' => true,
        _ => return None,
    };
    match file.byte()? {
        0 => {}
        4 => {
            let len = file.integer(U32)?;
            file.take(len)?;
        }
        _ => return None,
    }
    let mut target = Vec::new();
    let mut windows = 0;
    while !file.0.is_empty() {
        window(source, &mut file, sdch, &mut target)?;
        windows += 1;
    }
    (windows > 0 || delta.len() == 5).then_some(target)
}

fn window(source: &[u8], file: &mut Bytes<'_>, sdch: bool, target: &mut Vec<u8>) -> Option<()> {
    let indicator = file.byte().filter(|indicator| indicator & !7 == 0 && indicator & 3 != 3)?;
    let (copy_len, copy_offset) =
        if indicator & 3 != 0 { (file.integer(U32)?, file.integer(u64::MAX)?) } else { (0, 0) };
    let copy_end = copy_offset.checked_add(copy_len)?;
    let copied = if indicator & 2 != 0 {
        target.get(..copy_end as usize)?.to_vec()
    } else {
        source.to_vec()
    };
    let encoding_len = file.integer(U32)?;
    let before = file.0.len();
    let len = file.integer(U32).filter(|len| len + copy_len <= U32)?;
    file.byte().filter(|&indicator| indicator == 0)?;
    let lengths = [file.integer(U32)?, file.integer(U32)?, file.integer(U32)?];
    let checksum = match indicator & 4 {
        0 => None,
        _ if sdch => Some(file.integer(U32)? as u32),
        _ => Some(file.take(4)?.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))),
    };
    let interleaved = sdch && lengths[0] == 0 && lengths[2] == 0;
    let [data, instructions, addresses] = lengths.map(|len| file.take(len).map(Bytes));
    let (mut data, mut instructions, mut addresses) = (data?, instructions?, addresses?);
    if (before - file.0.len()) as u64 != encoding_len {
        return None;
    }
    let mut window: Vec<u8> = Vec::new();
    let (mut near, mut next, mut same) = ([0u64; 4], 0, vec![0u64; 768]);
    while let Some(byte) = instructions.byte() {
        for (kind, size) in code(byte) {
            let size = if size == 0 { instructions.integer(U32)? } else { size };
            if window.len() as u64 + size > len {
                return None;
            }
            match kind {
                0 => window
                    .extend(if interleaved { &mut instructions } else { &mut data }.take(size)?),
                1 => {
                    let byte = if interleaved { &mut instructions } else { &mut data }.byte()?;
                    window.extend(std::iter::repeat_n(byte, size as usize));
                }
                _ => {
                    let addresses = if interleaved { &mut instructions } else { &mut addresses };
                    let here = copy_len + window.len() as u64;
                    let address = match kind - 2 {
                        0 => addresses.integer(U32)?,
                        1 => here.checked_sub(addresses.integer(U32)?)?,
                        mode @ 2..=5 => near[usize::from(mode - 2)] + addresses.integer(U32)?,
                        mode => same[usize::from(mode - 6) * 256 + usize::from(addresses.byte()?)],
                    };
                    near[next] = address;
                    next = (next + 1) % 4;
                    same[(address % 768) as usize] = address;
                    if address >= here || address < copy_len && address + size > copy_len {
                        return None;
                    }
                    for address in address..address + size {
                        let byte = match address.checked_sub(copy_len) {
                            Some(position) => window[position as usize],
                            None => *copied.get(usize::try_from(copy_offset + address).ok()?)?,
                        };
                        window.push(byte);
                    }
                }
            }
        }
    }
    let mut adler = adler2::Adler32::from_checksum(if sdch { 0 } else { 1 });
    adler.write_slice(&window);
    let right = checksum.is_none_or(|checksum| checksum == adler.checksum());
    target.extend(&window);
    (right && window.len() as u64 == len && data.0.is_empty() && addresses.0.is_empty())
        .then_some(())
}
