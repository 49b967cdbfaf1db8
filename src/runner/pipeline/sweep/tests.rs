//! Which members a sweep has, what each reads, and that a member is what the same stage is without a matrix.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::{Strategy, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::super::tests::{WHOLE, parse};
use super::super::{InputSource, Pipeline};

fn pipeline(stages: &str, set: &[&str]) -> Pipeline {
    parse(stages, set).unwrap_or_else(|problems| panic!("{problems}"))
}

/// [`WHOLE`] with these arguments.
fn whole(set: &[&str]) -> Pipeline {
    pipeline(WHOLE, set)
}

fn members(pipeline: &Pipeline, family: &str) -> Vec<String> {
    pipeline.stages.iter().filter(|stage| stage.family == family).map(|stage| stage.name.clone()).collect()
}

/// `role ← stage` for what a stage reads of others.
fn reads(pipeline: &Pipeline, stage: &str) -> Vec<String> {
    let stage = pipeline.stage(pipeline.find(stage).unwrap_or_else(|| panic!("no {stage}")));
    let read = |input: &super::super::Input| match input.from {
        InputSource::Output { output, .. } => Some(format!("{} ← {}", input.role, pipeline.stage(output.stage))),
        _ => None,
    };
    stage.inputs.iter().filter_map(read).collect()
}

#[test]
fn what_comes_after_a_swept_stage_is_there_once_a_member_and_what_comes_before_once() {
    let pipeline = whole(&["stages.rank.matrix.lambda=[0.5, 0.60]"]);
    for family in ["inter", "entropy"] {
        assert_eq!(members(&pipeline, family), [family]);
    }
    for family in ["rank", "pseudo", "intra", "evaluate"] {
        assert_eq!(members(&pipeline, family), [format!("{family}[lambda=0.5]"), format!("{family}[lambda=0.6]")]);
    }
    assert_eq!(
        reads(&pipeline, "intra[lambda=0.6]"),
        ["easy ← pseudo[lambda=0.6]", "hard ← rank[lambda=0.6]", "weights ← inter"]
    );
    assert_eq!(
        reads(&pipeline, "evaluate[lambda=0.5]"),
        ["weights.inter ← inter", "weights.intra ← intra[lambda=0.5]"]
    );
    let output = &pipeline.stage(pipeline.find("rank[lambda=0.5]").unwrap()).outputs[0];
    assert_eq!(output.path, Path::new("runs/test/rank[lambda=0.5]/easy_split.txt"));
}

#[test]
fn a_member_has_the_parameters_inputs_and_roles_of_the_stage_without_a_matrix() {
    let swept = whole(&["stages.rank.matrix.lambda=[0.5]", "stages.intra.matrix.seed=[3]"]);
    let plain = whole(&["stages.rank.lambda=0.5", "stages.intra.seed=3"]);
    assert_eq!(swept.stages.len(), plain.stages.len());
    for (member, stage) in swept.stages.iter().zip(&plain.stages) {
        assert_eq!(member.family, stage.name);
        let parameters = |stage: &super::super::Stage| {
            stage.parameters.iter().map(|p| (p.name.clone(), p.value.clone(), p.role)).collect::<Vec<_>>()
        };
        assert_eq!(parameters(member), parameters(stage));
        let inputs = |stage: &super::super::Stage| {
            stage.inputs.iter().map(|input| (input.role.clone(), input.from.clone())).collect::<Vec<_>>()
        };
        assert_eq!(inputs(member), inputs(stage), "{}", stage.name);
    }
}

#[test]
fn axes_of_one_name_are_one_axis_and_others_are_crossed_in_the_order_of_the_file() {
    let set =
        ["stages.inter.matrix.seed=[1, 2]", "stages.rank.matrix.lambda=[0.5, 0.6]", "stages.intra.matrix.seed=[2, 1]"];
    let pipeline = whole(&set);
    assert_eq!(members(&pipeline, "rank").len(), 4);
    assert_eq!(
        members(&pipeline, "intra"),
        [
            "intra[seed=1,lambda=0.5]",
            "intra[seed=1,lambda=0.6]",
            "intra[seed=2,lambda=0.5]",
            "intra[seed=2,lambda=0.6]",
        ]
    );
    assert_eq!(
        reads(&pipeline, "evaluate[seed=2,lambda=0.5]"),
        ["weights.inter ← inter[seed=2]", "weights.intra ← intra[seed=2,lambda=0.5]"]
    );
    let seed = |stage| pipeline.stage(pipeline.find(stage).unwrap()).parameter("seed").unwrap().to_string();
    assert_eq!([seed("inter[seed=2]"), seed("intra[seed=2,lambda=0.6]")], ["2", "2"]);
}

