//! The properties that hold for any input. The fuzz targets call them, and so do the tests.

use deltaglider_deflate::archive::Scan;
use deltaglider_deflate::{
    BitWriter, Corrections, Family, Limits, Method, Parser, Rule, Segment, Span, Step, Token,
    TokenForm, corrections, rebuild, segments,
};

/// Limits that keep one case quick.
pub fn limits() -> Limits {
    Limits::default().with_text(1 << 20).with_block_text(1 << 18)
}

/// Returns a method that depends on a byte.
pub fn method(choice: u8) -> Method {
    let rules: Vec<Rule> = Rule::all().collect();
    let rule = rules[usize::from(choice) % rules.len()];
    Method { rule, flush_every: if choice & 0x80 == 0 { 0 } else { 4096 } }
}

/// Rebuilds segments from their texts and corrections.
pub fn rebuilt(method: Method, segments: &[Segment]) -> Vec<u8> {
    let (mut bytes, mut bits) = (Vec::new(), BitWriter::at(0));
    for segment in segments {
        assert_eq!(bits.position(), segment.bit);
        let made = corrections(method, segment);
        let made = Corrections::from_bytes(&made.to_bytes()).expect("corrections are read");
        rebuild(method, &segment.span(), &made, segment.last, &mut bits)
            .expect("corrections are those of the segment");
        bytes.extend(bits.take());
    }
    bytes.extend(bits.finish());
    bytes
}

/// Returns the blocks' tokens and texts, parsed in pieces.
fn parse_in_pieces(input: &[u8], len: usize) -> Result<(Vec<Token>, Vec<u8>), ()> {
    let mut parser = Parser::new(&limits());
    let (mut tokens, mut text) = (Vec::new(), Vec::new());
    let mut pieces = input.chunks(len);
    loop {
        match parser.step().map_err(|_| ())? {
            Step::NeedInput => match pieces.next() {
                Some(piece) => parser.push(piece),
                None => parser.end_input(),
            },
            Step::Block(block) => {
                tokens.extend(block.tokens);
                text.extend(parser.text());
            }
            _ => return Ok((tokens, text)),
        }
    }
}

/// Checks that any input parses alike however it is cut, and tokens make the text.
pub fn parse(input: &[u8]) {
    let whole = segments(input, &limits());
    let pieces = parse_in_pieces(input, 1 + input.len() % 7);
    assert_eq!(whole.is_ok(), pieces.is_ok());
    let (Ok((segments, _)), Ok((tokens, text))) = (whole, pieces) else { return };
    let texts: Vec<u8> = segments.iter().flat_map(|segment| segment.text().to_vec()).collect();
    assert!(texts == text);
    let stored = segments.iter().flat_map(|segment| &segment.blocks);
    let stored: usize =
        stored.filter(|block| block.tokens.is_empty()).map(|block| block.text_len).sum();
    let covered: usize = tokens.iter().map(|token| token.length()).sum();
    assert_eq!(covered + stored, text.len());
}

/// Checks that any stream is rebuilt bit for bit, by the rule that the first byte names.
pub fn rebuild_any_parse(input: &[u8]) {
    let Some((&choice, stream)) = input.split_first() else { return };
    let Ok((segments, len)) = segments(stream, &limits()) else { return };
    assert!(rebuilt(method(choice), &segments) == stream[..len as usize]);
}

/// Checks that any stream is rebuilt from its tokens.
pub fn rebuild_token_form(input: &[u8]) {
    let Ok((segments, len)) = segments(input, &limits()) else { return };
    let (mut bytes, mut bits) = (Vec::new(), BitWriter::at(0));
    for segment in &segments {
        TokenForm::of(segment).rebuild(segment.last, &mut bits).expect("the form is whole");
        bytes.extend(bits.take());
    }
    bytes.extend(bits.finish());
    assert!(bytes == input[..len as usize]);
}

/// Checks that a token form from a stranger gives an error or a stream that parses.
pub fn rebuild_any_token_form(input: &[u8]) {
    let Some(([matches, blocks], rest)) = input.split_first_chunk::<2>() else { return };
    let (matches, rest) = rest.split_at(usize::from(*matches).min(rest.len()));
    let (blocks, literals) = rest.split_at(usize::from(*blocks).min(rest.len()));
    let form = TokenForm::new(matches.to_vec(), literals.to_vec(), blocks.to_vec());
    let mut bits = BitWriter::at(0);
    if form.rebuild(true, &mut bits).is_ok() {
        rebuild_token_form(&bits.finish());
    }
}

/// Checks that corrections from a stranger give an error or a stream with this very text.
pub fn rebuild_any_corrections(input: &[u8]) {
    let Some(([choice, len], rest)) = input.split_first_chunk::<2>() else { return };
    let (corrections, text) = rest.split_at(usize::from(*len).min(rest.len()));
    let Ok(corrections) = Corrections::from_bytes(corrections) else { return };
    let Some(span) = Span::new(text, 0, text.len(), 0, 0) else { return };
    let mut bits = BitWriter::at(0);
    if rebuild(method(*choice), &span, &corrections, true, &mut bits).is_err() {
        return;
    }
    let stream = bits.finish();
    let limits = Limits::default().with_empty_blocks(u64::MAX);
    if let Ok((segments, _)) = segments(&stream, &limits) {
        let texts: Vec<u8> = segments.iter().flat_map(|segment| segment.text().to_vec()).collect();
        assert!(texts == text);
    }
}

/// Checks that the streams of any archive ascend and do not overlap.
pub fn scan(input: &[u8]) {
    let mut scan = Scan::new(input, &limits()).expect("memory is readable");
    let mut at = 0;
    while let Some(start) = scan.next(input).expect("memory is readable") {
        assert!(at <= start.offset && start.offset <= start.end);
        let stream = &input[start.offset as usize..start.end as usize];
        if let Ok((_, len)) = segments(stream, &limits()) {
            at = start.offset + len;
            assert!(at <= start.end);
            scan.end_stream(at);
        }
    }
}

/// Returns the rule of zlib at its default level.
pub fn zlib_6() -> Method {
    Rule::new(Family::Zlib, 6, 8).expect("there is such a rule").into()
}
