//! Texts in fewer bytes (RFC 1951), behind a dictionary of what most of them repeat.
//!
//! A dictionary never changes: the texts that refer to it need it.

use miniz_oxide::{
    deflate::core::{CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params},
    inflate::{
        TINFLStatus,
        core::{DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF},
    },
};
use secrecy::zeroize::Zeroizing;

/// A shorter text gains nothing by being deflated, or too little for the time it takes.
pub(crate) const WORTH_DEFLATING: usize = 512;
/// zlib's own default level.
const LEVEL: i32 = 6;
/// The longest text that was ever deflated is far shorter.
const LONGEST: usize = 16 << 20;

/// A text, deflated as if the dictionary came before it, whose end is the cheapest to refer to.
pub(crate) fn deflated(dictionary: &[u8], text: &[u8]) -> Vec<u8> {
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, 0, 0));
    // Ends at a whole byte, and is left out.
    compress_to_output(&mut compressor, dictionary, TDEFLFlush::Sync, |_| true);
    let mut deflated = Vec::new();
    compress_to_output(&mut compressor, text, TDEFLFlush::Finish, |part| {
        deflated.extend_from_slice(part);
        true
    });
    deflated
}

/// The same the other way; none if it was not deflated so, or the text is too long.
pub(crate) fn inflated(dictionary: &[u8], deflated: &[u8]) -> Option<Vec<u8>> {
    let mut text = Zeroizing::new(dictionary.to_vec());
    let (mut inflator, mut read, mut end) = (DecompressorOxide::new(), 0, text.len());
    text.resize(end + 4 * deflated.len(), 0);
    loop {
        let rest = &deflated[read..];
        let (status, taken, made) =
            decompress(&mut inflator, rest, &mut text, end, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
        (read, end) = (read + taken, end + made);
        match status {
            TINFLStatus::Done => return Some(text[dictionary.len()..end].to_vec()),
            TINFLStatus::HasMoreOutput if text.len() < LONGEST => {
                let length = (2 * text.len()).min(LONGEST);
                text.resize(length, 0);
            }
            _ => return None,
        }
    }
}
