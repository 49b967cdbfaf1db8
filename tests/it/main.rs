//! Whole programs, run for real: a file a subject. One test program, as linking one for each subject takes longer than most of
//! them.
//!
//! `cargo test --test it guard::` runs one subject.

mod aliases;
mod attempts;
mod assess;
mod bad_input;
mod bucket;
mod cache;
mod candidates;
mod checkpoint_import;
mod command_pipeline;
#[cfg(target_os = "linux")]
mod commands;
mod compare;
mod completions;
mod damage;
mod data_set_options;
mod dinov2;
mod doctor;
mod documents;
mod export;
mod faults;
mod faulty_weights;
mod full_disk;
mod fuzz;
mod golden;
#[cfg(target_os = "linux")]
mod guard;
mod history;
mod hostile;
#[cfg(target_os = "linux")]
mod hyperqueue;
mod init;
mod inspect;
#[cfg(target_os = "linux")]
mod installed;
mod items;
mod kept_samples;
#[cfg(target_os = "linux")]
mod kill;
mod label;
mod labels;
#[cfg(target_os = "linux")]
mod linkage;
mod marks;
mod method;
mod onnx;
mod orphans;
mod own_files;
mod palettes;
mod paper_pipelines;
mod photographs;
mod pipelines;
mod predict;
#[cfg(target_os = "linux")]
mod preflight;
mod published_data_sets;
mod python;
mod pytorch;
mod reads;
mod report;
mod resources;
mod resume;
mod same_bytes;
mod sampling;
mod schema;
mod segformer;
mod self_training;
mod sentences;
mod shards;
mod signed;
#[cfg(target_os = "linux")]
mod slurm;
mod space;
mod surroundings;
mod sweep;
mod tidy;
mod trackers;
mod trees;
mod validation;
mod views;
mod watch;
mod ways_in;
mod weights;
mod weights_from_files;
mod windows;
#[cfg(target_os = "linux")]
mod without_data;
mod without_locks;
#[cfg(feature = "worker")]
mod without_worker;
