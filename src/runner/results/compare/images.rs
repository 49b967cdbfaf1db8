//! Which images gained and which lost from one network to another, over all seeds.
//!
//! Knows numbers by image. A data set's mean hides that some images lost while others gained; this shows where to look.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Entry;

/// How many images of each sort are named.
const NAMED: usize = 5;

/// Results by image, against another network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Images {
    /// Images that both networks were evaluated on.
    pub count: usize,
    /// Those that gained.
    pub gained_count: usize,
    /// Those that lost.
    pub lost_count: usize,
    /// The largest gains, largest first.
    pub gained: Vec<Image>,
    /// The largest losses, largest last.
    pub lost: Vec<Image>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Its mean IoU with the other network, 0 to 1, averaged over the seeds.
    pub base: f64,
    /// With the row's own network.
    pub own: f64,
}

impl Image {
    fn gain(&self) -> f64 {
        self.own - self.base
    }
}

/// Compares image by image, each entry with its own baseline, then averages. `None`: there is nothing to compare.
pub(super) fn compare(pairs: &[(&Entry, &Entry)]) -> Option<Images> {
    let mut sums: BTreeMap<&str, (f64, f64, u32)> = BTreeMap::new();
    for (entry, base) in pairs {
        let (own, base) = (&entry.measured()?.images, &base.measured()?.images);
        for (name, own) in own {
            let Some(base) = base.get(name) else { continue };
            let (base_sum, own_sum, count) = sums.entry(name).or_default();
            (*base_sum, *own_sum, *count) = (*base_sum + base, *own_sum + own, *count + 1);
        }
    }
    let image = |(name, (base, own, count)): (&str, (f64, f64, u32))| Image {
        name: name.to_owned(),
        base: base / f64::from(count),
        own: own / f64::from(count),
    };
    let mut images: Vec<Image> = sums.into_iter().map(image).collect();
    images.sort_by(|a, b| b.gain().total_cmp(&a.gain()).then_with(|| a.name.cmp(&b.name)));
    let gained: Vec<&Image> = images.iter().filter(|image| image.gain() > 0.0).collect();
    let lost: Vec<&Image> = images.iter().filter(|image| image.gain() < 0.0).collect();
    (!images.is_empty()).then(|| Images {
        count: images.len(),
        gained_count: gained.len(),
        lost_count: lost.len(),
        gained: gained.iter().take(NAMED).copied().cloned().collect(),
        lost: lost.iter().skip(lost.len().saturating_sub(NAMED)).copied().cloned().collect(),
    })
}
