//! What is wrong with a pipeline or its data is said before anything runs: exit 2, the place, and what to do.

use crate::pipelines::{Pipeline, training};
use crate::space::{Space, grey_png};

/// A command, and a training on folders that needs nothing of it.
fn pipeline() -> Pipeline {
    let pipeline = training().classes(["ground", "sky"]).adapted().folder("source").folder("target");
    pipeline.command("before", "echo ran > before.txt", [], ["before.txt"])
}

/// Two labelled images and one target image, 64 × 32.
fn folders() -> Space {
    let space = Space::with(pipeline());
    for (name, class) in [("a", 0), ("b", 1)] {
        space.write(&format!("source/images/{name}.png"), grey_png(64, 32, 90));
        space.write(&format!("source/labels/{name}.png"), grey_png(64, 32, class));
    }
    space.write("target/images/t.png", grey_png(64, 32, 40));
    space
}

/// Must be refused with exit 2 and all of these texts, and nothing may have run.
fn refused(space: &Space, arguments: &str, texts: &[&str]) {
    let ran = space.intrada(arguments);
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    for text in texts {
        assert!(ran.stderr.contains(text), "{text:?} is not in:\n{}", ran.stderr);
    }
    assert!(!space.path("before.txt").exists(), "a stage has run");
}

#[test]
fn good_folders_train_and_a_target_needs_no_labels() {
    let space = folders();
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn changing_one_pixel_runs_the_stages_that_read_it_and_touching_runs_none() {
    let space = folders();
    space.outcomes();
    let image = space.bytes("source/images/a.png");
    space.write("source/images/a.png", &image);
    assert_eq!(space.outcomes(), ["before:up-to-date", "inter:up-to-date"]);
    space.write("target/labels/t.png", grey_png(64, 32, 1)); // the target's labels are nobody's input
    assert_eq!(space.outcomes(), ["before:up-to-date", "inter:up-to-date"]);
    space.write("source/images/a.png", grey_png(64, 32, 91));
    let why = space.intrada("why p.toml inter");
    assert!(why.stdout.contains("source (data set source)") && why.stdout.contains("~ a.png"), "{}", why.stdout);
    assert_eq!(space.outcomes(), ["before:up-to-date", "inter:ran"]);
}

#[test]
fn mistakes_of_the_file_are_told_all_at_once_with_line_and_column() {
    let space = folders();
    space.edit("p.toml", "method = \"advent\"", "method = \"advnet\"\nlambda = 3");
    space.edit("p.toml", "iterations = 2", "iterations = \"two\"\niteration = 2");
    space.edit("p.toml", "source = \"source\"", "source = \"sauce\"");
    refused(
        &space,
        "p.toml",
        &["p.toml:9:", "advent", "lambda", "iterations", "data sets: `source`", "nothing was run"],
    );
}

#[test]
fn a_cycle_is_told_with_its_whole_path() {
    let space =
        Space::with(
            Pipeline::new()
                .command("a", "true", ["c.txt"], ["a.txt"])
                .command("b", "true", ["a.txt"], ["b.txt"])
                .command("c", "true", ["b.txt"], ["c.txt"]),
        );
    refused(&space, "p.toml", &["cycle", "a → b → c → a"]);
}

#[test]
fn numbers_out_of_range_and_not_a_number_are_refused() {
    for (from, to, text) in [
        ("iterations = 2", "iterations = 0", "iterations"),
        ("iterations = 2", "iterations = 2\nlearning_rate = nan", "learning_rate"),
        ("iterations = 2", "iterations = 2\nlearning_rate = -1.0", "learning_rate"),
        ("root = \"source\"", "root = \"source\"\nsize = [0, 32]", "size"),
    ] {
        let space = folders();
        space.edit("p.toml", from, to);
        refused(&space, "p.toml", &[text, "p.toml:"]);
    }
    let space = folders();
    for lambda in ["0.0", "1.0", "67", "nan"] {
        let ranked = pipeline().ranked();
        let text = ranked.replace("lambda = 0.5", &format!("lambda = {lambda}"));
        space.write("q.toml", text);
        refused(&space, "q.toml", &["lambda", "between 0 and 1"]);
    }
}

#[test]
fn a_label_outside_the_classes_is_named_with_its_value() {
    let space = folders();
    space.write("source/labels/b.png", grey_png(64, 32, 34));
    refused(&space, "p.toml", &["source/labels/b.png", "34", "column 0, row 0", "p.toml:15", "map"]);
    space.edit("p.toml", "root = \"source\"", "root = \"source\"\nmap = { 34 = 255 }");
    assert_eq!(space.intrada("p.toml").code, Some(0));
}

#[test]
fn an_image_without_a_label_is_named() {
    let space = folders();
    space.remove("source/labels/b.png");
    refused(&space, "p.toml", &["no label", "b.png"]);
}

#[test]
fn a_folder_without_images_and_a_folder_that_is_not_there_are_told_apart() {
    let space = folders();
    space.remove("target/images/t.png");
    refused(&space, "p.toml", &["target/images", "no image"]);
    space.remove("target");
    refused(&space, "p.toml", &["target", "does not exist"]);
}

#[test]
fn a_missing_file_is_named_with_what_there_is() {
    let space = folders();
    space.edit("p.toml", "arch = \"small\"", "arch = \"small\"\ninit = \"weights/none.safetensors\"");
    refused(&space, "p.toml", &["weights/none.safetensors", "does not exist"]);
}

#[test]
fn a_damaged_image_is_named_before_anything_runs() {
    let space = folders();
    let image = space.bytes("target/images/t.png");
    space.write("target/images/t.png", &image[..image.len() / 2]);
    refused(&space, "p.toml", &["target/images/t.png", "cut short"]);
}

#[test]
fn a_training_that_diverges_stops_with_the_iteration_and_keeps_its_checkpoint() {
    let space = folders();
    space.edit("p.toml", "iterations = 2", "iterations = 60\ncheckpoint_every = 1\nlearning_rate = 1e18");
    let ran = space.intrada("p.toml inter");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("iteration "), "{}", ran.stderr);
    assert!(ran.stderr.contains("checkpoint"), "{}", ran.stderr);
}

