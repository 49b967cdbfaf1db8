//! Pages of pipelines that are done, half done, hostile or large.

mod injection;

use std::fs;
use std::path::PathBuf;

use super::photographs::tests::jpeg;
use super::*;
use crate::digest::{Digest, Key};
use crate::event::Outcome;
use crate::event::history::{Going, History, Settled, Turn, UnderWay};
use crate::graph::{self, StageGraph};
use crate::pipeline::Pipeline;
use crate::store::index::{Index, PlacedOutput, StageRecord, record_name};
use crate::store::{Store, Take};

const PIPELINE: &str = r#"
format = 1
[pipeline]
name = "p"
[[classes]]
name = "</script><b>\"ö'"
colour = [1, 2, 3]
[[classes]]
name = "pole"
colour = [4, 5, 6]
[datasets.source]
format = "folder"
root = "data/source"
[datasets.target]
format = "folder"
root = "data/target"
[models.small]
arch = "small"
[stages.before]
kind = "inter-training"
method = "source-only"
model = "small"
source = "source"
iterations = 4
[stages.inter]
kind = "inter-training"
method = "advent"
model = "small"
source = "source"
target = "target"
iterations = 4
[stages.entropy]
kind = "entropy-inference"
weights = "inter"
images = "target"
[stages.rank]
kind = "ranking"
scores = "entropy"
[stages.evaluate]
kind = "evaluation"
weights = ["before", "inter"]
dataset = "source"
# </script><script>alert(1)</script>
"#;

/// Name and content.
type Files = Vec<(String, Vec<u8>)>;

/// A workspace whose outputs are written by the test.
struct Scene {
    dir: tempfile::TempDir,
    pipeline: Pipeline,
    graph: StageGraph,
    store: Store,
    index: Index,
    history: History,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(PIPELINE)
    }

    fn of(text: &str) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        fs::write(&file, text).unwrap();
        let (pipeline, graph) = graph::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
        let store = Store::open(&dir.path().join("cache")).unwrap();
        Scene { dir, pipeline, graph, store, index: Index::default(), history: History::default() }
    }

    /// Writes the outputs of a stage: name of the output, files in it (one without a name: the output is a file).
    fn place(&mut self, stage: &str, outputs: &[(&str, Files)]) {
        let id = self.pipeline.find(stage).unwrap();
        let placed = self.pipeline.stage(id).outputs.iter().map(|output| {
            let top = self.dir.path().join("put").join(stage).join(&output.name);
            fs::create_dir_all(top.parent().unwrap()).unwrap();
            match outputs.iter().find(|(name, _)| *name == output.name) {
                Some((_, files)) if files.iter().all(|(name, _)| !name.is_empty()) => {
                    for (name, content) in files {
                        fs::create_dir_all(top.join(name).parent().unwrap()).unwrap();
                        fs::write(top.join(name), content).unwrap();
                    }
                }
                Some((_, files)) => fs::write(&top, &files[0].1).unwrap(),
                None => fs::write(&top, "").unwrap(),
            }
            let artifact = self.store.insert(&top, Take::Copy).unwrap();
            PlacedOutput { path: PathBuf::from(&output.name), artifact, entries: Vec::new() }
        });
        let key = Key(Digest::of(stage.as_bytes()));
        let record = StageRecord { key, outputs: placed.collect(), finished: 1.0, seconds: 2.0 };
        self.index.stages.insert(record_name(&self.pipeline.name, stage), record);
    }

    fn file(content: impl Into<Vec<u8>>) -> Files {
        vec![(String::new(), content.into())]
    }

    fn page(&self) -> String {
        let workspace = Workspace {
            pipeline: &self.pipeline,
            graph: &self.graph,
            store: &self.store,
            index: &self.index,
            history: &self.history,
            stale: &[],
            not_here: &[],
        };
        gather(&workspace, 1_795_511_640.0).render()
    }
}

/// The page's block of JSON.
fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn grey_png(width: u32, height: u32, value: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![value; (width * height) as usize]).unwrap();
    writer.finish().unwrap();
    file
}

