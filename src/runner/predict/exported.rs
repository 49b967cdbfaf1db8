//! A network in an exported folder.
//!
//! Reads `config.json` as [`crate::export`] writes it and trusts nothing in it: what a file says is checked here, once, and the
//! weights against `SHA256SUMS`. Knows no pipeline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

use super::network::{Network, identity};
use crate::digest::{Digest, FileDigest};
use crate::exec::job::{Class, Input, Source};
use crate::kind::dataset::{Fit, Resize, Scaling};
use crate::kind::model::ARCHS;
use crate::sums;

/// The files that are read.
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
/// A file that tells another export.
const GRAPH: &str = "model.onnx";

/// Why a folder is no exported network.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It has no weights, or no description.
    #[error("{} is not an exported network: it has no {file}; `intrada-run export p.toml intra DIR` makes one", folder.display())]
    NoExport {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        file: &'static str,
    },
    /// It is one for another runtime.
    #[error("{} is an export for ONNX Runtime, which `predict` doesn't use; `intrada-run export p.toml intra DIR --as pytorch` makes a folder for it", folder.display())]
    Graph {
        /// The folder.
        folder: PathBuf,
    },
    /// A file was altered, or can't be read.
    #[error(transparent)]
    Sums(#[from] sums::Fault),
    /// The description can't be understood.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// `config.json`, as far as it is needed. The options of the network are beside these fields.
#[derive(Deserialize)]
struct Config {
    arch: String,
    id2label: BTreeMap<String, String>,
    palette: Vec<[u8; 3]>,
    preprocessing: Preprocessing,
    #[serde(default)]
    label_ids: Option<Vec<u8>>,
    #[serde(flatten)]
    others: BTreeMap<String, Json>,
}

#[derive(Deserialize)]
struct Preprocessing {
    size: Option<[u32; 2]>,
    #[serde(default)]
    fit: Option<String>,
    #[serde(default)]
    resample: Option<String>,
}

/// The network in a folder.
///
/// # Errors
/// [`Fault`].
pub fn network(folder: &Path) -> Result<Network, Fault> {
    if folder.join(GRAPH).is_file() && !folder.join(WEIGHTS).is_file() {
        return Err(Fault::Graph { folder: folder.to_owned() });
    }
    for file in [CONFIG, WEIGHTS] {
        if !folder.join(file).is_file() {
            return Err(Fault::NoExport { folder: folder.to_owned(), file });
        }
    }
    let config = sums::read(folder, CONFIG)?;
    let weights = sums::read(folder, WEIGHTS)?;
    let wrong = |reason: String| Fault::Config { path: folder.join(CONFIG), reason };
    let config: Config = serde_json::from_slice(&config).map_err(|error| wrong(error.to_string()))?;
    let parameters = parameters(&config).map_err(wrong)?;
    let classes = classes(&config).map_err(wrong)?;
    if config.label_ids.as_ref().is_some_and(|ids| ids.len() != classes.len()) {
        return Err(wrong(format!("`label_ids` has not one value for each of the {} classes", classes.len())));
    }
    let digest = Digest::of(&weights);
    let path = std::path::absolute(folder.join(WEIGHTS)).unwrap_or_else(|_| folder.join(WEIGHTS));
    Ok(Network {
        name: folder.display().to_string(),
        identity: identity(digest, &parameters),
        parameters,
        classes,
        size: config.preprocessing.size,
        scaling: config.preprocessing.scaling().map_err(wrong)?,
        // The worker compares the bytes that it loads with this digest.
        weights: Input::Source(Source { path, content: FileDigest(digest) }),
        label_ids: config.label_ids,
    })
}

/// The architecture and those of its options that are there.
fn parameters(config: &Config) -> Result<BTreeMap<String, Json>, String> {
    let Some(arch) = ARCHS.iter().find(|arch| arch.name == config.arch) else {
        return Err(format!("`arch` is `{}`, which this version of intrada-run doesn't know", config.arch));
    };
    let keys = arch.keys.iter().copied().flatten();
    let option = |name: &'static str| Some((format!("model.{name}"), config.others.get(name)?.clone()));
    let mut parameters: BTreeMap<String, Json> = keys.filter_map(|key| option(key.name)).collect();
    parameters.insert("model.arch".to_owned(), Json::from(arch.name));
    Ok(parameters)
}

fn classes(config: &Config) -> Result<Vec<Class>, String> {
    let Config { id2label, palette, .. } = config;
    if id2label.len() != palette.len() {
        return Err(format!("`id2label` has {} classes, and `palette` {} colours", id2label.len(), palette.len()));
    }
    let class = |(index, colour): (usize, &[u8; 3])| {
        let name = id2label.get(&index.to_string()).ok_or_else(|| format!("`id2label` has no class {index}"))?;
        Ok(Class { name: name.clone(), colour: *colour, rare: false, thing: false })
    };
    palette.iter().enumerate().map(class).collect()
}

impl Preprocessing {
    /// Absent in exports of earlier versions, which had no choice.
    fn scaling(&self) -> Result<Scaling, String> {
        let fit = match self.fit.as_deref() {
            None | Some("exact") => Fit::Exact,
            Some("box") => Fit::Box,
            Some(other) => return Err(format!("`fit` is `{other}`; exact and box are known")),
        };
        let resize = match self.resample.as_deref() {
            None => Resize::Bicubic,
            Some(text) if text.starts_with("bicubic") => Resize::Bicubic,
            Some(text) if text.starts_with("bilinear") => Resize::Bilinear,
            Some(other) => return Err(format!("`resample` is `{other}`; bicubic and bilinear are known")),
        };
        Ok(Scaling { fit, resize })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn folder(config: &Json) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(CONFIG), config.to_string()).unwrap();
        std::fs::write(dir.path().join(WEIGHTS), "weights").unwrap();
        dir
    }

    fn good() -> Json {
        json!({
            "arch": "small", "multi_level": true, "num_labels": 2, "id2label": {"0": "a", "1": "b"},
            "palette": [[1, 2, 3], [4, 5, 6]],
            "preprocessing": {"size": [64, 32], "fit": "box", "resample": "bilinear without antialiasing, as in OpenCV"},
        })
    }

    #[test]
    fn a_network_is_described_by_its_folder() {
        let dir = folder(&good());
        let network = network(dir.path()).unwrap();
        let names: Vec<&str> = network.classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!((names, network.classes[1].colour), (vec!["a", "b"], [4, 5, 6]));
        assert_eq!((network.size, network.scaling.fit), (Some([64, 32]), Fit::Box));
        assert_eq!(network.scaling.resize, Resize::Bilinear);
        assert_eq!(
            network.parameters,
            [("model.arch".to_owned(), json!("small")), ("model.multi_level".to_owned(), json!(true))].into()
        );
        assert_eq!(network.label_ids, None);
    }

    #[test]
    fn what_a_folder_says_wrongly_is_named() {
        let told = |change: &dyn Fn(&mut Json)| {
            let mut config = good();
            change(&mut config);
            network(folder(&config).path()).unwrap_err().to_string()
        };
        assert!(told(&|config| config["arch"] = json!("large")).contains("`arch` is `large`"));
        assert!(told(&|config| config["palette"] = json!([[0, 0, 0]])).contains("`palette` 1 colours"));
        assert!(told(&|config| config["label_ids"] = json!([1])).contains("`label_ids`"));
        assert!(told(&|config| config["preprocessing"]["fit"] = json!("cover")).contains("`fit` is `cover`"));
        assert!(told(&|config| config["id2label"] = json!({"0": "a", "2": "b"})).contains("no class 1"));
        let empty = tempfile::tempdir().unwrap();
        assert!(network(empty.path()).unwrap_err().to_string().contains("has no config.json"));
        std::fs::write(empty.path().join(GRAPH), "").unwrap();
        assert!(network(empty.path()).unwrap_err().to_string().contains("for ONNX Runtime"));
    }
}
