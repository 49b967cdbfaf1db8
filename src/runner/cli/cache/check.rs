//! `cache check`: asks a bucket's server what it can do.

use clap::Args;

use super::super::{Answer, DONE, Refusal, STAGE_FAILED, show};
use crate::measures::size;
use crate::store::upstream::{self, Checked};

/// Ask the server of a bucket what it can do
#[derive(Args)]
#[command(
    after_help = "Writes two small objects and one of 8 MiB below the folder, and deletes them. Credentials come from \
                  the environment. Exit status 1 if it can't be read.

Examples:
  intrada-run cache check s3://bucket/folder
  AWS_ENDPOINT_URL=https://minio.example.org intrada-run cache check s3://bucket/folder"
)]
pub(in crate::cli) struct Check {
    /// The folder of a bucket, as in s3://bucket/folder
    #[arg(value_name = "URL")]
    url: String,
}

impl Check {
    pub(super) fn answer(self) -> Answer {
        let checked = upstream::check(&self.url).map_err(|error| Refusal::Usage(format!("`{}`: {error}", self.url)))?;
        show(&lines(&checked).iter().map(|(name, text)| format!("{name:<10} {text}\n")).collect::<String>())?;
        Ok(if checked.read.is_ok() { DONE } else { STAGE_FAILED })
    }
}

/// What was asked, and the answer in plain words.
fn lines(checked: &Checked) -> Vec<(&'static str, String)> {
    let said = |answer: &Result<(), String>, well: &str| match answer {
        Ok(()) => well.to_owned(),
        Err(why) => format!("no: {why}"),
    };
    let mut lines = vec![
        ("read", said(&checked.read, "yes")),
        ("write", said(&checked.write, "yes")),
        ("list", said(&checked.list, "yes")),
    ];
    lines.extend(checked.refuses_to_overwrite.map(|refuses| {
        let text = if refuses {
            "yes: of several machines with a result of the same key, the first one counts"
        } else {
            "no: the server overwrites, so records are kept by their content, and the one with the smallest digest counts; \
             machines that compute a key at the same time may go on with different results"
        };
        ("conditions", text.to_owned())
    }));
    if checked.write.is_ok() {
        lines.push(("delete", said(&checked.delete, "yes, but a cache never deletes")));
    }
    lines.extend(checked.latency.map(|latency| ("latency", format!("{:.0} ms", latency.as_secs_f64() * 1e3))));
    lines.extend(
        checked.throughput.map(|(there, back)| {
            ("throughput", format!("{}/s there, {}/s back", size(there as u64), size(back as u64)))
        }),
    );
    lines
}