const METRICS: &str = r#"{
 "before": {"images": 3, "miou": 0.5, "iou": {"</script><b>\"ö'": 0.75, "pole": 0.25}, "confusion": [[3, 1], [1, 0]]},
 "inter": {"images": 3, "miou": 0.1234567890123, "iou": {"</script><b>\"ö'": 0.1234567890123, "pole": null}, "confusion": [[4, 0], [2, 0]]}
}"#;

fn evaluated() -> Scene {
    let mut scene = Scene::new();
    let line = |image: &str, shown: &str| {
        format!("{{\"image\":{image:?},\"miou\":{{\"before\":0.5,\"inter\":null}}{shown}}}\n")
    };
    let images = line("a<img src=x onerror=alert(1)>.jpg", ",\"shown\":\"best\"") + &line("b.jpg", "");
    let map = "a<img src=x onerror=alert(1)>.png";
    let pictures = vec![
        ("photograph/".to_owned() + &map.replace(".png", ".jpg"), jpeg(8, 4, "")),
        ("truth/".to_owned() + map, grey_png(8, 4, 1)),
        ("prediction/before/".to_owned() + map, grey_png(8, 4, 1)),
        ("prediction/inter/".to_owned() + map, grey_png(8, 4, 0)),
        ("entropy/inter/".to_owned() + map, grey_png(8, 4, 200)),
    ];
    let outputs = [("metrics", Scene::file(METRICS)), ("images", Scene::file(images)), ("pictures", pictures)];
    scene.place("evaluate", &outputs);
    scene
}

#[test]
fn the_numbers_of_the_page_are_those_of_metrics_json() {
    let page = evaluated().page();
    let metrics: serde_json::Value = serde_json::from_str(METRICS).unwrap();
    let data = data(&page);
    assert_eq!(data["evaluations"]["evaluate"]["metrics"], metrics);
    assert_eq!(data["evaluations"]["evaluate"]["networks"], serde_json::json!(["before", "inter"]));
    assert!(page.contains("<td>50.0</td><td class=\"judged\">12.3</td><td class=\"gain\">−37.7</td>"));
    let remark = "On the source domain, where adaptation usually costs accuracy: mIoU in %: before 50.0 → inter 12.3; on source, 3 images, one seed.";
    assert!(page.contains(remark), "{page}");
    let found = data["findings"].as_array().unwrap().iter().map(|finding| finding["found"].as_str().unwrap());
    assert!(
        found
            .into_iter()
            .any(|found| found == "inter never predicts pole on source, although they occur there (evaluate)")
    );
}

/// A sweep of `inter` over as many values.
fn swept(members: u32) -> Scene {
    let values: Vec<String> = (1..=members).map(|value| value.to_string()).collect();
    let matrix = format!("target = \"target\"\n[stages.inter.matrix]\niterations = [{}]\n", values.join(", "));
    Scene::of(&PIPELINE.replace("target = \"target\"\niterations = 4\n", &matrix))
}

#[test]
fn settings_that_the_head_leaves_out_are_counted_there_with_a_link_to_all() {
    let mut scene = swept(8);
    for value in 1..=8 {
        scene.place(&format!("evaluate[iterations={value}]"), &[("metrics", Scene::file(METRICS))]);
    }
    let page = scene.page();
    let sentences = data(&page)["sentences"].as_array().unwrap().clone();
    assert_eq!((sentences.len(), &sentences[3]), (4, &"And 5 more settings: see Sweep.".into()));
    assert!(page.contains("<p>and 5 more settings, in <a href=\"#sweep\">Sweep</a></p>"));
    assert!(page.contains("<section id=\"sweep\">"));

    let mut scene = swept(3);
    for value in 1..=3 {
        scene.place(&format!("evaluate[iterations={value}]"), &[("metrics", Scene::file(METRICS))]);
    }
    assert_eq!(data(&scene.page())["sentences"].as_array().unwrap().len(), 3);
}

