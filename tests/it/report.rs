//! `report.html` from outside: when it is written, what it says, and that a real browser shows it without complaint.

use std::fs;

use crate::pipelines::{Pipeline, training};
use crate::space::browser::Browser;
use crate::space::{Ran, Space};

/// A training too short to teach anything, and its evaluation.
fn network() -> Pipeline {
    training().set("pipeline.name", "words").set("stages.inter.iterations", 1).evaluated()
}

const PAGE: &str = "runs/words/report.html";

fn space() -> Space {
    let pipeline = Pipeline::new().named("words");
    let pipeline = pipeline.command("count", "sort in.txt > sorted.txt; echo '<b>log</b>'", ["in.txt"], ["sorted.txt"]);
    let use_it = "grep -q b sorted.txt && cp sorted.txt out.txt";
    let space = Space::with(pipeline.command("use", use_it, ["sorted.txt"], ["out.txt"]));
    space.write("in.txt", "b\na\n");
    space
}

fn data(space: &Space) -> serde_json::Value {
    let page = space.read(PAGE);
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn states(space: &Space) -> Vec<String> {
    let data = data(space);
    let stages = data["stages"].as_array().unwrap().iter();
    stages.map(|stage| format!("{}:{}", stage["name"].as_str().unwrap(), stage["state"].as_str().unwrap())).collect()
}

#[test]
fn a_run_leaves_a_page_and_a_run_with_nothing_to_do_leaves_it_alone() {
    let space = space();
    space.run("p.toml");
    assert_eq!(states(&space), ["count:done", "use:done"]);
    assert!(space.read(PAGE).contains("&lt;b&gt;log&lt;/b&gt;"), "the end of a log");
    let written = || space.path(PAGE).metadata().unwrap().modified().unwrap();
    let before = written();
    space.run("p.toml");
    space.run("p.toml use");
    assert_eq!(written(), before);
    space.write(PAGE, "mine");
    space.run("p.toml");
    assert_eq!(states(&space), ["count:done", "use:done"], "an edited view is restored");
    space.remove(PAGE);
    space.run("p.toml");
    assert_eq!(states(&space), ["count:done", "use:done"]);
    assert_eq!(space.intrada("report p.toml").stdout, format!("{PAGE}\n"));
    // From another folder, the path can be followed all the same.
    let elsewhere = space.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let told = Ran::of(space.command("report ../p.toml").current_dir(&elsewhere).output().unwrap()).stdout;
    let page = elsewhere.join(told.trim_end());
    assert_eq!(fs::canonicalize(page).unwrap(), fs::canonicalize(space.path(PAGE)).unwrap());
}

#[test]
fn a_failure_stands_in_the_page_until_it_is_mended() {
    let space = space();
    space.write("in.txt", "a\n");
    assert_eq!(space.intrada("p.toml").code, Some(1));
    assert_eq!(states(&space), ["count:done", "use:failed"]);
    assert_eq!(data(&space)["is_done"], false);
    assert!(space.read(PAGE).contains("failed at use; 1 of 2 stages done"));
    space.write("in.txt", "b\n");
    space.run("p.toml");
    assert_eq!(states(&space), ["count:done", "use:done"]);
}

#[test]
fn what_a_run_of_some_stages_makes_out_of_date_is_said_to_be() {
    let space = space();
    space.run("p.toml");
    space.write("in.txt", "b\nc\n");
    space.run("p.toml count");
    assert_eq!(states(&space), ["count:done", "use:out of date"]);
    space.write("in.txt", "b\nd\n");
    space.intrada("report p.toml");
    assert_eq!(states(&space), ["count:out of date", "use:out of date"]);
}

#[test]
fn a_run_without_set_leaves_no_page_of_a_run_with_it() {
    let space = space();
    space.run("p.toml");
    let failing = "--set stages.use.shell='false'";
    assert_eq!(space.intrada(&format!("p.toml {failing}")).code, Some(1));
    assert_eq!(states(&space), ["count:done", "use:failed"]);
    space.run("p.toml");
    assert_eq!(states(&space), ["count:done", "use:done"]);
    assert_eq!(space.intrada(&format!("report p.toml {failing}")).code, Some(0));
    assert_eq!(states(&space), ["count:done", "use:out of date"]);
    space.run("p.toml");
    assert_eq!(states(&space), ["count:done", "use:done"]);
}

#[test]
fn a_page_that_cannot_be_written_fails_no_run() {
    let space = space();
    space.write("runs/words", "a file where the folder should be");
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("warning: failed to write the report"), "{}", ran.stderr);
}

