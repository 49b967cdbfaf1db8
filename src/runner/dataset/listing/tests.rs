//! Listings of folders and lists as users have them.

use std::fs;

use super::*;
use crate::dataset::folder::NAMING;

/// A workspace with these empty files, and the data set `data` in it.
fn workspace(files: &[&str]) -> (tempfile::TempDir, Place) {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    (root, Place { images: "data/images".into(), labels: "data/labels".into(), within: Vec::new(), list: None })
}

/// The samples of a plain folder, each of which must have its label.
fn list_samples(root: &Path, place: &Place, labels: bool) -> Result<Vec<Sample>, DatasetError> {
    list(root, place, &NAMING, labels, &|_| false).map(|listed| listed.samples)
}

fn with_list(root: &Path, folder: &Place, text: &str) -> Place {
    fs::write(root.join("list.txt"), text).unwrap();
    Place { list: Some("list.txt".into()), ..folder.clone() }
}

fn names(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.name.as_str()).collect()
}

fn message(root: &Path, folder: &Place, labels: bool) -> String {
    list_samples(root, folder, labels).unwrap_err().to_string()
}

#[test]
fn without_a_list_every_image_is_taken_in_order_of_the_bytes_of_its_name() {
    let files = ["data/images/b.png", "data/images/B.JPG", "data/images/a/z.jpeg", "data/images/a.txt"];
    let hidden = ["data/images/._b.png", "data/images/.thumbnails/b.png"];
    let (root, folder) = workspace(&[&files[..], &hidden[..]].concat());
    let samples = list_samples(root.path(), &folder, false).unwrap();
    assert_eq!(names(&samples), ["B.JPG", "a/z.jpeg", "b.png"]);
    assert_eq!(samples[1].image, Path::new("data/images/a/z.jpeg"));
    assert_eq!(samples[1].label, None);
}

#[test]
fn a_label_mirrors_the_folder_and_the_stem_of_its_image() {
    let (root, folder) = workspace(&["data/images/a/x.1.jpg", "data/labels/a/x.1.png", "data/labels/x.1.png"]);
    let samples = list_samples(root.path(), &folder, true).unwrap();
    assert_eq!(samples[0].label.as_deref(), Some(Path::new("data/labels/a/x.1.png")));
}

#[test]
fn a_list_decides_which_and_in_which_order_and_need_not_say_the_ending() {
    let (root, folder) = workspace(&["data/images/a.png", "data/images/b.jpg", "data/images/s/c.1.png"]);
    let folder = with_list(root.path(), &folder, "s/c.1\r\n\n  b.jpg \n");
    assert_eq!(names(&list_samples(root.path(), &folder, false).unwrap()), ["s/c.1.png", "b.jpg"]);
}

#[test]
fn a_list_may_end_its_lines_as_any_system_does_and_what_is_no_name_is_called_so() {
    let (root, folder) = workspace(&["data/images/a.png", "data/images/b.png"]);
    for text in ["b.png\na.png", "b.png\r\na.png\r\n", "\u{feff}b.png\ra.png\r", "\tb.png \n\n a\n"] {
        let folder = with_list(root.path(), &folder, text);
        assert_eq!(names(&list_samples(root.path(), &folder, false).unwrap()), ["b.png", "a.png"], "{text:?}");
    }
    for (text, expected) in [
        ("# mine\na.png", "a list has no comments"),
        ("name\na.png", "a list has no header"),
        ("\"a.png\"\n\"b.png\"", "there is `a.png`"),
        ("[\"a.png\",\n", "there is `a.png`"),
        ("a.png\nc.png", ""),
    ] {
        let folder = with_list(root.path(), &folder, text);
        let error = list_samples(root.path(), &folder, false).unwrap_err();
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains(expected) && hint.is_empty() == expected.is_empty(), "{text:?}: {hint}");
    }
}

#[test]
fn an_image_is_never_its_own_label() {
    use std::os::unix::fs::symlink;
    let (root, place) = workspace(&["data/images/a.png", "data/images/b.jpg", "data/images/b.png"]);
    let same = Place { labels: place.images.clone(), ..place.clone() };
    let one = "`data/images` is the folder of the images and of the labels, and 1 image would be its own label: a.png";
    let listed = with_list(root.path(), &same, "a.png");
    assert_eq!(message(root.path(), &listed, true), one);
    symlink("images", root.path().join("data/labels")).unwrap();
    let linked = with_list(root.path(), &place, "a.png");
    assert_eq!(message(root.path(), &linked, true), one.replacen("data/images", "data/labels", 1));
    // A photograph and its label may be in the same folder.
    let listed = with_list(root.path(), &same, "b.jpg");
    assert_eq!(
        list_samples(root.path(), &listed, true).unwrap()[0].label.as_deref(),
        Some(Path::new("data/images/b.png"))
    );
    assert_eq!(list_samples(root.path(), &with_list(root.path(), &same, "a.png"), false).unwrap().len(), 1);
}

