//! Replaces store paths in failure messages by the paths that the user knows.
//!
//! A job gets other stages' outputs as objects of the store, named by digest, or as links to them; readers' messages
//! contain those names. Knows no kind and no message: it replaces only paths.

use intrada_runner::exec::job::{Input, Job};

use crate::work::{Failure, LINKS};

/// The failure of a job, with the pipeline file's names.
pub(crate) fn renamed(failure: Failure, job: &Job) -> Failure {
    match failure {
        Failure::Failed { message, help, error } => {
            let help = help.iter().map(|line| in_words(line, job)).collect();
            Failure::Failed { message: in_words(&message, job), help, error }
        }
        interrupted @ Failure::Interrupted { .. } => interrupted,
    }
}

fn in_words(text: &str, job: &Job) -> String {
    let mut text = text.to_owned();
    for (role, name) in &job.input_names {
        match job.inputs.get(role) {
            Some(Input::File(path)) => text = text.replace(&*path.to_string_lossy(), name),
            Some(Input::Folder(files)) => {
                let links = job.staging.join(LINKS).join(role);
                // The longest first, as one path may be a prefix of another.
                for (inside, object) in files.iter().rev() {
                    let called = format!("{inside} of {name}");
                    for path in [object.as_path(), &links.join(inside)] {
                        // A digest in an object's name, or the full path of a link, refers to nothing else.
                        text = text.replace(&*path.to_string_lossy(), &called);
                    }
                }
                text = text.replace(&*links.to_string_lossy(), name);
            }
            Some(Input::Source(_)) | None => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_the_store_is_called_by_its_path_in_the_workspace_wherever_it_is_named() {
        let job: Job = serde_json::from_value(serde_json::json!({
            "format": 1, "stage": "s", "kind": "k", "parameters": {}, "classes": [], "datasets": {}, "dataset_names": {},
            "items": null, "staging": "/c/tmp/1", "slot": "/c/slot", "device": "cpu", "threads": 1, "instruction_set": null,
            "inputs": {
                "weights": {"file": "/c/objects/0b/c1"},
                "easy": {"folder": {"a/1.png": "/c/objects/12/34", "a/1.png.png": "/c/objects/56/78"}},
            },
            "input_names": {"weights": "dl.pth (made by dl)", "easy": "labels (made by l)"},
        }))
        .unwrap();
        let said = |text: &str| in_words(text, &job);
        assert_eq!(said("/c/objects/0b/c1 is not a checkpoint"), "dl.pth (made by dl) is not a checkpoint");
        assert_eq!(said("failed to read /c/objects/12/34: no"), "failed to read a/1.png of labels (made by l): no");
        assert_eq!(said("/c/tmp/1/.inputs/easy/a/1.png.png is cut"), "a/1.png.png of labels (made by l) is cut");
        assert_eq!(said("nothing in /c/tmp/1/.inputs/easy"), "nothing in labels (made by l)");
        assert_eq!(said("/c/objects/99/99"), "/c/objects/99/99");
    }
}