#[test]
fn a_run_ends_in_what_its_page_finds_worth_worrying_about() {
    let space = Space::with(network());
    let ran = space.intrada("p.toml");
    let notes: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("note: ")).collect();
    assert!(!notes.is_empty() && notes[0].starts_with("inter ") && notes[0].contains("test"), "{}", ran.stderr);
    let findings = data(&space)["findings"].as_array().unwrap().clone();
    assert_eq!(findings[0]["found"].as_str(), Some(notes[0]));
    assert!(!notes.iter().any(|note| note.contains("seed")), "of seeds the table speaks: {notes:?}");
    assert!(!space.intrada("p.toml --quiet").stderr.contains("note: "));
}

const AFTER: &str = r#"[stages.after]
kind = "inter-training"
method = "source-only"
model = "small"
source = "source"
weights = "inter"
iterations = 2
"#;

/// Every kind of picture that a page shows.
fn pictured() -> Pipeline {
    let pipeline = training().scenes("target", "target", 2, 20).ranked().add(AFTER).evaluated_on("target");
    pipeline.set("stages.evaluate.weights", ["inter", "after"])
}

/// What a reader does, and what comes of it.
const READER: &str = r##"
const first = (selector) => document.querySelector(selector);
const key = (name, at = document.body, what = "keydown") => at.dispatchEvent(new KeyboardEvent(what, { key: name, bubbles: true }));
const seen = [];
const [cell, dialog] = [first("#pictures .over"), first("dialog")];
key("Enter", cell);
for (const arrow of ["ArrowRight", "ArrowRight", "ArrowRight"]) key(arrow, dialog);
const caption = () => dialog.querySelector(".caption").textContent.split(" of ")[0];
seen.push(`open ${dialog.open}`, caption());
key("b", dialog), seen.push(caption()), key("b", document.body, "keyup"), seen.push(caption());
dialog.close();
const [slider, lambda] = [first("#ranking .opacity"), first("[data-ranking] input")];
slider.value = 30, slider.dispatchEvent(new Event("input"));
seen.push(`faded ${all(".over > img").every((map) => map.style.opacity === "0.3")}`);
lambda.value = "0.6", lambda.dispatchEvent(new Event("input"));
seen.push(first("[data-ranking] output").innerText.split("scene")[0].replaceAll("\n", " "), first("[data-ranking] code").textContent);
return seen.join("; ");
"##;

#[test]
fn a_reader_enlarges_blinks_fades_and_moves_the_cut_by_keys() {
    let space = Space::with(pictured());
    space.run("p.toml --set pipeline.seed=3");
    let Some(mut page) = Browser::open(&space.path("runs/p/report.html"), "") else { return };
    assert_eq!(
        page.run(READER),
        "open true; after; inter; after; faded true; λ = 0.6: 12 easy, 8 hard, cut at entropy CUT 2 images would \
         become easy: ; intrada-run p.toml --set 'pipeline.seed=3' --set stages.rank.lambda=0.6"
            .replace("CUT", &cut(&space))
    );
    page.close();
}