#[test]
fn a_missing_folder_is_told_with_the_part_that_exists_and_what_lies_there() {
    let (root, folder) = workspace(&["data/image/a.png", "data/label/a.png"]);
    let text = message(root.path(), &folder, false);
    assert!(
        text.starts_with("`data/images` does not exist; `data` holds image, label; `image` may be meant; "),
        "{text}"
    );
    let (root, folder) = workspace(&["data/images/a.png"]);
    let error = list_samples(root.path(), &folder, true).unwrap_err();
    assert_eq!(error.concerns(), Concerns::Labels);
    let folder = Place { list: Some("lists/all.txt".into()), ..folder };
    assert_eq!(list_samples(root.path(), &folder, false).unwrap_err().concerns(), Concerns::List);
}

#[test]
fn a_folder_without_images_and_a_list_without_names_are_refused() {
    let (root, folder) = workspace(&["data/images/a.gif", "data/other/a.png"]);
    assert!(message(root.path(), &folder, false).starts_with("`data/images` holds no image"));
    let folder = with_list(root.path(), &Place { images: "data/other".into(), ..folder }, " \n\n");
    assert!(message(root.path(), &folder, false).starts_with("`list.txt` is empty"));
}

#[test]
fn images_that_are_not_read_are_told_unless_a_list_chooses() {
    let (root, place) =
        workspace(&["data/images/a.png", "data/images/c.HEIC", "data/images/b.gif", "data/images/x.txt"]);
    let listed = list(root.path(), &place, &NAMING, false, &|_| false).unwrap();
    assert_eq!(
        (names(&listed.samples), listed.passed_over.unwrap().to_string()),
        (vec!["a.png"], "b.gif, c.HEIC".into())
    );
    let listed = list(root.path(), &with_list(root.path(), &place, "a"), &NAMING, false, &|_| false).unwrap();
    assert_eq!(listed.passed_over, None);
    fs::remove_file(root.path().join("data/images/a.png")).unwrap();
    let text = message(root.path(), &place, false);
    assert!(text.ends_with("or .bmp; it holds 2 images of unsupported formats: b.gif, c.HEIC"), "{text}");
}

#[test]
fn all_names_without_image_are_counted_and_five_are_shown() {
    let (root, folder) = workspace(&["data/images/a.png"]);
    let folder = with_list(root.path(), &folder, "q1\na\nq2\nq3\nq4.png\nq5\nq6\nq7");
    let text = message(root.path(), &folder, false);
    assert_eq!(text, "`list.txt` names 7 images that `data/images` does not have: q1, q2, q3, q4.png, q5, …");
}

#[test]
fn names_that_no_list_can_hold_are_refused_before_a_worker_does() {
    for name in [" a.png", "a\nb.png", "a\rb.png"] {
        let (root, folder) = workspace(&["data/images/b.png", &format!("data/images/{name}")]);
        let text = message(root.path(), &folder, false);
        assert!(text.starts_with("`data/images` holds 1 image whose name begins or ends with a blank"), "{text}");
    }
    let (root, folder) = workspace(&["data/images/a b.png"]);
    assert_eq!(list_samples(root.path(), &folder, false).unwrap().len(), 1);
}

#[test]
fn two_images_with_one_stem_are_refused_unless_the_list_chooses_one() {
    let (root, folder) = workspace(&["data/images/s/a.png", "data/images/s/a.jpg", "data/images/a.png"]);
    let expected =
        "`s/a.jpg` and `s/a.png` in `data/images` differ only in their extension: to which would the label belong?";
    assert_eq!(message(root.path(), &folder, false), expected);
    assert_eq!(message(root.path(), &with_list(root.path(), &folder, "s/a"), false), expected);
    let folder = with_list(root.path(), &folder, "s/a.jpg\na");
    assert_eq!(names(&list_samples(root.path(), &folder, false).unwrap()), ["s/a.jpg", "a.png"]);
}