#[test]
fn a_network_that_the_members_of_a_sweep_share_is_found_once_and_the_others_by_their_names() {
    let mut scene = swept(3);
    for value in 1..=3 {
        let metrics = METRICS.replace("[[3, 1], [1, 0]]", "[[4, 0], [1, 0]]");
        scene.place(&format!("evaluate[iterations={value}]"), &[("metrics", Scene::file(metrics))]);
    }
    let data = data(&scene.page());
    let found = data["findings"].as_array().unwrap().iter().map(|finding| finding["found"].as_str().unwrap());
    let never: Vec<&str> = found.filter(|found| found.contains("never predicts pole")).collect();
    let there = "never predicts pole on source, although they occur there (evaluate[iterations=1])";
    let of_inter = format!("inter[iterations=1] {there}; likewise inter[iterations=2], inter[iterations=3]");
    assert_eq!(never, [format!("before {there}"), of_inter]);
}

#[test]
fn many_stages_that_were_not_started_do_not_fill_the_head() {
    let mut scene = swept(8);
    let stopped =
        Settled { outcome: Outcome::Cancelled, at: 0.0, key: None, reason: "not started".into(), help: Vec::new() };
    for value in 1..=8 {
        scene.history.stages.insert(format!("inter[iterations={value}]"), stopped.clone());
    }
    let page = scene.page();
    let (open, rest) = page.split_once("<details><summary>… and 3 more</summary>").unwrap();
    assert_eq!(open.matches("</b>: not started</p>").count(), 5);
    assert_eq!(rest.split_once("</details>").unwrap().0.matches("</b>: not started</p>").count(), 3);
}

#[test]
fn whatever_things_are_called_nothing_in_a_name_is_executed() {
    let page = evaluated().page();
    assert!(!page.contains("<img src=x") && !page.contains("<script>alert") && !page.contains("</script><b>"));
    assert!(page.contains("&lt;/script&gt;&lt;b&gt;&quot;ö'"));
    assert_eq!(page.matches("<script").count(), 3, "the data, what the script knows, and the page's own");
    assert!(page.contains("default-src 'none'") && !page.contains("unsafe-inline"));
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing comes from outside");
}

#[test]
fn the_pictures_of_an_image_lie_over_its_photograph() {
    let page = evaluated().page();
    assert_eq!(page.matches("url(data:image/jpeg;base64,").count(), 1, "a photograph is there once");
    assert!(page.contains("mIoU 50.0") && page.contains("mIoU –"));
    assert!(page.contains("100.0 % wrong"));
}

#[test]
fn a_photograph_is_in_the_page_once_however_many_sections_show_it() {
    let mut scene = evaluated();
    let map = "a<img src=x onerror=alert(1)>";
    let ranking = format!("image,score,split\n{map}.jpg,0.1,easy\nb.jpg,0.2,hard\n");
    scene.place("rank", &[("ranking", Scene::file(ranking))]);
    let photographs = vec![(format!("{map}.jpg"), jpeg(8, 4, "")), ("b.jpg".to_owned(), jpeg(8, 4, "another"))];
    let maps = |value| vec![(format!("{map}.png"), grey_png(8, 4, value)), ("b.png".to_owned(), grey_png(8, 4, value))];
    let outputs = [("photographs", photographs), ("predictions", maps(1)), ("entropy", maps(9))];
    scene.place("entropy", &outputs);
    let page = scene.page();
    assert_eq!(page.matches("url(data:image/jpeg;base64,").count(), 2);
    let shown = page.split("<div class=\"over ").filter(|cell| cell.contains(" title=\"photograph of a&lt;img"));
    let classes: Vec<&str> = shown.map(|cell| &cell[..cell.find('"').unwrap()]).collect();
    assert_eq!(classes.len(), 4, "once among the pictures, and easiest, at the cut and hardest of two");
    assert!(classes.iter().all(|class| *class == classes[0] && page.contains(&format!(".{class}{{aspect-ratio:8/4;"))));
    assert!(page.contains("1 of 2, easy, 0.2000"));
}

