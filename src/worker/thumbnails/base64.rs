//! Bytes as text in base64 (RFC 4648, section 4), without padding.
//!
//! Knows no picture. Findings are lines of text, in which a number per byte would take three times as much.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of these bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let digits = bytes.chunks(3).flat_map(|three| {
        let word = (0..3).fold(0u32, |word, at| word << 8 | u32::from(*three.get(at).unwrap_or(&0)));
        (0..=three.len()).map(move |digit| char::from(DIGITS[(word >> (18 - 6 * digit) & 63) as usize]))
    });
    digits.collect()
}

/// The bytes of such a text; none if it isn't one.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for four in text.as_bytes().chunks(4) {
        let value = |digit: &u8| DIGITS.iter().position(|it| it == digit).map(|value| value as u32);
        let values: Vec<u32> = four.iter().map(value).collect::<Option<_>>()?;
        let word = (0..4).fold(0u32, |word, at| word << 6 | values.get(at).unwrap_or(&0));
        bytes.extend_from_slice(&word.to_be_bytes()[1..values.len()]);
        if values.len() == 1 {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn the_text_is_that_of_the_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(plain.as_bytes()), coded);
        }
        assert_eq!((decode("Zm9v Zg"), decode("Zm9vZ"), decode("ö")), (None, None, None));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }
}
