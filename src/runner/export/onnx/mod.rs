//! Exports a network as a graph in ONNX, from an image's bytes to its classes, with the proof that it predicts as here.
//!
//! The crate `intrada-onnx` writes the graph. The folder has test pictures with the class maps that this program's own worker gives
//! of them, and `verify.py`, which compares ONNX Runtime's with these. Where there is a Python with ONNX Runtime the comparison is
//! made before the folder appears, and a graph that disagrees is not exported; else the user is told that nothing was checked.
//! Whoever uses the folder on another machine or with another runtime runs the same comparison there.

mod check;
mod describe;
mod expected;
mod pictures;

use std::path::Path;

use serde_json::json;

use super::config::config;
use super::network::{network, pretty};
use super::package::Package;
use super::provenance::{self, Part};
use super::subject::Network;
use super::wishes::Wishes;
use super::{Error, Format, card};
use crate::kind::OutputRole;
use crate::pipeline::OutputId;
use crate::predict;
use crate::sched::session::Session;

use check::Verdict;
use pictures::Picture;

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "onnx",
    about: "the network of a training as one ONNX graph from pixels to classes, with test pictures that prove it",
    exports: OutputRole::Weights,
    stage: "a training",
    is_graph: true,
    write,
};

/// The file of the graph.
const GRAPH: &str = "model.onnx";
/// The program that compares.
const VERIFY: &str = include_str!("verify.py");

/// The files, but for the pictures and for the lineage, which describes them.
const PARTS: [Part; 4] = [
    Part { name: GRAPH, about: "the network with its preprocessing, in ONNX", media: "application/octet-stream" },
    Part {
        name: "config.json",
        about: "classes, colours, preprocessing, inputs and outputs",
        media: "application/json",
    },
    Part { name: "README.md", about: "the model card", media: "text/markdown" },
    Part {
        name: "verify.py",
        about: "compares ONNX Runtime's class maps with the expected ones",
        media: "text/x-python",
    },
];

/// Exports the weights `output` of a training into the folder `place`: their paths, and what came of the comparison.
///
/// # Errors
/// [`Error`]; `place` is as it was then.
fn write(session: &mut Session, output: OutputId, place: &Path, wishes: &Wishes) -> Result<Vec<String>, Error> {
    let package = Package::begin(&session.store, &session.pipeline.root, place)?;
    let name = session.pipeline.stage(output.stage).name.clone();
    let predictor = predict::network::Network::of_stage(session, output, &name)?;
    let pictures = match &wishes.test_images {
        Some(folder) => pictures::read(folder, place)?,
        None => pictures::drawn(predictor.size),
    };
    let expected = expected::class_maps(&predictor, &pictures)?;
    let network = network(session, output)?;
    let tests = tests(&pictures, &expected);
    write_parts(&package, &network, wishes, &tests)?;
    package.list_sums()?;
    let verdict = check::verdict(&package.folder(), &name)?;
    if let Verdict::Compared(compared) = &verdict
        && !compared.is_good()
        && !wishes.half
    {
        return Err(Error::Disagrees { stage: name, compared: compared.to_string() });
    }
    let files = package.finish()?.into_iter();
    let mut lines: Vec<String> = files.map(|file| place.join(file).display().to_string()).collect();
    lines.push(verdict.told(place));
    Ok(lines)
}

/// The pictures and their class maps as files of the folder.
fn tests(pictures: &[Picture], expected: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let files = pictures.iter().zip(expected).flat_map(|(picture, classes)| {
        let name = &picture.name;
        [(format!("test/{name}.png"), picture.png.clone()), (format!("test/{name}.classes.png"), classes.clone())]
    });
    files.collect()
}

fn write_parts(
    package: &Package,
    network: &Network<'_>,
    wishes: &Wishes,
    tests: &[(String, Vec<u8>)],
) -> Result<(), Error> {
    let request = describe::request(network, wishes);
    let stage = || network.stage().name.clone();
    let graph = intrada_onnx::model(network.weights()?, &request)
        .map_err(|reason| Error::NoGraph { stage: stage(), reason })?;
    package.write(GRAPH, &[&graph])?;
    drop(graph);
    let mut config = config(network);
    let entries = config.as_object_mut().expect("config.json is an object");
    entries.remove("logits");
    entries.extend([
        ("precision".to_owned(), json!(if wishes.half { "float16" } else { "float32" })),
        ("inputs".to_owned(), describe::inputs()),
        ("outputs".to_owned(), describe::outputs(wishes)),
    ]);
    package.write("config.json", &[pretty(&config).as_bytes()])?;
    package.write("README.md", &[card::card(network, &describe::usage(wishes)).as_bytes()])?;
    package.write("verify.py", &[VERIFY.as_bytes()])?;
    for (name, png) in tests {
        package.write(name, &[png])?;
    }
    let pictures = tests.iter().map(|(name, _)| Part { name, about: about(name), media: "image/png" });
    let parts: Vec<Part> = PARTS.into_iter().chain(pictures).collect();
    let lineage = provenance::crate_of(network, "export: the same network as an ONNX graph", &parts);
    package.write(provenance::FILE, &[pretty(&lineage).as_bytes()])
}

fn about(test: &str) -> &'static str {
    if test.ends_with(".classes.png") { "the class index of each pixel of a test picture" } else { "a test picture" }
}
