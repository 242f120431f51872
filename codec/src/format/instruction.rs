//! Instructions and the default code table of RFC 3284, sections 5.1, 5.4 and 5.6.

/// Number of address modes of the default code table: self, here, four near, three same.
pub(crate) const MODES: usize = 9;

/// What one half of a code table entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// Nothing; the second half of a single instruction.
    #[default]
    Noop,
    /// Bytes from the data section.
    Add,
    /// One byte from the data section, repeated.
    Run,
    /// Bytes from the source window or from the target already produced, in the given address mode.
    Copy(u8),
}

/// One half of a code table entry; size 0 means that the size follows in the instruction section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Half {
    pub(crate) kind: Kind,
    pub(crate) size: u8,
}

/// One or two instructions behind one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    pub(crate) first: Half,
    pub(crate) second: Half,
}

/// 256 entries, indexed by the code.
pub(crate) type CodeTable = [Entry; 256];

/// The table of RFC 3284, section 5.6.
pub(crate) static DEFAULT_CODE_TABLE: CodeTable = default_code_table();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // evaluated by the compiler only
const fn default_code_table() -> CodeTable {
    const NOOP: Half = Half { kind: Kind::Noop, size: 0 };
    const fn single(kind: Kind, size: u8) -> Entry {
        Entry { first: Half { kind, size }, second: NOOP }
    }
    const fn pair(first: Half, second: Half) -> Entry {
        Entry { first, second }
    }
    let mut table = [Entry { first: NOOP, second: NOOP }; 256];
    table[0] = single(Kind::Run, 0);
    let mut code = 1;
    let mut size = 0;
    while size <= 17 {
        table[code] = single(Kind::Add, size);
        code += 1;
        size += 1;
    }
    let mut mode = 0;
    while mode < MODES as u8 {
        table[code] = single(Kind::Copy(mode), 0);
        code += 1;
        let mut size = 4;
        while size <= 18 {
            table[code] = single(Kind::Copy(mode), size);
            code += 1;
            size += 1;
        }
        mode += 1;
    }
    let mut mode = 0;
    while mode < MODES as u8 {
        let longest = if mode < 6 { 6 } else { 4 };
        let mut add = 1;
        while add <= 4 {
            let mut copy = 4;
            while copy <= longest {
                table[code] = pair(Half { kind: Kind::Add, size: add }, Half { kind: Kind::Copy(mode), size: copy });
                code += 1;
                copy += 1;
            }
            add += 1;
        }
        mode += 1;
    }
    let mut mode = 0;
    while mode < MODES as u8 {
        table[code] = pair(Half { kind: Kind::Copy(mode), size: 4 }, Half { kind: Kind::Add, size: 1 });
        code += 1;
        mode += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_table_has_the_landmarks_of_rfc_3284_section_5_6() {
        let entry = |code: usize| DEFAULT_CODE_TABLE[code];
        assert_eq!(entry(0).first, Half { kind: Kind::Run, size: 0 });
        assert_eq!(entry(1).first, Half { kind: Kind::Add, size: 0 });
        assert_eq!(entry(18).first, Half { kind: Kind::Add, size: 17 });
        assert_eq!(entry(19).first, Half { kind: Kind::Copy(0), size: 0 });
        assert_eq!(entry(162).first, Half { kind: Kind::Copy(8), size: 18 });
        assert_eq!(entry(163).second, Half { kind: Kind::Copy(0), size: 4 });
        assert_eq!(entry(234).first, Half { kind: Kind::Add, size: 4 });
        assert_eq!(entry(234).second, Half { kind: Kind::Copy(5), size: 6 });
        assert_eq!(entry(235).second, Half { kind: Kind::Copy(6), size: 4 });
        assert_eq!(entry(247).first, Half { kind: Kind::Copy(0), size: 4 });
        assert_eq!(entry(255).first, Half { kind: Kind::Copy(8), size: 4 });
        assert_eq!(entry(255).second, Half { kind: Kind::Add, size: 1 });
    }
}
