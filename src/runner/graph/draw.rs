//! Writes the graph for people and for other programs: a table, Graphviz, Mermaid, JSON.
//!
//! Knows nothing of states and times; `report` shows those. Stages come in the order in which they can run.

use std::fmt::Write as _;

use serde_json::json;

use super::{Edge, StageGraph};
use crate::pipeline::{InputSource, Pipeline, StageId};
use crate::shown;

/// The formats of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// One line per stage: name, kind, inputs; in narrow terminals wrapped over several lines.
    Text {
        /// The width of the terminal, if there is one.
        columns: Option<usize>,
    },
    /// For Graphviz.
    Dot,
    /// For Mermaid, which many code hosting sites render.
    Mermaid,
    /// For programs: `stages` with `name`, `kind`, `reads`, `datasets`, `outputs`.
    Json,
}

impl StageGraph {
    /// Writes the graph. Ends in a line feed.
    pub fn draw(&self, pipeline: &Pipeline, picture: Picture) -> String {
        match picture {
            Picture::Text { columns } => self.text(pipeline, columns),
            Picture::Dot => self.dot(pipeline),
            Picture::Mermaid => self.mermaid(pipeline),
            Picture::Json => self.json(pipeline),
        }
    }

    fn text(&self, pipeline: &Pipeline, columns: Option<usize>) -> String {
        let stages: Vec<_> = self.order.iter().map(|id| pipeline.stage(*id)).collect();
        let width = |text: fn(&crate::pipeline::Stage) -> &str| {
            stages.iter().map(|s| shown::width(text(s))).max().unwrap_or_default()
        };
        let (name, kind) = (width(|stage| &stage.name), width(|stage| stage.kind.name));
        let mut text = String::new();
        for id in &self.order {
            let stage = pipeline.stage(*id);
            let mut reads = self.reads(pipeline, *id);
            reads.extend(datasets(pipeline, *id).map(|name| format!("[{name}]")));
            let mut line = format!("{}  {:kind$} ", shown::left(&stage.name, name), stage.kind.name);
            let mut width = shown::width(&line);
            for (at, read) in reads.iter().enumerate() {
                let comma = if at + 1 < reads.len() { "," } else { "" };
                let read = shown::line(read);
                let length = 1 + shown::width(&read) + comma.len();
                if at > 0 && columns.is_some_and(|columns| width + length > columns) {
                    width = name + kind + 3;
                    line += &format!("\n{:width$}", "");
                }
                line += &format!(" {read}{comma}");
                width += length;
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// The outputs that a stage reads or waits for, each once: `rank.easy`.
    fn reads(&self, pipeline: &Pipeline, stage: StageId) -> Vec<String> {
        let mut reads: Vec<String> = Vec::new();
        for edge in self.into_stage(stage) {
            let read = full_name(pipeline, &edge);
            if !reads.contains(&read) {
                reads.push(read);
            }
        }
        reads
    }

    fn dot(&self, pipeline: &Pipeline) -> String {
        let mut text = String::from("digraph pipeline {\n  rankdir = LR\n  node [shape = box]\n");
        self.each_line(pipeline, |line| match line {
            Line::Stage(id, name, kind) => writeln!(text, "  s{id} [label = {}]", quoted(&format!("{name}\n{kind}"))),
            Line::Edge(from, to, output) => writeln!(text, "  s{from} -> s{to} [label = {}]", quoted(output)),
        });
        text + "}\n"
    }

    fn mermaid(&self, pipeline: &Pipeline) -> String {
        let mut text = String::from("flowchart LR\n");
        // Mermaid has no escapes but HTML's numeric entities.
        let safe =
            |label: &str| label.replace('&', "#38;").replace('"', "#34;").replace('<', "#60;").replace('>', "#62;");
        self.each_line(pipeline, |line| match line {
            Line::Stage(id, name, kind) => writeln!(text, "  s{id}[\"{}<br>{kind}\"]", safe(name)),
            Line::Edge(from, to, output) => writeln!(text, "  s{from} -- \"{}\" --> s{to}", safe(output)),
        });
        text
    }

    fn each_line(&self, pipeline: &Pipeline, mut write: impl FnMut(Line<'_>) -> std::fmt::Result) {
        const NEVER: &str = "writing to a string can't fail";
        for id in &self.order {
            let stage = pipeline.stage(*id);
            write(Line::Stage(id.0, &stage.name, stage.kind.name)).expect(NEVER);
        }
        for id in &self.order {
            let mut edges: Vec<Edge> = self.into_stage(*id);
            edges.dedup_by_key(|edge| edge.output);
            for edge in edges {
                let output = shown::line(&pipeline.stage(edge.output.stage).outputs[edge.output.output].name);
                write(Line::Edge(edge.output.stage.0, id.0, &output)).expect(NEVER);
            }
        }
    }

    fn json(&self, pipeline: &Pipeline) -> String {
        let stage = |id: &StageId| {
            let stage = pipeline.stage(*id);
            json!({
                "name": stage.name,
                "kind": stage.kind.name,
                "reads": self.reads(pipeline, *id),
                "datasets": datasets(pipeline, *id).collect::<Vec<_>>(),
                "outputs": stage.outputs.iter().map(|output| output.path.display().to_string()).collect::<Vec<_>>(),
            })
        };
        let stages: Vec<_> = self.order.iter().map(stage).collect();
        format!("{:#}\n", json!({ "pipeline": pipeline.name, "stages": stages }))
    }
}

enum Line<'a> {
    Stage(u32, &'a str, &'a str),
    Edge(u32, u32, &'a str),
}

fn full_name(pipeline: &Pipeline, edge: &Edge) -> String {
    let stage = pipeline.stage(edge.output.stage);
    format!("{}.{}", stage.name, stage.outputs[edge.output.output].name)
}

fn datasets(pipeline: &Pipeline, stage: StageId) -> impl Iterator<Item = &str> {
    pipeline.stage(stage).inputs.iter().filter_map(|input| match input.from {
        InputSource::Dataset { dataset, .. } => Some(pipeline.dataset(dataset).name.as_str()),
        _ => None,
    })
}

/// A Graphviz string: quotes and backslashes are escaped, a line feed stays one.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
