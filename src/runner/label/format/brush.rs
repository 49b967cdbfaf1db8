//! The run-length code of Label Studio's brush: one bit stream that holds an RGBA image, of which only the alpha channel matters.
//!
//! It is that of the JavaScript package `@thi.ng/rle-pack`: a 32-bit number of words, 5 bits for the size of a word (less 1),
//! four times 4 bits for the sizes of lengths (less 1); then blocks, each of a bit that tells a run from a list, 2 bits that
//! choose the size of the length, the length (less 1), and one word or as many as the length says. All numbers begin with
//! their highest bit.

/// The bits of a word: a byte of a channel.
const WORD: u32 = 8;
/// The bits of lengths, as Label Studio itself has them.
const LENGTHS: [u32; 4] = [3, 4, 8, 16];
/// The channels of a pixel.
const CHANNELS: usize = 4;
/// The number of words that is decoded at most: those of 2^30 pixels, as of the largest image.
const WORDS_AT_MOST: u64 = (1 << 30) * CHANNELS as u64;

/// A region of a picture as a run-length code: its pixels are opaque, the others transparent.
pub fn encode(region: impl ExactSizeIterator<Item = bool>) -> Vec<u8> {
    let mut bits = Writer::default();
    bits.write(32, (region.len() * CHANNELS) as u64);
    bits.write(5, u64::from(WORD - 1));
    LENGTHS.iter().for_each(|length| bits.write(4, u64::from(length - 1)));
    let mut run: Option<(bool, u64)> = None;
    for inside in region {
        run = match run {
            Some((before, length)) if before == inside => Some((before, length + CHANNELS as u64)),
            before => {
                before.into_iter().for_each(|run| bits.run(run));
                Some((inside, CHANNELS as u64))
            }
        };
    }
    run.into_iter().for_each(|run| bits.run(run));
    bits.bytes
}

/// The opacity of each of `pixels` pixels: 0 to 255.
///
/// # Errors
/// What is wrong with the code.
pub fn decode(code: &[u8], pixels: usize) -> Result<Vec<u8>, String> {
    let mut bits = Reader { bytes: code, at: 0 };
    let words = bits.read(32)?;
    if words != pixels as u64 * CHANNELS as u64 || words > WORDS_AT_MOST {
        return Err(format!("its code is of {} pixels, the image has {pixels}", words as f64 / CHANNELS as f64));
    }
    let word = bits.read(5)? as u32 + 1;
    if word != WORD {
        return Err(format!("its code has words of {word} bits"));
    }
    let mut lengths = [0; 4];
    for length in &mut lengths {
        *length = bits.read(4)? as u32 + 1;
    }
    let mut alphas = Vec::with_capacity(pixels);
    let mut at = 0;
    while at < words {
        let is_run = bits.read(1)? == 1;
        let length = bits.read(2)? as usize;
        let end = at + 1 + bits.read(lengths[length])?;
        if end > words {
            return Err("its code holds more pixels than it says".to_owned());
        }
        let mut value = if is_run { bits.read(word)? } else { 0 };
        for place in at..end {
            if !is_run {
                value = bits.read(word)?;
            }
            if place % CHANNELS as u64 == CHANNELS as u64 - 1 {
                alphas.push(value as u8);
            }
        }
        at = end;
    }
    Ok(alphas)
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// The bits used of the last byte.
    used: u32,
}

impl Writer {
    fn write(&mut self, count: u32, value: u64) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("one was pushed for the first bit");
            *last |= u8::from(value >> bit & 1 == 1) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn run(&mut self, (inside, mut words): (bool, u64)) {
        while words > 0 {
            // The shortest that holds it, else as much as the longest holds.
            let size = LENGTHS.iter().position(|bits| words <= 1 << bits).unwrap_or(LENGTHS.len() - 1);
            let part = words.min(1 << LENGTHS[size]);
            self.write(1, 1);
            self.write(2, size as u64);
            self.write(LENGTHS[size], part - 1);
            self.write(WORD, if inside { 255 } else { 0 });
            words -= part;
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn read(&mut self, count: u32) -> Result<u64, String> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or("its code is cut short")?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_region_reads_back(runs in proptest::collection::vec((any::<bool>(), 1usize..70_000), 1..6)) {
            let region: Vec<bool> = runs.iter().flat_map(|(inside, length)| vec![*inside; *length]).collect();
            let alphas = decode(&encode(region.iter().copied()), region.len()).unwrap();
            prop_assert!(alphas.iter().map(|alpha| *alpha == 255).eq(region.iter().copied()));
            prop_assert_eq!(alphas.iter().filter(|alpha| **alpha != 0 && **alpha != 255).count(), 0);
        }

        #[test]
        fn no_bytes_make_it_panic(code in proptest::collection::vec(any::<u8>(), 0..60), pixels in 0usize..40) {
            let _ = decode(&code, pixels);
        }
    }

    #[test]
    fn lists_of_words_are_read_and_only_alpha_counts() {
        let mut bits = Writer::default();
        bits.write(32, 8);
        bits.write(5, 7);
        LENGTHS.iter().for_each(|length| bits.write(4, u64::from(length - 1)));
        bits.write(1, 0);
        bits.write(2, 0);
        bits.write(3, 7);
        [1, 2, 3, 90, 5, 6, 7, 200].iter().for_each(|word| bits.write(8, *word));
        assert_eq!(decode(&bits.bytes, 2), Ok(vec![90, 200]));
        assert!(decode(&bits.bytes, 3).unwrap_err().contains("of 2 pixels, the image has 3"));
        assert!(decode(&bits.bytes[..8], 2).unwrap_err().contains("cut short"));
    }
}
