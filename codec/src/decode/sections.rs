//! Splits a window's body into its three sections and decompresses those that are compressed.

use crate::error::Fault;
use crate::format::window::{COMPRESSED, ParsedWindow, SectionLengths};
use crate::limits::DecodeLimits;
use crate::secondary::SectionDecoder;

/// The three sections of a window, ready to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) instructions: &'a [u8],
    pub(crate) addresses: &'a [u8],
}

impl<'a> Sections<'a> {
    /// Returns the sections of a window; `body` holds all bytes after the window header.
    pub(crate) fn open(
        header: &ParsedWindow,
        body: &'a [u8],
        decoder: &'a mut Option<SectionDecoder>,
        limits: &DecodeLimits,
    ) -> Result<Self, Fault> {
        let SectionLengths { data, instructions, .. } = header.fields.sections;
        let delta_indicator = header.fields.delta_indicator;
        let (data, rest) = body.split_at_checked(data as usize).unwrap_or_default();
        let (instructions, addresses) =
            rest.split_at_checked(instructions as usize).unwrap_or_default();
        let stored = [data, instructions, addresses];

        if let Some(decoder) = decoder {
            decoder.forget();
            let mut start = header.len;
            let mut total = 0u64;
            for ((section, bit), stored) in COMPRESSED.into_iter().zip(stored) {
                if delta_indicator & bit != 0 {
                    decoder
                        .decode(section, stored, total, limits.sections)
                        .map_err(|fault| fault.at(start))?;
                    total = total.saturating_add(decoder.decoded(section).len() as u64);
                }
                start = start.saturating_add(stored.len());
            }
        }
        let decoder = decoder.as_ref();
        let opened = |(section, bit), stored| match decoder {
            Some(decoder) if delta_indicator & bit != 0 => decoder.decoded(section),
            _ => stored,
        };
        let [of_data, of_instructions, of_addresses] = COMPRESSED;
        Ok(Self {
            data: opened(of_data, data),
            instructions: opened(of_instructions, instructions),
            addresses: opened(of_addresses, addresses),
        })
    }
}