#[test]
fn where_nothing_was_evaluated_certainty_and_agreement_stand_in_the_place_of_results() {
    let again = "\n[stages.again]\nkind = \"entropy-inference\"\nweights = \"before\"\nimages = \"target\"\n";
    let mut scene = Scene::of(&(PIPELINE.to_owned() + again));
    let looked = |class: u8, entropy: &str| {
        let scores =
            format!("image,mean_entropy,mean_entropy_eq4_nats,predicted_rare_classes\n\"a,b\",{entropy},0.1,0\n");
        let maps = |value: u8| vec![("a,b.png".to_owned(), grey_png(8, 4, value))];
        let photographs = vec![("a,b.jpg".to_owned(), jpeg(8, 4, ""))];
        [
            ("scores", Scene::file(scores)),
            ("predictions", maps(class)),
            ("entropy", maps(9)),
            ("photographs", photographs),
        ]
    };
    scene.place("entropy", &looked(0, "0.25"));
    scene.place("again", &looked(1, "0.125"));
    let page = scene.page();
    assert!(page.contains("<td>inter</td><td>target</td><td>1</td><td>0.5000</td>"), "of two classes: {page}");
    assert!(page.contains("They agree on 0.0 % of the pixels.") && page.contains("100.0 % differ"));
    assert!(
        page.contains("<td>100.00</td><td><b class=\"lacking\">none</b></td>"),
        "one says one class, one the other"
    );
    scene.place("evaluate", &[("metrics", Scene::file(METRICS))]);
    let page = scene.page();
    assert!(page.contains("id=\"results\"") && !page.contains("id=\"certainty\""), "labels say more");
}

#[test]
fn the_predictions_of_a_training_are_shown_in_the_order_of_its_iterations() {
    let mut scene = Scene::new();
    let prediction = |iteration: u32| (format!("prediction/{iteration}/town/a.png"), grey_png(8, 4, 1));
    let mut pictures: Files = [30, 120, 60].map(prediction).into();
    pictures.push(("photograph/town/a.jpg".to_owned(), jpeg(8, 4, "")));
    scene.place("inter", &[("pictures", pictures), ("losses", Scene::file("{\"iteration\":0,\"seg_main\":1.0}\n"))]);
    let page = scene.page();
    assert!(page.contains("<th>iteration</th><th>30</th><th>60</th><th>120</th>"));
    let snapshots = page.split_once("How the predictions develop").unwrap().1;
    let at = |about: &str| snapshots.find(&format!("alt=\"{about}\"")).unwrap_or_else(|| panic!("{about}"));
    assert!(at("inter after 30 iterations, town/a") < at("inter after 120 iterations, town/a"));
}

#[test]
fn a_pipeline_that_has_not_run_has_a_page_that_says_so() {
    let page = Scene::new().page();
    assert!(page.contains("not finished: 0 of 5 stages done"));
    assert!(!page.contains("id=\"results\"") && !page.contains("id=\"training\""));
    assert_eq!(data(&page)["is_done"], false);
}

#[test]
fn a_failure_is_told_and_what_it_left_of_an_earlier_run_is_not_shown() {
    let mut scene = evaluated();
    let settled = Settled {
        outcome: Outcome::Failed,
        at: 0.0,
        key: None,
        reason: "out of memory".into(),
        help: vec!["use less".into()],
    };
    scene.history.stages.insert("evaluate".into(), settled);
    let page = scene.page();
    assert!(page.contains("failed at evaluate; 0 of 5 stages done"));
    assert!(page.contains("out of memory — use less"));
    assert!(!page.contains("id=\"results\""));
    scene.history.interrupted = true;
    scene.history.stages.get_mut("evaluate").unwrap().outcome = Outcome::Cancelled;
    assert!(scene.page().contains("interrupted; 0 of 5 stages done"));
}

