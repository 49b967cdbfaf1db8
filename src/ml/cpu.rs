//! How libtorch uses the CPU: the instruction set that it has chosen, and settings for equal results on every CPU that
//! supports it.
//!
//! Knows no job. Environment variables, set before this process starts, tell each library which instructions it may use.
//! That is not enough: oneDNN splits sums by the size of a CPU's caches, so it is switched off, and convolutions go through
//! MKL, which guarantees equal sums. MKL's square root starts with an estimate that differs between CPU models; the fused steps
//! of optimisers, which take roots of moments, don't use it. tch exposes none of this, so libtorch's functions are looked up by name.

use std::ffi::{CStr, c_char, c_void};

/// `avx2`, `avx512`, `default`, …: libtorch's name in lower case. `None` if it can't be queried.
pub fn instruction_set() -> Option<String> {
    let said = ask()?;
    // In a message for people; its variable ATEN_CPU_CAPABILITY calls it `default`.
    Some(if said == "NO AVX" { "default".to_owned() } else { said.to_lowercase() })
}

/// From now on results of this process depend only on the instruction set, not on the CPU's model and caches. Returns
/// whether this libtorch supports that.
pub fn hold() -> bool {
    type Global = extern "C" fn() -> *mut c_void;
    type Switch = extern "C" fn(*mut c_void, bool);
    let names = (c"_ZN2at13globalContextEv", c"_ZN2at7Context20setUserEnabledMkldnnEb");
    let (Some(global), Some(switch)) = (function(names.0), function(names.1)) else { return false };
    // SAFETY: by their C++ names, one takes nothing and returns a reference to the object whose method the other is, which
    // also takes a flag; references are pointers, and the object is the first argument.
    unsafe {
        let global = std::mem::transmute::<*mut c_void, Global>(global);
        let switch = std::mem::transmute::<*mut c_void, Switch>(switch);
        switch(global(), false);
    }
    true
}

/// A C++ string, which stores up to 15 characters inline.
#[repr(C)]
struct Text {
    data: *const u8,
    length: usize,
    short: [u8; 16],
}

/// `at::get_cpu_capability()`.
fn ask() -> Option<String> {
    let function = function(c"_ZN2at18get_cpu_capabilityB5cxx11Ev")?;
    // SAFETY: a function of this name takes nothing and returns a string by the C++ ABI; a C structure of this size is
    // returned in the same way.
    let text = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> Text>(function)() };
    // A longer one, which no level of libtorch has, would be stored elsewhere.
    let bytes = text.short.get(..text.length)?;
    let _ = text.data;
    String::from_utf8(bytes.to_vec()).ok().filter(|said| !said.is_empty())
}

/// The function of this name in any loaded library.
#[cfg(target_os = "linux")]
fn function(name: &CStr) -> Option<*mut c_void> {
    unsafe extern "C" {
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    }
    // Any use of libtorch keeps the linker from omitting it.
    tch::get_num_threads();
    // SAFETY: with no library given, all loaded ones are searched; the name is zero-terminated.
    let function = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!function.is_null()).then_some(function)
}

/// On other systems C++'s names and strings differ.
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
}
