//! A progress line for reading the sources, before the first event.
//!
//! Formats the meter's values.

use crate::inputs::Reading;
use crate::measures::{count, size};

/// `hashing sources: 3,000 of 24,966 files, 4.1 GiB of 57.2 GiB, 12 labels read`.
pub fn line(reading: &Reading) -> String {
    let Reading { files: [files, all_files], bytes: [bytes, all_bytes], labels } = *reading;
    let labels = if labels > 0 { format!(", {} labels read", count(labels)) } else { String::new() };
    if files == all_files {
        return format!("hashing sources: {} files, {}{labels}", count(files), size(bytes));
    }
    let (files, all_files) = (count(files), count(all_files));
    format!("hashing sources: {files} of {all_files} files, {} of {}{labels}", size(bytes), size(all_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_as_long_as_it_is_one() {
        let part = Reading { files: [3000, 24_966], bytes: [4_402_341_478, 61_418_032_332], labels: 0 };
        assert_eq!(line(&part), "hashing sources: 3,000 of 24,966 files, 4.1 GiB of 57.2 GiB");
        let all = Reading { files: [12, 12], bytes: [4096, 4096], labels: 7 };
        assert_eq!(line(&all), "hashing sources: 12 files, 4.0 KiB, 7 labels read");
    }
}