/// What a reader of many images does, with the keyboard where that is enough.
const SEARCHER: &str = r##"
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const seen = [], gallery = document.querySelector(".gallery");
gallery.scrollIntoView();
await until(() => gallery.querySelector("table"));
const control = (name) => gallery.querySelector(`[id$=-${name}]`);
const set = (name, value) => { control(name).value = value; control(name).dispatchEvent(new Event("input")); };
const count = () => gallery.querySelector("output").textContent;
const names = () => all("td.name span", gallery).map((it) => it.textContent);
const numbers = (column) => all("tbody tr", gallery).map((row) => Number(row.cells[column].textContent.replace("−", "-")));
const head = (title) => all("th", gallery).find((th) => th.querySelector("button")?.textContent === title);
seen.push(count());
set("name", "SCENE-0001");
seen.push(count(), names()[0]);
set("name", "");
set("least", "101");
seen.push(count());
gallery.querySelector(".filters button").click();
const classes = maps.classes.map((_, at) => { set("class", String(at)); return parseInt(count()); });
seen.push(`classes ${classes.every((it) => it <= 20) && classes.some((it) => it > 0)}`);
set("class", "");
const gain = head("after − inter"), column = gain.cellIndex;
gain.querySelector("button").click();
const down = numbers(column);
seen.push(gain.getAttribute("aria-sort"), `sorted ${down.length === 20 && down.every((it, at) => at === 0 || down[at - 1] >= it)}`);
gain.querySelector("button").click();
seen.push(gain.getAttribute("aria-sort"), `turned ${numbers(column).every((it, at, them) => at === 0 || them[at - 1] <= it)}`);
// The thumbnails are there, and a key opens one.
// Through one canvas that is meant for reading, or the browser complains.
const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const pixels = (it) => {
  Object.assign(scratch.canvas, { width: it.width, height: it.height });
  scratch.drawImage(it, 0, 0);
  return scratch.getImageData(0, 0, it.width, it.height).data;
};
const isDrawn = (it) => pixels(it)[3] === 255;
await until(() => all("canvas", gallery).every(isDrawn));
seen.push(`thumbnails ${all("canvas", gallery).length === 4 * 20 && all("canvas", gallery).every(isDrawn)}`);
const button = gallery.querySelector("tbody button"), image = names()[0], dialog = document.querySelector("dialog");
button.focus();
button.click();
await until(() => dialog.querySelector(".box"));
seen.push(`named ${dialog.querySelector("h2").textContent === image}`);
const right = () => dialog.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
right();
right();
await until(() => dialog.querySelector(".box .map") && all(".classes-here button", dialog).length > 0);
const box = dialog.querySelector(".box"), { left, top, width, height } = box.getBoundingClientRect();
box.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: left + width / 2, clientY: top + height - 2 }));
const under = dialog.querySelector(".under").textContent, known = maps.classes.map(({ name }) => name);
seen.push(`under ${["label", "inter", "after"].every((of) => known.some((name) => under.includes(`${of}: ${name}`)))}`);
seen.push(`said ${box.getAttribute("role") === "img" && known.some((name) => box.getAttribute("aria-label").includes(name))}`);
// Hidden classes are transparent in the lightbox and in the page.
const clear = () => pixels(dialog.querySelector(".box .map")).filter((value, at) => at % 4 === 3 && value === 0).length;
const before = clear(), chip = dialog.querySelector(".classes-here button");
chip.click();
const after = clear();
seen.push(`hidden ${before === 0 && after > 0}`, chip.getAttribute("aria-pressed"));
chip.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true }));
seen.push(`alone ${maps.hidden.size === maps.classes.length - 1}`);
maps.showAll();
dialog.querySelector("[name=beside]").click();
await until(() => all(".box", dialog).length > 2);
dialog.dispatchEvent(new KeyboardEvent("keydown", { key: "+", bubbles: true }));
seen.push(`beside ${all(".box", dialog).length > 2}`, `zoomed ${all(".stack", dialog).every((it) => it.style.transform.includes("scale(1.5)"))}`);
dialog.close();
await until(() => document.activeElement?.matches(".gallery button"));
seen.push(`back ${document.activeElement?.matches(".gallery button")}`);
return seen.join("; ");
"##;