#[test]
fn a_run_that_goes_on_says_so_and_how_an_earlier_one_came_out_is_no_news() {
    let mut scene = evaluated();
    let failed =
        Settled { outcome: Outcome::Failed, at: 0.0, key: None, reason: "out of memory".into(), help: Vec::new() };
    scene.history.stages.extend([("inter".into(), failed.clone()), ("before".into(), failed)]);
    let under_way = UnderWay { since: 1_795_511_600.0, reason: "iterations 4 → 5".into() };
    scene.history.going = Some(Going {
        began: 1_795_511_590.0,
        running: [("inter".to_owned(), under_way)].into(),
        turns: [("before".to_owned(), Turn { began: 0.0, ended: 1.0, outcome: Outcome::Failed })].into(),
    });
    let page = scene.page();
    assert!(page.contains("running since 2026-11-24 09:13 UTC; 1 of 5 stages done"));
    let states: Vec<_> = data(&page)["stages"].as_array().unwrap().iter().map(|stage| stage["state"].clone()).collect();
    assert_eq!(states, ["failed", "running", "not run", "not run", "done"]);
    assert!(page.contains("<dt>why</dt><dd>iterations 4 → 5</dd>") && page.contains("class=\"box running\""));
}

#[test]
fn five_thousand_images_and_twenty_thousand_iterations_make_a_small_page() {
    let mut scene = Scene::new();
    let names: Vec<String> = (0..5000).map(|i| format!("{i:05}")).collect();
    let ranking: String = names.iter().map(|name| format!("{name}.png,0.{name},easy\n")).collect();
    scene.place("rank", &[("ranking", Scene::file("image,score,split\n".to_owned() + &ranking))]);
    let map = grey_png(2048, 16, 9);
    let maps = |_| names.iter().step_by(100).map(|name| (format!("{name}.png"), map.clone())).collect();
    scene.place("entropy", &[("predictions", maps(0)), ("entropy", maps(1))]);
    let losses: String = (0..20_000)
        .map(|i| format!("{{\"iteration\":{i},\"seg_main\":{},\"adv_main\":null}}\n", 1.0 + f64::from(i % 97) / 97.0))
        .collect();
    scene.place("before", &[("losses", Scene::file(losses))]);
    let page = scene.page();
    assert!(page.contains("5,000 easy") && page.contains("alt=\"entropy of 00000.png\""));
    assert!(page.len() < 300_000, "{} bytes", page.len());
}

#[test]
fn what_was_reused_is_hatched_and_tells_what_it_saved() {
    let mut scene = evaluated();
    scene.place("before", &[]);
    (scene.history.ended, scene.history.seconds) = (1_795_511_640.0, 10.0);
    let turn = |began, ended, outcome| Turn { began: 1_795_511_630.0 + began, ended: 1_795_511_630.0 + ended, outcome };
    scene.history.turns = [
        ("before".to_owned(), turn(0.0, 0.0, Outcome::Hit)),
        ("evaluate".to_owned(), turn(5.0, 10.0, Outcome::Ran)),
        ("rank".to_owned(), turn(1.0, 1.0, Outcome::Skipped)),
    ]
    .into();
    let page = scene.page();
    assert!(page.contains("The last run <small>began 2026-11-24 09:13 UTC, took 10.0 s"));
    assert!(page.contains("<td>hit</td><td class=\"reused\">") && page.contains("<td></td><td>2.0 s</td>"));
    assert!(page.contains("<rect x=\"500.0\" width=\"500.0\""), "half of the run");
    assert!(!page.contains("<td>skipped</td>"));
}