#[test]
fn a_list_that_names_an_image_twice_is_refused() {
    let (root, folder) = workspace(&["data/images/a.png", "data/images/b.png"]);
    let folder = with_list(root.path(), &folder, "a\nb\na.png\na");
    assert_eq!(message(root.path(), &folder, false), "`list.txt` names 1 image more than once: a.png");
}

#[test]
fn images_without_label_are_told_only_where_labels_are_needed() {
    let (root, folder) = workspace(&["data/images/a.png", "data/images/b.png", "data/labels/a.png"]);
    assert_eq!(list_samples(root.path(), &folder, false).unwrap().len(), 2);
    assert_eq!(message(root.path(), &folder, true), "`data/labels` holds no label for 1 image of 2: b.png");
}

#[test]
fn links_are_followed_and_those_that_lead_back_or_nowhere_are_told() {
    use std::os::unix::fs::symlink;
    let files = ["elsewhere/a.png", "disk/city/1.png", "disk/city/.thumbnails/1.png", "data/images/b.png"];
    let (root, folder) = workspace(&files);
    let images = root.path().join("data/images");
    symlink(root.path().join("elsewhere/a.png"), images.join("a.png")).unwrap();
    symlink("../../disk/city", images.join("city")).unwrap();
    // Behind a link: a link to the folder that holds both.
    symlink("..", root.path().join("disk/city/up")).unwrap();
    symlink(&images, images.join("circle")).unwrap();
    symlink("nowhere", images.join("dead")).unwrap();
    let listed = list(root.path(), &folder, &NAMING, false, &|_| false).unwrap();
    assert_eq!(names(&listed.samples), ["a.png", "b.png", "city/1.png"]);
    let dead = ["data/images/circle", "data/images/city/up", "data/images/dead"];
    let found: Vec<&Path> = listed.dead_links.iter().map(|(path, _)| path.as_path()).collect();
    assert_eq!(found, dead.map(Path::new));
}

#[test]
fn an_image_whose_link_leads_nowhere_is_still_an_image_of_the_data_set() {
    let (root, folder) = workspace(&["data/images/b.png"]);
    std::os::unix::fs::symlink("nowhere", root.path().join("data/images/a.png")).unwrap();
    assert_eq!(names(&list_samples(root.path(), &folder, false).unwrap()), ["a.png", "b.png"]);
}

#[test]
fn an_image_that_may_lack_its_label_is_left_out_and_told() {
    let files = ["data/images/a.png", "data/images/b.png", "data/images/c.png", "data/labels/a.png"];
    let (root, place) = workspace(&files);
    let listed = list(root.path(), &place, &NAMING, true, &|stem| stem != "a").unwrap();
    assert_eq!(names(&listed.samples), ["a.png"]);
    assert_eq!(listed.left_out.unwrap().to_string(), "b.png, c.png");
    let error = list(root.path(), &place, &NAMING, true, &|stem| stem == "b").unwrap_err();
    assert_eq!(error.to_string(), "`data/labels` holds no label for 1 image of 3: c.png");
    let unlabelled = list(root.path(), &place, &NAMING, false, &|_| true).unwrap();
    assert_eq!((unlabelled.samples.len(), unlabelled.left_out), (3, None));
}

#[test]
fn a_data_set_without_any_label_is_refused_though_each_image_may_lack_its_own() {
    let (root, place) = workspace(&["data/images/a.png", "data/labels/other.png"]);
    let error = list(root.path(), &place, &NAMING, true, &|_| true).unwrap_err();
    assert_eq!(error.to_string(), "`data/labels` holds no label for 1 image of 1: a.png");
}