#[test]
fn a_plan_promises_nothing_of_a_training_that_came_to_no_checkpoint() {
    let space = folders();
    space.edit("p.toml", "iterations = 2", "iterations = 60\ncheckpoint_every = 60\nlearning_rate = 1e18");
    let ran = space.intrada("p.toml inter");
    assert!(ran.stderr.contains("no checkpoint had been taken"), "{}", ran.stderr);
    let plan = space.intrada("plan p.toml inter").stdout;
    assert!(plan.contains("run") && plan.contains("failed") && !plan.contains("goes on"), "{plan}");
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let space = folders();
    for arguments in
        ["", "nowhere.toml", "run", "plan p.toml nothere", "p.toml --set stages.inter.iteration=3", "p.toml --jobs 0"]
    {
        let ran = space.intrada(arguments);
        assert_eq!(ran.code, Some(2), "{arguments}: {}{}", ran.stdout, ran.stderr);
    }
    refused(&space, "p.toml --set stages.inter.itertions=3", &["--set", "did you mean"]);
}

#[test]
fn the_pipeline_file_itself_can_be_no_output() {
    let space = Space::with(Pipeline::new().command("a", "true", [], ["p.toml"]));
    let text = space.read("p.toml");
    refused(&space, "p.toml", &["p.toml:6", "this pipeline file"]);
    assert_eq!(space.read("p.toml"), text);
}