/// The data of the page's script.
fn shown(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"shown\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn every_evaluated_image_is_listed_with_its_numbers_and_the_classes_of_its_label() {
    let mut scene = Scene::new();
    let line = |at: usize| {
        let (inter, truth) = (if at == 2 { "null".to_owned() } else { format!("0.{at}") }, [at % 2, 1]);
        format!("{{\"image\":\"{at}.png\",\"miou\":{{\"before\":0.5,\"inter\":{inter}}},\"truth\":{truth:?}}}\n")
    };
    let images: String =
        (0..120).map(|at| line(at % 10).replacen(&format!("\"{}.png", at % 10), &format!("\"{at}.png"), 1)).collect();
    let layout = serde_json::json!({ "columns": 10, "rows": 10, "cell": [96, 48], "sizes": vec![[96, 48]; 120] });
    let mut thumbnails = vec![("index.json".to_owned(), layout.to_string().into_bytes())];
    for sheet in 0..2 {
        thumbnails.push((format!("photograph/{sheet:03}.jpg"), jpeg(96, 48, &sheet.to_string())));
        for (value, map) in ["truth", "prediction/before", "prediction/inter"].into_iter().enumerate() {
            thumbnails.push((format!("{map}/{sheet:03}.png"), grey_png(960, 480, (10 * value + sheet) as u8)));
        }
    }
    let outputs = [("metrics", Scene::file(METRICS)), ("images", Scene::file(images)), ("thumbnails", thumbnails)];
    scene.place("evaluate", &outputs);
    let page = scene.page();
    let shown = shown(&page);
    let gallery = &shown["galleries"][0];
    assert_eq!(gallery["images"].as_array().unwrap().len(), 120);
    let titles: Vec<&str> =
        gallery["columns"].as_array().unwrap().iter().map(|column| column["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["label", "before", "inter", "inter − before"]);
    let values = |column: usize, image: usize| gallery["columns"][column]["values"][image].clone();
    assert_eq!((values(1, 3), values(2, 3), values(3, 3)), (50.0.into(), 30.0.into(), (-20.0).into()));
    assert_eq!((values(2, 12), values(3, 12)), (serde_json::Value::Null, serde_json::Value::Null));
    assert_eq!((&gallery["present"][2], &gallery["present"][3]), (&"2".into(), &"3".into()));
    // Each sheet that the gallery names is in the page, once.
    let thumbnails = &gallery["thumbnails"];
    let maps = thumbnails["maps"].as_object().unwrap();
    assert_eq!(maps.keys().collect::<Vec<_>>(), ["prediction/before", "prediction/inter", "truth"]);
    let sheets = maps.values().chain([&thumbnails["photographs"]]).flat_map(|sheets| sheets.as_array().unwrap());
    let sheets: Vec<&str> = sheets.map(|sheet| sheet.as_str().unwrap()).collect();
    assert_eq!(sheets.len(), 8);
    assert!(
        sheets.iter().all(|sheet| page.matches(&format!("<script type=\"text/plain\" id=\"{sheet}\">")).count() == 1)
    );
    // Without a script there is a table.
    assert!(
        page.contains("<noscript>") && page.contains("<tr><td>3.png</td><td>50.0</td><td>30.0</td><td>−20.0</td></tr>")
    );
}

#[test]
fn a_table_whose_thumbnails_are_of_other_images_is_shown_without_them() {
    let mut scene = Scene::new();
    let layout = serde_json::json!({ "columns": 10, "rows": 10, "cell": [8, 8], "sizes": [[8, 4]] });
    let lines = "{\"image\":\"a\",\"miou\":{\"before\":0.5,\"inter\":0.5}}\n{\"image\":\"b\",\"miou\":{\"before\":0.5,\"inter\":0.5}}\n";
    let thumbnails = vec![
        ("index.json".to_owned(), layout.to_string().into_bytes()),
        ("photograph/000.jpg".to_owned(), jpeg(8, 8, "")),
    ];
    let outputs = [("metrics", Scene::file(METRICS)), ("images", Scene::file(lines)), ("thumbnails", thumbnails)];
    scene.place("evaluate", &outputs);
    let gallery = shown(&scene.page())["galleries"][0].clone();
    assert_eq!((&gallery["thumbnails"], gallery["images"].as_array().unwrap().len()), (&serde_json::Value::Null, 2));
}

#[test]
fn a_page_reloads_itself_only_while_a_run_goes_on() {
    let mut scene = evaluated();
    assert_eq!(shown(&scene.page())["state"]["going"], false);
    scene.history.going = Some(Going { began: 1.0, running: [].into(), turns: [].into() });
    let page = scene.page();
    assert_eq!(shown(&page)["state"], serde_json::json!({ "going": true, "written": 1_795_511_640.0 }));
}