#[test]
fn a_list_in_another_spelling_is_the_same_data_set_and_only_what_cannot_be_seen_is_told() {
    let (root, place) =
        workspace(&["data/images/\u{fc}/a.png", "data/images/b.jpg", "data/labels/\u{fc}/a.png", "data/labels/b.png"]);
    let list_of = |text: &str| list(root.path(), &with_list(root.path(), &place, text), &NAMING, true, &|_| false);
    let plain = list_of("\u{fc}/a.png\nb").unwrap();
    let absolute = format!("{0}/\u{fc}/a.png\n{0}/b.jpg", root.path().join("data/images").display());
    for text in [
        "./\u{fc}/a.png\n./b.jpg",
        "images/\u{fc}/a.png\r\ndata/images/b.jpg \r\n",
        "\u{feff}images/\u{fc}/a.png data/labels/\u{fc}/a.png\nimages/b.jpg\tdata/labels/b.png",
        &absolute,
    ] {
        assert_eq!(list_of(text).unwrap(), plain, "{text}");
    }
    let told = list_of("u\u{308}/a.png\nB.JPG").unwrap();
    assert_eq!(told.samples, plain.samples);
    let [remark] = &told.remarks[..] else { panic!("{:?}", told.remarks) };
    assert!(remark.to_string().starts_with("`list.txt` names 2 images in another Unicode form (they look alike): "));
    let repeated = list_of("b.jpg\n./b.jpg").unwrap_err().to_string();
    assert_eq!(repeated, "`list.txt` names 1 image more than once: b.jpg");
    let error = list_of("b.png").unwrap_err();
    assert!(error.hint().unwrap().starts_with("for `b.png` there is `b.jpg`: "), "{error}");
    std::fs::write(root.path().join("list.txt"), b"\xff\xfeb\0").unwrap();
    let place = Place { list: Some("list.txt".into()), ..place.clone() };
    assert!(message(root.path(), &place, false).contains("save it as UTF-8"));
}

#[test]
fn labels_of_no_image_and_pictures_that_are_no_labels_are_counted() {
    let files =
        ["data/images/a.png", "data/labels/a.png", "data/labels/a_mask.png", "data/labels/a.gif", "data/labels/n.txt"];
    let (root, place) = workspace(&files);
    let told: Vec<String> =
        list(root.path(), &place, &NAMING, true, &|_| false).unwrap().remarks.iter().map(Remark::to_string).collect();
    let spare = "`data/labels` holds 1 label without an image: a_mask.png";
    let others = "`data/labels` holds 1 picture that is not read, as labels are PNGs: a.gif";
    assert_eq!(told, [spare, others]);
    assert_eq!(list(root.path(), &place, &NAMING, false, &|_| false).unwrap().remarks, []);
    let chosen = with_list(root.path(), &place, "a");
    assert_eq!(list(root.path(), &chosen, &NAMING, true, &|_| false).unwrap().remarks, []);
    for (without, hint) in
        [("a.png", "for `a.png` there is `a.gif`: labels are PNGs"), ("a.gif", "for `a.png` there is `a_mask.png`: ")]
    {
        fs::remove_file(root.path().join("data/labels").join(without)).unwrap();
        let error = list(root.path(), &place, &NAMING, true, &|_| false).unwrap_err();
        assert!(error.hint().unwrap().starts_with(hint), "{:?}", error.hint());
    }
}

#[test]
fn a_label_in_another_form_is_taken_and_told_and_two_for_one_image_are_refused() {
    let (root, place) =
        workspace(&["data/images/\u{fc}.png", "data/images/A.png", "data/labels/u\u{308}.png", "data/labels/a.png"]);
    let listed = list(root.path(), &place, &NAMING, true, &|_| false).unwrap();
    let labels: Vec<_> = listed.samples.iter().map(|sample| sample.label.clone().unwrap()).collect();
    assert_eq!(labels, [Path::new("data/labels/a.png"), Path::new("data/labels/u\u{308}.png")]);
    assert_eq!(listed.remarks.len(), 1, "{:?}", listed.remarks);
    // A label that belongs to another image by its name is never used.
    fs::write(root.path().join("data/images/a.png"), "").unwrap();
    let error = list(root.path(), &place, &NAMING, true, &|_| false).unwrap_err();
    assert!(error.to_string().contains("no label for 1 image of 3: A.png"), "{error}");
    fs::write(root.path().join("data/labels/a.PNG"), "").unwrap();
    let error = list(root.path(), &place, &NAMING, true, &|_| false).unwrap_err();
    assert!(
        error.to_string().contains("`a.PNG` and `a.png` in `data/labels` are both the label of one image"),
        "{error}"
    );
}

#[test]
fn names_that_are_numbers_can_be_sorted_as_such() {
    let (root, place) =
        workspace(&["data/images/10.png", "data/images/9.png", "data/images/x.png", "data/images/100.png"]);
    let naming = Naming { order: Order::Number, ..NAMING };
    let listed = list(root.path(), &place, &naming, false, &|_| false).unwrap();
    assert_eq!(names(&listed.samples), ["9.png", "10.png", "100.png", "x.png"]);
}

