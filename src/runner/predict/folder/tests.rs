//! What is done, what is refused, and what is kept of a folder of predictions.

use super::super::Error;
use super::*;

fn settings() -> Settings {
    Settings {
        network: "n".into(),
        classes: vec!["a".into()],
        colours: vec![[0; 3]],
        size: Some([8, 4]),
        scaling: Scaling::default(),
        window: [4, 4],
        stride: [3, 3],
        whole_at_most: 9,
        flip_test: false,
    }
}

fn open(path: &Path, settings: Settings, overwrite: bool) -> Result<Folder, Error> {
    Folder::open(path, "intra", settings, &[Output::Classes], overwrite)
}

/// Answers for an image as the worker does.
fn answer(folder: &Folder, image: &Image) {
    let predicted = Predicted {
        stamp: stamp(&Stat::of(&image.path).unwrap()),
        digest: FileDigest(Digest::of_file(&image.path).unwrap().0),
        place: image.place(),
        size: [1, 1],
        seen: [1, 1],
        window: None,
        mean_entropy: 0.0,
        pixels: vec![1],
        dropped: vec![],
        outputs: folder.outputs().to_vec(),
    };
    for output in folder.outputs() {
        let file = folder.path().join(output.file(&image.name));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "png").unwrap();
    }
    let answer = Answer { name: image.name.clone(), outcome: Outcome::Predicted(Box::new(predicted)) };
    let mut file = File::options().append(true).create(true).open(folder.own().join(ANSWERS)).unwrap();
    io::Write::write_all(&mut file, format!("{}\n", serde_json::to_string(&answer).unwrap()).as_bytes()).unwrap();
}

#[test]
fn an_image_is_up_to_date_until_it_changes_or_a_file_of_it_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let images: Vec<Image> =
        ["a", "b", "c"].map(|name| Image { name: name.into(), path: dir.path().join(name) }).into();
    images.iter().for_each(|image| fs::write(&image.path, &image.name).unwrap());
    let out = dir.path().join("out");
    let folder = open(&out, settings(), false).unwrap();
    assert_eq!(folder.todo(&images).unwrap(), images);
    images.iter().for_each(|image| answer(&folder, image));
    // A kill in the middle of a line.
    let mut file = File::options().append(true).open(folder.own().join(ANSWERS)).unwrap();
    io::Write::write_all(&mut file, b"{\"name\":\"c").unwrap();
    drop(folder);

    let folder = open(&out, settings(), false).unwrap();
    assert!(folder.todo(&images).unwrap().is_empty());
    assert!(
        !fs::read_to_string(folder.own().join(ANSWERS)).unwrap().ends_with("\"c"),
        "the incomplete line is cut off"
    );
    fs::write(&images[0].path, "A").unwrap();
    fs::remove_file(out.join("classes/b.png")).unwrap();
    // Touched, and the same.
    fs::write(&images[2].path, "c").unwrap();
    assert_eq!(folder.todo(&images).unwrap(), images[..2]);
    drop(folder);

    let more = Folder::open(&out, "intra", settings(), &[Output::Entropy], false).unwrap();
    assert_eq!(more.outputs(), [Output::Classes, Output::Entropy], "what it had, it goes on having");
    assert_eq!(more.todo(&images).unwrap().len(), 3);
}

#[test]
fn nothing_of_a_user_is_overwritten_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.txt"), "").unwrap();
    assert!(matches!(open(&out, settings(), false), Err(Error::Folder(Fault::Foreign { .. }))));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "nothing was written");
    drop(open(&out, settings(), true).unwrap());
    drop(open(&out, settings(), false).unwrap());
    assert!(out.join("thesis.txt").exists());
    assert!(matches!(open(&out.join("thesis.txt"), settings(), true), Err(Error::Folder(Fault::NoFolder { .. }))));
}

#[test]
fn predictions_made_otherwise_are_kept_unless_they_may_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let image = Image { name: "a".into(), path: dir.path().join("a") };
    fs::write(&image.path, "a").unwrap();
    let out = dir.path().join("out");
    answer(&open(&out, settings(), false).unwrap(), &image);
    let told = |change: &dyn Fn(&mut Settings)| {
        let mut other = settings();
        change(&mut other);
        open(&out, other, false).unwrap_err().to_string()
    };
    assert!(told(&|other| other.network = "m".into()).contains("by another network"));
    assert!(told(&|other| other.size = None).contains("seen at 8 × 4, now at its own size"));
    assert!(told(&|other| other.window = [5, 5]).contains("window"));
    assert!(told(&|other| other.colours = vec![[1; 3]]).contains("colours"));
    let again = open(&out, Settings { network: "m".into(), ..settings() }, true).unwrap();
    assert_eq!(again.todo(std::slice::from_ref(&image)).unwrap(), [image]);
}

#[test]
fn one_process_at_a_time_predicts_into_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), settings(), false).unwrap();
    assert!(matches!(open(dir.path(), settings(), false), Err(Error::Folder(Fault::Busy { .. }))));
    let lease = first.lease();
    drop(first);
    assert!(open(dir.path(), settings(), false).is_err(), "the worker still holds it");
    drop(lease);
    open(dir.path(), settings(), false).unwrap();
}

#[test]
fn no_image_is_replaced_by_a_prediction_and_a_prediction_by_that_of_another_image_only_if_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let [first, second] = ["first", "second"].map(|folder| dir.path().join(folder).join("a.png"));
    for path in [&first, &second] {
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(path, path.display().to_string()).unwrap();
    }
    let image = |path: &Path| Image { name: "a".into(), path: path.to_owned() };
    answer(&open(&out, settings(), false).unwrap(), &image(&first));
    let todo = |overwrite, path: &Path| open(&out, settings(), overwrite).unwrap().todo(&[image(path)]);
    assert!(matches!(todo(false, &second), Err(Fault::OtherImage { .. })));
    assert_eq!(todo(true, &second).unwrap().len(), 1);
    fs::copy(&first, &second).unwrap();
    let moved = todo(false, &second);
    assert!(matches!(moved, Ok(todo) if todo.is_empty()), "the same content is the same image");

    let input = out.join("classes/a.png");
    fs::write(&input, "changed").unwrap();
    for overwrite in [false, true] {
        assert!(matches!(todo(overwrite, &input), Err(Fault::OntoImage { .. })));
    }
}