#[test]
fn a_reader_filters_sorts_and_enlarges_all_images_and_hides_a_class() {
    let space = Space::with(pictured());
    space.run("p.toml");
    let Some(mut page) = Browser::open(&space.path("runs/p/report.html"), "") else { return };
    assert_eq!(
        page.run(SEARCHER),
        "20 of 20 images; 10 of 20 images; scene-00010; 0 of 20 images; classes true; descending; sorted true; ascending; \
         turned true; thumbnails true; named true; under true; said true; hidden true; false; alone true; beside true; \
         zoomed true; back true"
    );
    page.close();
}

#[test]
fn predictions_of_all_images_are_kept_where_asked_for_and_the_page_leads_to_them() {
    let space = Space::with(pictured().set("stages.evaluate.predictions", true));
    space.run("p.toml");
    let predictions = crate::space::files(&space.path("runs/p/evaluate/predictions"));
    assert_eq!(predictions.len(), 2 * 20, "{predictions:?}");
    assert!(space.read("runs/p/report.html").contains("\"folder\":\"evaluate/predictions/inter/\""));
    // An image more costs one prediction per network, and the others stay to the byte.
    let before: Vec<Vec<u8>> = predictions.iter().map(|path| fs::read(path).unwrap()).collect();
    let (old, new) = ("style = \"target\"\nseed = 2\ncount = 20", "style = \"target\"\nseed = 2\ncount = 21");
    space.edit("p.toml", old, new);
    let ran = space.intrada("p.toml evaluate --format json");
    assert!(ran.stdout.contains("(20 of 21 images reused)"), "{}\n{}", ran.stdout, ran.stderr);
    assert!(predictions.iter().zip(&before).all(|(path, bytes)| fs::read(path).unwrap() == *bytes));
    let fresh = space.path("fresh").display().to_string();
    let all = || crate::space::files(&space.path("runs/p/evaluate")).into_iter().map(|path| fs::read(path).unwrap());
    let partial: Vec<Vec<u8>> = all().collect();
    space.run(&format!("p.toml evaluate --cache {fresh}"));
    assert!(all().eq(partial), "a partial pass has the bytes of a full one, thumbnails included");
}

/// The first hard score were 12 of the 20 images easy, in three digits.
fn cut(space: &Space) -> String {
    let ranking = space.read("runs/p/rank/ranking.csv");
    let score: f64 = ranking.lines().nth(13).unwrap().split(',').nth(1).unwrap().parse().unwrap();
    let entropy = score * 8.0;
    format!("{entropy:.2e}").parse::<f64>().unwrap().to_string()
}

#[test]
fn a_browser_shows_the_page_and_has_nothing_to_complain_of() {
    let space = space();
    space.run("p.toml");
    let Some(mut page) = Browser::open(&space.path(PAGE), "#stage-1") else { return };
    assert_eq!(page.run("return String(document.querySelector('#stage-1').open);"), "true", "what the link leads to");
    page.close();
}

#[test]
fn a_browser_loads_every_picture_and_puts_the_classes_into_another_order() {
    let space = Space::with(network().set("stages.evaluate.overlays", 1));
    space.run("p.toml");
    let looks = r#"
        const photographs = [...document.querySelectorAll(".over")].map(it => getComputedStyle(it).backgroundImage);
        const urls = new Set([...document.images].map(it => it.src));
        for (const url of photographs.filter(url => url !== "none")) urls.add(url.slice(5, -2));
        const load = url => new Promise(done => {
            const image = new Image();
            image.onload = () => done(true);
            image.onerror = () => done(false);
            image.src = url;
        });
        const loaded = await Promise.all([...urls].map(load));
        const broken = loaded.filter(it => !it).length;
        [...document.querySelectorAll(".orders button")].at(-1).click();
        const ious = [...document.querySelectorAll(".classes tr")].map(row => Number(row.dataset.iou || -1));
        const sorted = ious.every((iou, at) => at === 0 || ious[at - 1] >= iou);
        return `pictures ${loaded.length > 4}, broken ${broken}, classes ${ious.length}, sorted ${sorted}`;
    "#;
    let Some(mut page) = Browser::open(&space.path(PAGE), "") else { return };
    assert_eq!(page.run(looks), "pictures true, broken 0, classes 8, sorted true");
    page.close();
}
