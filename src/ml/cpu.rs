//! What libtorch does with the CPU that it runs on: which instructions it has chosen, and how its numbers are made the same on
//! every CPU that has these.
//!
//! Knows no job. The environment tells each library which instructions it may use; that must have been done before this process
//! began. It is not enough. oneDNN cuts its sums to the sizes of a CPU's caches, so it is switched off, and convolutions go
//! through MKL, which promises equal sums. And MKL's square root begins with an estimate that each make of CPU has its own of, so
//! `sqrt` does without. tch passes none of this on, so functions of libtorch are looked up by their names.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Kind, Tensor};

static IS_HELD: AtomicBool = AtomicBool::new(false);

/// `avx2`, `avx512`, `default`, …: as libtorch calls it, in small letters. `None` where it can't be asked.
pub fn instruction_set() -> Option<String> {
    let said = ask()?;
    // In a message for people; its variable ATEN_CPU_CAPABILITY calls it `default`.
    Some(if said == "NO AVX" { "default".to_owned() } else { said.to_lowercase() })
}

/// From now on this process computes in ways that depend on the instruction set alone, and not on a CPU's make and caches. Whether
/// this libtorch can do so.
pub fn hold() -> bool {
    type Global = extern "C" fn() -> *mut c_void;
    type Switch = extern "C" fn(*mut c_void, bool);
    let names = (c"_ZN2at13globalContextEv", c"_ZN2at7Context20setUserEnabledMkldnnEb");
    let (Some(global), Some(switch)) = (function(names.0), function(names.1)) else { return false };
    // SAFETY: by C++'s names, one takes nothing and gives a reference to what the other takes beside a flag; references are
    // pointers, and what a method belongs to comes first.
    unsafe {
        let global = std::mem::transmute::<*mut c_void, Global>(global);
        let switch = std::mem::transmute::<*mut c_void, Switch>(switch);
        switch(global(), false);
    }
    IS_HELD.store(true, Ordering::Relaxed);
    true
}

/// The square root of each element; the nearest number to it once the process is held.
pub(crate) fn sqrt(of: &Tensor) -> Tensor {
    if IS_HELD.load(Ordering::Relaxed) && of.device() == tch::Device::Cpu { nearest_sqrt(of) } else { of.sqrt() }
}

fn nearest_sqrt(of: &Tensor) -> Tensor {
    let flat = of.contiguous().view([-1]);
    let root = match of.kind() {
        Kind::Double => {
            let numbers = Vec::<f64>::try_from(&flat).expect("a flat tensor of this kind");
            Tensor::from_slice(&numbers.into_iter().map(f64::sqrt).collect::<Vec<_>>())
        }
        Kind::Float => {
            let numbers = Vec::<f32>::try_from(&flat).expect("a flat tensor of this kind");
            Tensor::from_slice(&numbers.into_iter().map(f32::sqrt).collect::<Vec<_>>())
        }
        kind => unreachable!("moments of {kind:?}"),
    };
    root.view_as(of)
}

/// A text as C++'s library lays it out, which has up to 15 characters within itself.
#[repr(C)]
struct Text {
    data: *const u8,
    length: usize,
    short: [u8; 16],
}

/// `at::get_cpu_capability()`.
fn ask() -> Option<String> {
    let function = function(c"_ZN2at18get_cpu_capabilityB5cxx11Ev")?;
    // SAFETY: a function of this name takes nothing and gives a text by C++'s rules; a structure of this size is given in the same
    // way by C's.
    let text = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> Text>(function)() };
    // A longer one, which no level of libtorch has, would lie elsewhere.
    let bytes = text.short.get(..text.length)?;
    let _ = text.data;
    String::from_utf8(bytes.to_vec()).ok().filter(|said| !said.is_empty())
}

/// The function of this name in any library that is loaded.
#[cfg(target_os = "linux")]
fn function(name: &CStr) -> Option<*mut c_void> {
    unsafe extern "C" {
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    }
    // Any use of libtorch keeps the linker from leaving it out.
    tch::get_num_threads();
    // SAFETY: no library is named, so all that are loaded are searched; the name ends with a zero.
    let function = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!function.is_null()).then_some(function)
}

/// Elsewhere C++'s names and texts are other ones.
#[cfg(not(target_os = "linux"))]
fn function(_: &CStr) -> Option<*mut c_void> {
    let _: Option<c_char> = None;
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn libtorch_says_what_it_chose() {
        let said = instruction_set().unwrap();
        assert!(["default", "avx2", "avx512"].contains(&said.as_str()), "{said}");
    }

    #[test]
    fn a_root_is_the_nearest_number_and_of_the_same_form() {
        let numbers = [0.0f32, 2.0, 3.0, 1e-12, 7.5, 1e20];
        let root = nearest_sqrt(&Tensor::from_slice(&numbers).view([2, 3]));
        assert_eq!(root.size(), [2, 3]);
        let root = Vec::<f32>::try_from(root.view([-1])).unwrap();
        assert_eq!(root, numbers.map(|number| (f64::from(number).sqrt()) as f32));
    }
}