#[test]
fn only_the_named_folders_belong_to_a_data_set_and_each_must_have_images() {
    let files = [
        "data/images/fog/val/a/1.png",
        "data/images/rain/val/a/1.png",
        "data/images/rain/train/a/2.png",
        "data/images/snow/val/a/1.jpeg",
        "data/labels/fog/val/a/1.png",
        "data/labels/rain/val/a/1.png",
        "data/labels/rain/train/a/2.png",
        "data/labels/rain/val/a/9.png",
    ];
    let (root, place) = workspace(&files);
    let place = Place { within: ["fog/val", "rain/val"].map(str::to_owned).to_vec(), ..place };
    let listed = list(root.path(), &place, &NAMING, true, &|_| false).unwrap();
    assert_eq!(names(&listed.samples), ["fog/val/a/1.png", "rain/val/a/1.png"]);
    assert_eq!(listed.samples[1].label.as_deref(), Some(Path::new("data/labels/rain/val/a/1.png")));
    let told: Vec<String> = listed.remarks.iter().map(Remark::to_string).collect();
    assert_eq!(told, ["`data/labels` holds 1 label without an image: rain/val/a/9.png"]);

    let chosen = with_list(root.path(), &place, "rain/val/a/1\n");
    assert_eq!(names(&list_samples(root.path(), &chosen, true).unwrap()), ["rain/val/a/1.png"]);
    let one = Place { within: vec!["fog/val".to_owned()], ..chosen };
    assert!(message(root.path(), &one, true).contains("`data/images/fog/val` does not have: rain/val/a/1"));

    let snow = Place { within: vec!["fog/val".to_owned(), "snow/val".to_owned()], ..place.clone() };
    let error = list_samples(root.path(), &snow, true).unwrap_err();
    assert!(
        error.to_string().starts_with("`data/labels/snow/val` does not exist; `data/labels` holds fog, rain"),
        "{error}"
    );
    assert_eq!(error.concerns(), Concerns::Labels);
    fs::create_dir_all(root.path().join("data/images/night/val")).unwrap();
    let night = Place { within: vec!["fog/val".to_owned(), "night/val".to_owned()], ..place };
    assert!(message(root.path(), &night, false).starts_with("`data/images/night/val` holds no image: "));
}

#[test]
fn images_and_labels_may_begin_with_names_of_their_own() {
    let files =
        ["data/images/rgb_0001.png", "data/images/rgb_0002.png", "data/labels/ss_0001.png", "data/labels/x.png"];
    let (root, place) = workspace(&files);
    let naming = Naming { prefixes: ["rgb_", "ss_"], ..Naming::PLAIN };
    let listed = list(root.path(), &place, &naming, true, &|stem| stem == "0002").unwrap();
    assert_eq!(listed.samples[0].label.as_deref(), Some(Path::new("data/labels/ss_0001.png")));
    assert_eq!(listed.left_out.unwrap().to_string(), "rgb_0002.png");
    assert_eq!(listed.remarks[0].to_string(), "`data/labels` holds 1 label without an image: x.png");
    for line in ["rgb_0001.png", "rgb_0001", "0001", "images/rgb_0001.png data/labels/ss_0001.png"] {
        let listed = list(root.path(), &with_list(root.path(), &place, line), &naming, true, &|_| false).unwrap();
        assert_eq!(names(&listed.samples), ["rgb_0001.png"], "{line}");
    }
    let error = list(root.path(), &with_list(root.path(), &place, "0001 0001.png"), &naming, true, &|_| false);
    let hint = error.unwrap_err();
    assert!(hint.hint().unwrap().contains("found by its name, `ss_0001.png`, not `0001.png`"), "{hint:?}");
    fs::rename(root.path().join("data/labels/ss_0001.png"), root.path().join("data/labels/ss_0001_color.png")).unwrap();
    let error = list(root.path(), &place, &naming, true, &|_| false).unwrap_err();
    let hint = "for `rgb_0001.png` there is `ss_0001_color.png`: a label has the name of its image, `ss_0001.png`";
    assert_eq!(error.hint(), Some(hint));
}

#[test]
fn files_that_are_published_beside_labels_are_neither_labels_nor_told() {
    let files = ["data/images/1_image.jpg", "data/labels/1_label.png", "data/labels/1_inst_label.png"];
    let (root, place) = workspace(&files);
    let naming = &crate::dataset::published("idd-lite").unwrap().naming;
    let listed = list(root.path(), &place, naming, true, &|_| false).unwrap();
    assert_eq!(listed.samples[0].label.as_deref(), Some(Path::new("data/labels/1_label.png")));
    assert_eq!(listed.remarks, []);
}
