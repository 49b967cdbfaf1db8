//! Submissions to a system that answers as a test says: what is written before, and what is not made twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::super::executor::Handle as _;
use super::super::queue::Standing;
use super::*;

/// A system that answers as it is told to.
#[derive(Default)]
struct Fake {
    /// The answers to submissions, first to last; then all succeed.
    refusals: Mutex<Vec<NotSubmitted>>,
    /// What was submitted, by label, with the number of tasks.
    taken: Mutex<Vec<(String, usize)>>,
    /// Whether a submission without an answer was taken all the same.
    takes_silently: bool,
    asked: AtomicUsize,
}

impl Queue for Fake {
    fn submit(&self, submission: &Submission<'_>) -> Result<String, NotSubmitted> {
        let refusal = self.refusals.lock().unwrap().pop();
        if refusal.is_none() || self.takes_silently {
            self.taken.lock().unwrap().push((submission.label.to_owned(), submission.tasks));
        }
        refusal.map_or_else(|| Ok(self.taken.lock().unwrap().len().to_string()), Err)
    }

    fn task(&self, job: &str, task: usize) -> String {
        format!("{job}_{task}")
    }

    fn most_tasks(&self) -> usize {
        3
    }

    fn starter(&self, _: &Request) -> String {
        String::new()
    }

    fn tells_labels(&self) -> bool {
        true
    }

    fn standings(&self, _: &[String]) -> Result<BTreeMap<String, Standing>, String> {
        Ok(BTreeMap::new())
    }

    fn labelled(&self, label: &str) -> Result<Option<String>, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let taken = self.taken.lock().unwrap();
        Ok(taken.iter().position(|(known, _)| known == label).map(|at| (at + 1).to_string()))
    }

    fn cancel(&self, _: &[String]) -> Result<(), String> {
        Ok(())
    }
}

struct Scene {
    dir: tempfile::TempDir,
    queue: Arc<Fake>,
    submitter: Submitter,
}

fn scene(queue: Fake) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let queue = Arc::new(queue);
    let submitter = Submitter {
        queue: Arc::clone(&queue) as Arc<dyn Queue>,
        executor: "cluster".into(),
        program: "/opt/intrada-run".into(),
        folders: dir.path().to_owned(),
        pause: Duration::from_millis(20),
        pending: Mutex::default(),
    };
    Scene { dir, queue, submitter }
}

impl Scene {
    fn papers(&self, name: &str) -> Papers {
        let folder = self.dir.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Papers(folder)
    }

    fn submit(&self, name: &str, threads: usize) -> Result<Submitted, Failure> {
        let request = Request { stage: name.into(), threads, ..Request::default() };
        let ask = Ask { papers: self.papers(name), request, kept: None, again: 0 };
        self.submitter.submit(ask, &Arc::default(), &mut |_| {})
    }
}

#[test]
fn a_job_s_folder_names_its_submission_and_the_script_performs_that_folder() {
    let scene = scene(Fake::default());
    let submitted = scene.submit("a", 2).unwrap();
    assert_eq!(submitted.job.as_deref(), Some("1"));
    assert_eq!(scene.papers("a").submitted().unwrap(), Some(submitted));
    let script = std::fs::read_to_string(scene.papers("a").script()).unwrap();
    let last = script.lines().last().unwrap();
    assert_eq!(last, format!("/opt/intrada-run --perform-job {}", scene.papers("a").0.display()));
}

#[test]
fn jobs_that_are_ready_together_and_need_the_same_become_few_submissions() {
    let scene = scene(Fake::default());
    let threads = [1, 1, 1, 1, 2, 1, 2];
    let submitted: Vec<Submitted> = std::thread::scope(|scope| {
        let submit = |(index, threads): (usize, &usize)| {
            let (scene, threads) = (&scene, *threads);
            scope.spawn(move || scene.submit(&format!("job{index}"), threads).unwrap())
        };
        let threads: Vec<_> = threads.iter().enumerate().map(submit).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let numbers: std::collections::BTreeSet<_> = submitted.iter().map(|submitted| submitted.job.clone()).collect();
    assert_eq!(numbers.len(), 7, "each has its own: {submitted:?}");
    let taken = scene.queue.taken.lock().unwrap();
    assert_eq!(taken.iter().map(|(_, tasks)| tasks).sum::<usize>(), 7);
    assert!(taken.iter().all(|(_, tasks)| *tasks <= 3), "{taken:?}");
    for submitted in submitted.iter().filter(|submitted| submitted.task.is_some()) {
        let list = scene.dir.path().join(format!("array.{}", submitted.label)).join("jobs");
        let list = std::fs::read_to_string(list).unwrap();
        let folder = list.lines().nth(submitted.task.unwrap()).unwrap();
        assert_eq!(Papers(folder.into()).submitted().unwrap().as_ref(), Some(submitted));
    }
}

#[test]
fn a_submission_without_an_answer_is_found_by_its_name_and_not_made_twice() {
    let queue = Fake { takes_silently: true, ..Fake::default() };
    queue.refusals.lock().unwrap().push(NotSubmitted::Unsure("timed out".into()));
    let scene = scene(queue);
    assert_eq!(scene.submit("a", 1).unwrap().job.as_deref(), Some("1"));
    assert_eq!(scene.queue.taken.lock().unwrap().len(), 1);
}

#[test]
fn a_submission_that_did_not_arrive_is_made_again_after_the_system_has_denied_it_several_times() {
    let queue = Fake::default();
    queue.refusals.lock().unwrap().push(NotSubmitted::Unsure("connect failure".into()));
    let scene = scene(queue);
    assert_eq!(scene.submit("a", 1).unwrap().job.as_deref(), Some("1"));
    assert_eq!((scene.queue.taken.lock().unwrap().len(), scene.queue.asked.load(Ordering::Relaxed)), (1, 3));
}

#[test]
fn a_refusal_is_a_failure_in_the_system_s_words() {
    let queue = Fake::default();
    queue.refusals.lock().unwrap().push(NotSubmitted::Refused("invalid partition specified".into()));
    let Err(Failure::Failed { message, .. }) = scene(queue).submit("a", 1) else { panic!("it was refused") };
    assert_eq!(message, "`cluster` refused the job: invalid partition specified");
}

#[test]
fn a_job_that_nobody_wants_any_more_is_not_submitted() {
    let scene = scene(Fake::default());
    let wishes = Arc::<Wishes>::default();
    wishes.stop();
    let ask = Ask { papers: scene.papers("a"), request: Request::default(), kept: Some(7), again: 0 };
    let submitted = scene.submitter.submit(ask, &wishes, &mut |_| {});
    assert_eq!(submitted, Err(Failure::Cancelled { at: Some(7) }));
    assert!(scene.queue.taken.lock().unwrap().is_empty());
}