#[test]
fn an_unknown_device_is_refused_before_anything_runs() {
    let space = folders();
    refused(&space, "p.toml --device tpu", &["tpu", "cuda"]);
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let space = folders();
    let ran = crate::space::Ran::of(space.command("plan p.toml").env("INTRADA_CACHE", "").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn a_lambda_that_leaves_nothing_easy_is_told_before_the_training() {
    let space = folders();
    space.write("target/images/u.png", grey_png(64, 32, 50));
    space.write("p.toml", pipeline().ranked().set("stages.rank.lambda", 0.4));
    let texts =
        ["λ = 0.4 makes 0 of 2 images easy and 2 hard", "p.toml:37:10", "lambda = 0.4", "`target` has 2 images"];
    refused(&space, "p.toml", &texts);
    let ran = space.intrada("plan p.toml --set stages.rank.lambda=0.5");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // What doesn't rank isn't kept from running.
    assert_eq!(space.intrada("plan p.toml entropy").code, Some(0));
}

/// What `torch.save` wrote before PyTorch 1.6, with this program for its object.
fn torch_save(object: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [&magic[..], b"\x80\x02", object, b".\x80\x02]."].concat()
}

#[test]
fn a_checkpoint_that_is_cut_or_calls_a_command_is_refused_with_its_name_and_nothing_of_it_runs() {
    let hostile = b"}X\x01\x00\x00\x00acposix\nsystem\n(X\x0e\x00\x00\x00touch executedtRs";
    let unknown = b"}X\x01\x00\x00\x00ac__builtin__\neval\n(X\x01\x00\x00\x001tRs";
    for (bytes, text) in [
        (torch_save(hostile), "it calls `posix.system` where it is loaded with Python"),
        (torch_save(unknown), "it calls `__builtin__.eval`"),
        (torch_save(b"}X\x01\x00\x00\x00actorch.hub\nload\n(tR"), "it calls `torch.hub.load`"),
        (torch_save(hostile)[..40].to_vec(), "the file ends inside a pickle"),
        (b"PK\x03\x04cut".to_vec(), "damaged zip archive: its end is missing"),
        (b"GIF89a".to_vec(), "is not a checkpoint: it is a GIF image"),
        (b"<!DOCTYPE html><title>Sign in</title>".to_vec(), "is not a checkpoint: it is a web page"),
        (
            b"version https://git-lfs.github.com/pipeline/v1\noid sha256:0\n".to_vec(),
            "`git lfs pull` fetches the file itself",
        ),
        (Vec::new(), "is not a checkpoint: it is empty"),
        ([&64u64.to_le_bytes()[..], b"{\"a\": "].concat(), "is truncated: the header is longer than the file"),
    ] {
        let space = folders();
        space.edit("p.toml", "arch = \"small\"", "arch = \"small\"\ninit = \"weights/bad.pth\"");
        space.write("weights/bad.pth", bytes);
        let ran = space.intrada("p.toml inter");
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("weights/bad.pth") && ran.stderr.contains(text), "{text}: {}", ran.stderr);
        assert!(!space.path("executed").exists());
    }
}

#[test]
fn a_label_of_sixteen_bits_and_one_of_another_size_are_named() {
    let space = folders();
    let mut sixteen = Vec::new();
    let mut encoder = png::Encoder::new(&mut sixteen, 64, 32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.write_header().unwrap().write_image_data(&[0; 64 * 32 * 2]).unwrap();
    space.write("source/labels/b.png", sixteen);
    refused(&space, "p.toml", &["source/labels/b.png", "16-bit", "8-bit"]);
    assert!(!space.intrada("plan p.toml").stderr.contains("map ="), "no other values would make it a label");
    space.write("source/labels/b.png", grey_png(60, 32, 1));
    let said = "1 of 2 labels of `source` has another size than its image: `b.png` is 64 × 32, its label 60 × 32";
    refused(&space, "p.toml", &[said, "`inter` would stop at the first of them", "`size = [64, 32]`"]);
}

#[test]
fn a_list_without_names_is_named() {
    let space = folders();
    space.edit("p.toml", "root = \"target\"", "root = \"target\"\nlist = \"lists/none.txt\"");
    space.write("lists/none.txt", "\n\n");
    refused(&space, "p.toml", &["lists/none.txt", "target"]);
}

/// The key of the stage holds the label too, so what is kept is for that label: a mended one is another training.
#[test]
fn a_label_that_does_not_fit_in_mid_epoch_stops_a_training_which_keeps_its_checkpoint() {
    let space = folders();
    // Of three images two are drawn, so that only the training knows whether it meets the second.
    for folder in ["images", "labels"] {
        space.write(&format!("source/{folder}/c.png"), grey_png(64, 32, 1));
    }
    space.edit("p.toml", "iterations = 2", "iterations = 2\norder = \"sequential\"\ncheckpoint_every = 1");
    let (whole, other) = (space.bytes("source/labels/b.png"), grey_png(60, 32, 1));
    space.write("source/labels/b.png", &other);
    let stops = |space: &Space| {
        let ran = space.intrada("p.toml inter");
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let said = "iteration 1: image b.png is 64x32";
        let kept = "the checkpoint after 1 iterations is kept";
        assert!([said, "source/labels/b.png", kept].iter().all(|text| ran.stderr.contains(text)), "{}", ran.stderr);
    };
    stops(&space);
    space.write("source/labels/b.png", &whole);
    assert_eq!(space.intrada("p.toml inter").code, Some(0));
    assert_eq!(space.read("runs/p/inter/losses.jsonl").lines().count(), 2);
    space.write("source/labels/b.png", &other);
    stops(&space);
}