#[test]
fn an_evaluation_may_read_one_member_or_some_or_all() {
    let sweep = ["stages.inter.matrix.seed=[1, 2]", "stages.rank.matrix.lambda=[0.5, 0.6]"];
    let with = |weights: &str| whole(&[sweep[0], sweep[1], &format!("stages.evaluate.weights={weights}")]);
    let pipeline = with(r#"["inter", "intra[lambda=0.60]"]"#);
    assert_eq!(members(&pipeline, "evaluate"), ["evaluate[seed=1]", "evaluate[seed=2]"]);
    assert_eq!(
        reads(&pipeline, "evaluate[seed=2]"),
        ["weights.inter ← inter[seed=2]", "weights.intra[lambda=0.6] ← intra[seed=2,lambda=0.6]"]
    );
    let pipeline = with(r#"["inter", "intra[lambda=*]"]"#);
    assert_eq!(
        reads(&pipeline, "evaluate[seed=1]"),
        [
            "weights.inter ← inter[seed=1]",
            "weights.intra[lambda=0.5] ← intra[seed=1,lambda=0.5]",
            "weights.intra[lambda=0.6] ← intra[seed=1,lambda=0.6]",
        ]
    );
    let pipeline = with(r#"["inter[*]", "intra[*]"]"#);
    assert_eq!(members(&pipeline, "evaluate"), ["evaluate"]);
    assert_eq!(reads(&pipeline, "evaluate").len(), 6);
    let pipeline = with(r#"["intra[seed=1,lambda=0.5]"]"#);
    assert_eq!(reads(&pipeline, "evaluate"), ["weights.intra[seed=1,lambda=0.5] ← intra[seed=1,lambda=0.5]"]);
}

/// As in the example of GitHub's own documentation.
#[test]
fn inclusions_extend_what_they_do_not_contradict_and_are_members_of_their_own_else() {
    let pipeline = pipeline(
        r#"
        [stages.eat]
        kind = "command"
        shell = "true"
        outputs = ["${matrix.fruit}-${matrix.animal}"]
        [stages.eat.matrix]
        fruit = ["apple", "pear"]
        animal = ["cat", "dog"]
        include = [
          { color = "green" },
          { color = "pink", animal = "cat" },
          { fruit = "apple", shape = "circle" },
          { fruit = "banana", animal = "none" },
          { fruit = "banana", animal = "cat" },
        ]
        "#,
        &[],
    );
    assert_eq!(
        members(&pipeline, "eat"),
        [
            "eat[fruit=apple,animal=cat,color=pink,shape=circle]",
            "eat[fruit=apple,animal=dog,color=green,shape=circle]",
            "eat[fruit=pear,animal=cat,color=pink]",
            "eat[fruit=pear,animal=dog,color=green]",
            "eat[fruit=banana,animal=cat]",
            "eat[fruit=banana,animal=none]",
        ]
    );
}

#[test]
fn an_inclusion_may_set_a_key_that_the_table_has_for_the_others() {
    let set = [
        "stages.rank.normalize=\"none\"",
        "stages.rank.matrix={ lambda = [0.5, 0.6], include = [{ lambda = 0.6, normalize = \"rare-classes-code\" }] }",
    ];
    let pipeline = whole(&set);
    assert_eq!(members(&pipeline, "rank"), ["rank[lambda=0.5]", "rank[lambda=0.6,normalize=rare-classes-code]"]);
    let normalize = |stage| pipeline.stage(pipeline.find(stage).unwrap()).parameter("normalize").unwrap().to_string();
    assert_eq!(normalize("rank[lambda=0.5]"), "\"none\"");
    // Two ways lead from rank to intra; what left an axis out meets itself again, and only itself.
    assert_eq!(members(&pipeline, "intra").len(), 2);
}

#[test]
fn an_exclusion_may_name_an_axis_of_what_is_read() {
    let set = [
        "stages.inter.matrix.seed=[1, 2]",
        "stages.rank.matrix={ lambda = [0.5, 0.6], exclude = [{ lambda = 0.6, seed = 2 }] }",
    ];
    let pipeline = whole(&set);
    let expected = ["intra[seed=1,lambda=0.5]", "intra[seed=1,lambda=0.6]", "intra[seed=2,lambda=0.5]"];
    assert_eq!(members(&pipeline, "intra"), expected);
}

#[test]
fn a_member_may_go_on_from_another_one_of_its_sweep() {
    let set = [
        "stages.inter.matrix.include=[{ seed = 1 }, { seed = 2, weights = \"inter[seed=1]\" }]",
        "stages.evaluate.weights=\"inter[*]\"",
    ];
    let pipeline = whole(&set);
    assert_eq!(members(&pipeline, "inter"), ["inter[seed=1]", "inter[seed=2,weights=inter%5Bseed%3D1%5D]"]);
    assert_eq!(reads(&pipeline, "inter[seed=2,weights=inter%5Bseed%3D1%5D]"), ["weights ← inter[seed=1]"]);
    assert_eq!(reads(&pipeline, "inter[seed=1]"), Vec::<String>::new());
}

#[test]
fn a_command_follows_a_sweep_by_the_paths_that_name_its_axes() {
    let plot = r#"
        [stages.plot]
        kind = "command"
        command = ["plot", "--lambda=${matrix.lambda}", "${HOME}"]
        inputs = ["runs/test/rank[lambda=${matrix.lambda}]/ranking.csv"]
        outputs = ["plots/${matrix.lambda}.png"]
        [stages.page]
        kind = "command"
        shell = "cat plots/*"
        inputs = ["plots"]
        outputs = ["page.html"]
        [stages.one]
        kind = "command"
        shell = "cat plots/0.5.png"
        inputs = ["plots/0.5.png"]
        outputs = ["one.html"]
        [stages.each]
        kind = "command"
        shell = "cat plots/${matrix.lambda}.png > each/${matrix.lambda}"
        inputs = ["./plots/${matrix.lambda}.png"]
        outputs = ["each/${matrix.lambda}"]
    "#;
    let pipeline = pipeline(&[WHOLE, plot].concat(), &["stages.rank.matrix.lambda=[0.5, 0.6]"]);
    assert_eq!(members(&pipeline, "plot"), ["plot[lambda=0.5]", "plot[lambda=0.6]"]);
    assert_eq!(reads(&pipeline, "plot[lambda=0.6]"), ["inputs[0] ← rank[lambda=0.6]"]);
    let command = pipeline.stage(pipeline.find("plot[lambda=0.6]").unwrap()).parameter("command").unwrap().to_string();
    assert_eq!(command, r#"["plot","--lambda=0.6","${HOME}"]"#);
    // A folder around all their outputs gathers them; the path of one is that one.
    assert_eq!(members(&pipeline, "page"), ["page"]);
    assert_eq!(reads(&pipeline, "one"), ["inputs[0] ← plot[lambda=0.5]"]);
    assert_eq!(reads(&pipeline, "each[lambda=0.6]"), ["inputs[0] ← plot[lambda=0.6]"]);
}

#[test]
fn a_person_may_name_a_member_some_members_or_all() {
    let pipeline = whole(&["stages.inter.matrix.seed=[1, 2]", "stages.rank.matrix.lambda=[0.5, 0.6]"]);
    let named = |name: &str| -> Vec<String> {
        pipeline.select(name).into_iter().map(|id| pipeline.stage(id).name.clone()).collect()
    };
    assert_eq!(named("rank").len(), 4);
    assert_eq!(named("rank[lambda=0.60]"), ["rank[seed=1,lambda=0.6]", "rank[seed=2,lambda=0.6]"]);
    assert_eq!(named("rank[lambda=0.6,seed=2]"), ["rank[seed=2,lambda=0.6]"]);
    assert_eq!(named("rank[seed=1,lambda=0.5]"), ["rank[seed=1,lambda=0.5]"]);
    for nothing in ["rank[lambda=0.7]", "rank.easy", "rank[lambda=0.6", "nothing"] {
        assert_eq!(named(nothing), Vec::<String>::new(), "{nothing}");
    }
}

#[test]
fn every_stage_is_found_by_its_name_and_none_by_another() {
    let pipeline = whole(&["stages.inter.matrix.seed=[10, 9, 1]", "stages.rank.matrix.lambda=[0.5, 0.6]"]);
    for id in pipeline.stage_ids() {
        assert_eq!(pipeline.find(&pipeline.stage(id).name), Some(id));
    }
    for nothing in ["", "inter", "inter[seed=1", "inter[seed=100]", "zzz"] {
        assert_eq!(pipeline.find(nothing), None, "{nothing}");
    }
}

#[test]
fn names_of_networks_sort_in_the_order_of_the_file() {
    let pipeline = whole(&["stages.rank.matrix.lambda=[0.5, 0.6]"]);
    let mut names = ["unknown", "intra[lambda=0.6]", "inter.teacher", "intra", "inter"];
    names.sort_by_key(|name| pipeline.place_of(name));
    assert_eq!(names, ["inter", "inter.teacher", "intra[lambda=0.6]", "intra", "unknown"]);
}

#[test]
fn a_sweep_over_seeds_tells_of_a_later_training_whose_seed_stays() {
    let warnings = |set: &[&str]| -> Vec<String> {
        let whole = whole(set);
        whole.warnings.iter().map(|warning| warning.title.clone()).filter(|title| title.contains("seed")).collect()
    };
    let swept = "stages.inter.matrix.seed=[1, 2]";
    assert_eq!(warnings(&[swept]), ["`intra` has seed 7 in all members of the sweep over seeds"]);
    assert_eq!(warnings(&[swept, "stages.intra.matrix.seed=[1, 2]"]), Vec::<String>::new());
    assert_eq!(warnings(&[swept, "stages.intra.seed=1234"]), Vec::<String>::new(), "it is meant");
    assert_eq!(warnings(&["stages.inter.matrix.batch=[1, 2]"]), Vec::<String>::new());
}

#[test]
fn a_thousand_members_share_one_mistake() {
    let seeds: Vec<String> = (0..1000).map(|seed: i32| seed.to_string()).collect();
    let set = [&format!("stages.inter.matrix.seed=[{}]", seeds.join(",")), "stages.pseudo.images=\"rank.esay\""];
    let problems = parse(WHOLE, &set).unwrap_err();
    assert_eq!(problems.errors(), 1, "{problems}");
    let pipeline = whole(&set[..1]);
    assert_eq!(pipeline.stages.len(), 6000);
    assert_eq!(reads(&pipeline, "pseudo[seed=321]"), ["predictions ← entropy[seed=321]", "images ← rank[seed=321]"]);
}

#[test]
fn more_members_than_anybody_waits_for_are_refused() {
    let numbers = (1..=101).map(|number: i32| number.to_string()).collect::<Vec<_>>().join(",");
    let set = [format!("stages.inter.matrix.seed=[{numbers}]"), format!("stages.intra.matrix.batch=[{numbers}]")];
    let problems = parse(WHOLE, &[&set[0], &set[1]]).unwrap_err().to_string();
    assert!(problems.contains("would have more than 10000 members"), "{problems}");
}

/// One of the sets of values that an axis may have.
fn values(from: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(from, 1..=from.len())
}

proptest! {
    #[test]
    fn members_are_the_product_without_what_is_excluded(
        lambdas in values(&["0.25", "0.5", "0.75"]),
        seeds in values(&["1", "2", "3", "4"]),
        excluded in prop::collection::vec((prop::option::of(0..3usize), prop::option::of(0..4usize)), 0..3),
    ) {
        let mut tables = Vec::new();
        let mut pairs: BTreeSet<(&str, &str)> = lambdas.iter().flat_map(|l| seeds.iter().map(move |s| (*l, *s))).collect();
        for (lambda, seed) in excluded {
            let lambda = lambda.map(|at| lambdas[at % lambdas.len()]);
            let seed = seed.map(|at| seeds[at % seeds.len()]);
            let cells: Vec<String> = lambda.map(|l| format!("lambda={l}")).into_iter().chain(seed.map(|s| format!("seed={s}"))).collect();
            if cells.is_empty() {
                continue;
            }
            tables.push(format!("{{{}}}", cells.join(",")));
            pairs.retain(|(l, s)| !(lambda.is_none_or(|lambda| lambda == *l) && seed.is_none_or(|seed| seed == *s)));
        }
        let set = [
            format!("stages.inter.matrix.seed=[{}]", seeds.join(",")),
            format!("stages.rank.matrix={{lambda=[{}],exclude=[{}]}}", lambdas.join(","), tables.join(",")),
        ];
        let read = parse(WHOLE, &[&set[0], &set[1]]);
        if pairs.is_empty() {
            prop_assert!(read.is_err());
        } else {
            let pipeline = read.unwrap_or_else(|problems| panic!("{problems}"));
            let expected: BTreeSet<String> = pairs.iter().map(|(l, s)| format!("intra[seed={s},lambda={l}]")).collect();
            let found = members(&pipeline, "intra");
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
            // Whatever way leads from one sweep to a member, its coordinates are the same.
            for stage in &pipeline.stages {
                for input in &stage.inputs {
                    if let InputSource::Output { output, .. } = input.from {
                        let read = pipeline.stage(output.stage);
                        prop_assert!(read.coordinates.iter().all(|own| stage.coordinates.contains(own)), "{} reads {}", stage, read);
                    }
                }
            }
        }
    }

    #[test]
    fn axes_of_one_name_join_by_value(first in values(&["1", "2", "3"]), second in values(&["3", "1", "2"])) {
        let set = [
            format!("stages.inter.matrix.seed=[{}]", first.join(",")),
            format!("stages.intra.matrix.seed=[{}]", second.join(",")),
        ];
        let read = parse(WHOLE, &[&set[0], &set[1]]);
        let equal = first.iter().collect::<BTreeSet<_>>() == second.iter().collect::<BTreeSet<_>>();
        prop_assert_eq!(read.is_ok(), equal);
        if let Ok(pipeline) = read {
            prop_assert_eq!(members(&pipeline, "evaluate").len(), first.len());
        }
    }
}
