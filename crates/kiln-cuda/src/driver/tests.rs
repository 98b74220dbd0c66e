//! The driver's errors, each from a fake driver (tests/fake_libcuda) that fails where it is told to.

mod outside;

use super::machine::Driver;
use super::{DriverError, devices};
use crate::gpu::Gpu;
use crate::machine::{Failure, Machine};
use cuda_std::{Geometry, GlobalMut, KernelInfo, Launch, LaunchError, Launcher, parameters};
use gpu_kernels::Ptx;
use kiln_tensor::Backend;
use std::collections::hash_map::DefaultHasher;
use std::ffi::{CStr, c_char};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Three kernels that do the same.
const PTX: &str = concat!(
    ".version 7.8\n.target sm_80\n.address_size 64\n",
    ".visible .entry store(.param .align 8 .b8 given[24])\n",
    include_str!("store.ptx"),
    ".visible .entry store_b(.param .align 8 .b8 given[24])\n",
    include_str!("store.ptx"),
    ".visible .entry store_wide(.param .align 8 .b8 given[24])\n",
    include_str!("store.ptx"),
);

parameters! {
    /// What the kernels take: words, and what to write to each.
    struct Words { to: GlobalMut<u32>, value: u32 }
}

static STORE: KernelInfo = KernelInfo::new::<Words>("store", 1024, 0);
static STORE_B: KernelInfo = KernelInfo::new::<Words>("store_b", 1024, 0);
static STORE_WIDE: KernelInfo = KernelInfo::new::<Words>("store_wide", 1024, 100 << 10);
static ABSENT: KernelInfo = KernelInfo::new::<Words>("absent", 1024, 0);
/// Declared with other parameters than the PTX.
static STORE_LESS: KernelInfo = KernelInfo::new::<GlobalMut<u32>>("store_wide", 1024, 0);

/// The fake driver, compiled when it is first needed and kept beside the tests.
fn fake() -> &'static Path {
    const SOURCE: &str = include_str!("../../tests/fake_libcuda/lib.rs");
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        SOURCE.hash(&mut hasher);
        let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let library = folder.join(format!("libfake_cuda-{:016x}.so", hasher.finish()));
        if !library.exists() {
            // Other processes may be at the same.
            let own = folder.join(format!("fake_cuda-{}", std::process::id()));
            std::fs::write(own.with_extension("rs"), SOURCE).unwrap();
            let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
            rustc.args(["--edition=2024", "--crate-name=fake_libcuda", "--crate-type=cdylib", "-o"]);
            assert!(rustc.args([own.with_extension("so"), own.with_extension("rs")]).status().unwrap().success());
            std::fs::remove_file(own.with_extension("rs")).unwrap();
            std::fs::rename(own.with_extension("so"), &library).unwrap();
        }
        library
    })
}

/// Runs the body of that test in a process of its own, as a process opens one driver only, with these variables.
fn with(test: &str, variables: &[(&str, &str)], body: fn()) {
    const CHILD: &str = "KILN_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([&format!("driver::tests::{test}"), "--exact", "--nocapture"]);
    child.env(CHILD, "1").env_remove("KILN_SYNC").env("KILN_LIBCUDA", fake()).envs(variables.iter().copied());
    let output = child.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{variables:?}: {said}");
}

fn open() -> Driver {
    open_with(0, PTX).unwrap()
}

/// The same text for every card.
fn all(text: &'static str) -> Ptx {
    Ptx { sm_80: text, sm_90a: text }
}

fn open_with(ordinal: u32, text: &'static str) -> Result<Driver, DriverError> {
    Driver::open(ordinal, &all(text))
}

/// How often the fake's function has been called.
fn calls(name: &CStr) -> usize {
    // SAFETY: the function is of this type and reads a string.
    unsafe {
        kiln_cuda_shim::symbol::<unsafe extern "C" fn(*const c_char) -> usize>("fake_calls").unwrap()(name.as_ptr())
    }
}

/// Writes `value` to `len` words at an address.
fn store(driver: &Driver, kernel: &'static KernelInfo, to: u64, len: usize, value: u32) -> Result<(), LaunchError> {
    // SAFETY: the driver's memory; where it is not, the test is of the fault.
    let words = Words { to: unsafe { GlobalMut::from_raw(to, len) }, value };
    // SAFETY: the fake's kernel takes these.
    driver.launch(&unsafe { Launch::new(kernel, Geometry::linear(4, 32), &words) }.unwrap())
}

#[test]
fn without_a_driver_one_sentence_says_so() {
    let nowhere = [("KILN_LIBCUDA", "/nowhere/libcuda.so.1")];
    with("without_a_driver_one_sentence_says_so", &nowhere, || {
        let sentence = devices().unwrap_err().to_string();
        let start = "no NVIDIA driver was found (/nowhere/libcuda.so.1 could not be opened: ";
        let reason = sentence
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix(')'))
            .unwrap_or_else(|| panic!("{sentence}"));
        assert!(reason.contains("No such file") && !reason.contains("nowhere"), "{sentence}");
        assert_eq!(open_with(0, PTX).err().unwrap().to_string(), sentence);
        // What cust itself sees.
        assert_eq!(cust::init(cust::CudaFlags::empty()), Err(cust::error::CudaError::NoDevice));
    });
}

#[test]
fn a_driver_without_a_function_is_told() {
    with("a_driver_without_a_function_is_told", &[], || {
        let mut value = 0;
        // The fake lacks it.
        // SAFETY: it writes at most one number.
        let answer = unsafe { cust::sys::cuDriverGetVersion(&raw mut value) };
        assert_eq!(answer, cust::sys::CUresult::CUDA_ERROR_NOT_SUPPORTED);
        let sentence = kiln_cuda_shim::last_failure().unwrap().to_string();
        assert_eq!(sentence, "the NVIDIA driver has no cuDriverGetVersion: it is of another version");
    });
}

#[test]
fn cards_are_listed() {
    with("cards_are_listed", &[], || {
        let cards = devices().unwrap();
        assert_eq!(cards.len(), 1);
        let card = &cards[0];
        assert_eq!((&*card.name, card.memory, card.compute_capability), ("Fake Card", 1 << 34, (9, 0)));
        let sentence = open_with(3, PTX).err().unwrap().to_string();
        assert_eq!(sentence, "there is no cuda:3: the last card of this machine is cuda:0");
    });
}

#[test]
fn a_driver_that_does_not_start_is_told_with_its_own_number() {
    const TEST: &str = "a_driver_that_does_not_start_is_told_with_its_own_number";
    let sentences: [(&str, fn()); 3] = [
        ("cuInit=100", || assert!(devices().unwrap_err().to_string().starts_with("the NVIDIA driver finds no card"))),
        ("cuInit=803", || {
            let sentence =
                "the NVIDIA driver does not start: cuInit answered CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803: its text)";
            assert_eq!(devices().unwrap_err().to_string(), sentence);
        }),
        // No enum of cust's has this one.
        ("cuInit=1234", || {
            assert_eq!(devices().unwrap_err().to_string(), "the NVIDIA driver does not start: cuInit answered 1234");
            assert_eq!(cust::init(cust::CudaFlags::empty()), Err(cust::error::CudaError::UnknownError));
        }),
    ];
    for (wish, body) in sentences {
        // The child comes here too, and runs the body that its wish goes with.
        if std::env::var("FAKE_LIBCUDA").is_ok_and(|own| own != wish) {
            continue;
        }
        with(TEST, &[("FAKE_LIBCUDA", wish)], body);
    }
}

/// Uploads, launches and downloads that follow each other.
fn round_trip(driver: &Driver) {
    assert_eq!(driver.name(), "cuda:0");
    let to = driver.alloc(400).unwrap();
    assert_eq!(to % 256, 0);
    let mut bytes = [1u8; 400];
    driver.upload(to, &bytes).unwrap();
    bytes.fill(2);
    // 70 words of 100, then 10 zeros, then 5 other words.
    store(driver, &STORE, to, 70, 0x0505_0505).unwrap();
    driver.zero(to, 40).unwrap();
    store(driver, &STORE_B, to, 5, 0x0707_0707).unwrap();
    let mut back = [9u8; 400];
    driver.download(&mut back, to).unwrap();
    let runs = [vec![7; 20], vec![0; 20], vec![5; 240], vec![1; 120]].concat();
    assert_eq!(back[..], runs);
    // A launch is no wider than its geometry: 4 blocks of 32 threads.
    let wide = driver.alloc(4000).unwrap();
    driver.zero(wide, 4000).unwrap();
    store(driver, &STORE_WIDE, wide, 1000, u32::MAX).unwrap();
    let mut back = vec![9u8; 4000];
    driver.download(&mut back, wide).unwrap();
    assert_eq!(back, [vec![255; 512], vec![0; 3488]].concat());
    // Nothing is asked of the driver for nothing.
    driver.upload(0, &[]).unwrap();
    driver.download(&mut [], 0).unwrap();
    driver.zero(0, 0).unwrap();
    driver.free(to, 400);
    driver.free(wide, 4000);
    driver.synchronize().unwrap();
}

/// Uploads that together are more than the staging memory, and some that alone are.
fn large_uploads(driver: &Driver) {
    let sizes = [3 << 20, 3 << 20, (3 << 20) + 1, 20 << 20, 8 << 20, 1, 8 << 20];
    let mut placed = Vec::new();
    let mut bytes = vec![0u8; 20 << 20];
    for (value, &size) in (1u8..).zip(&sizes) {
        let to = driver.alloc(size).unwrap();
        bytes.fill(value);
        driver.upload(to, &bytes[..size]).unwrap();
        placed.push((to, size, value));
    }
    bytes.fill(0);
    for (to, size, value) in placed {
        driver.download(&mut bytes[..size], to).unwrap();
        assert!(bytes[..size].iter().all(|&byte| byte == value), "{size} bytes of {value}");
        driver.free(to, size);
    }
}

#[test]
fn work_is_done_in_order_and_uploads_are_safe_from_later_writes() {
    with("work_is_done_in_order_and_uploads_are_safe_from_later_writes", &[], || {
        round_trip(&open());
        assert_eq!(calls(c"cuFuncSetAttribute"), 1);
    });
}

#[test]
fn uploads_beyond_the_staging_memory_keep_their_bytes() {
    with("uploads_beyond_the_staging_memory_keep_their_bytes", &[], || large_uploads(&open()));
}

/// The only test here of a real driver; the last thing that it does makes the card useless to its process.
#[test]
#[ignore = "needs an NVIDIA card"]
fn a_card_does_the_same_and_reports_a_late_fault() {
    let cards = devices().unwrap();
    let driver = open();
    round_trip(&driver);
    large_uploads(&driver);
    assert!(matches!(driver.alloc(2 * cards[0].memory), Err(Failure::Memory { .. })));
    round_trip(&driver);
    let sentence = open_with(0, "wrong").err().unwrap().to_string();
    assert!(sentence.contains("the driver's compiler says"), "{sentence}");
    store(&driver, &STORE, 4, 1, 1).unwrap();
    let sentence = driver.synchronize().unwrap_err().to_string();
    assert!(sentence.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{sentence}");
}

#[test]
fn every_call_that_fails_is_named_with_its_error() {
    const TEST: &str = "every_call_that_fails_is_named_with_its_error";
    fn body() {
        let wish = std::env::var("FAKE_LIBCUDA").unwrap();
        let call = wish.split([':', '=']).next().unwrap();
        let work = || -> Result<(), String> {
            let driver = open_with(0, PTX).map_err(|error| error.to_string())?;
            let said = |failure: Failure| failure.to_string();
            let to = driver.alloc(64).map_err(said)?;
            driver.upload(to, &[0; 64]).map_err(said)?;
            driver.zero(to, 64).map_err(said)?;
            store(&driver, &STORE_WIDE, to, 1, 1).map_err(|error| error.to_string())?;
            driver.download(&mut [0; 64], to).map_err(said)?;
            driver.free(to, 64);
            driver.trim();
            driver.synchronize().map_err(said)
        };
        let sentence = work().unwrap_err();
        assert!(
            sentence.contains(&format!("{call} answered CUDA_ERROR_ILLEGAL_ADDRESS (700: its text)")),
            "{sentence}"
        );
    }
    let calls = [
        "cuDeviceGetCount",
        "cuDeviceGet",
        "cuDevicePrimaryCtxRetain",
        "cuCtxSetCurrent:2",
        "cuDeviceGetAttribute",
        "cuDeviceGetDefaultMemPool",
        "cuMemPoolSetAttribute",
        "cuStreamCreateWithPriority",
        "cuModuleLoadDataEx",
        "cuMemAllocAsync",
        "cuMemAllocHost_v2",
        "cuMemcpyHtoDAsync_v2",
        "cuMemsetD8Async",
        "cuModuleGetFunction",
        "cuFuncSetAttribute",
        "cuLaunchKernel",
        "cuMemcpyDtoHAsync_v2",
        "cuMemFreeAsync",
        "cuMemPoolTrimTo",
        "cuStreamSynchronize:2",
        // The wait after it fails too: what came first is told.
        "cuMemcpyDtoHAsync_v2=700,cuStreamSynchronize",
    ];
    if std::env::var_os("KILN_TEST_CHILD").is_some() {
        return body();
    }
    for call in calls {
        with(TEST, &[("FAKE_LIBCUDA", &format!("{call}=700"))], body);
    }
}

#[test]
fn a_late_fault_is_told_with_the_last_kernels() {
    const TEST: &str = "a_late_fault_is_told_with_the_last_kernels";
    with(TEST, &[("FAKE_LIBCUDA", "cuStreamSynchronize=700")], || {
        let gpu = Gpu::new(open());
        let launch = |kernel: &'static KernelInfo| {
            // SAFETY: the fake's kernel takes these, and writes nothing.
            let launch = unsafe {
                let words = Words { to: GlobalMut::from_raw(0, 0), value: 0 };
                Launch::new(kernel, Geometry::linear(1, 1), &words).map(|launch| gpu.launch(&launch))
            };
            launch.unwrap().unwrap();
        };
        (0..9).for_each(|_| launch(&STORE));
        launch(&STORE_B);
        let sentence = gpu.synchronize().unwrap_err().to_string();
        let names = ["store"; 7].into_iter().chain(["store_b"]).collect::<Vec<_>>().join(", ");
        let wanted = format!(
            "cuda:0: cuStreamSynchronize answered CUDA_ERROR_ILLEGAL_ADDRESS (700: its text); with KILN_SYNC=1 a fault \
             names its kernel; the last launches: {names}; "
        );
        assert!(sentence.contains(&wanted), "{sentence}");
    });
}

#[test]
fn launches_that_are_waited_for_name_the_kernel_that_failed() {
    let variables = [("FAKE_LIBCUDA", "cuStreamSynchronize:2=700"), ("KILN_SYNC", "1")];
    with("launches_that_are_waited_for_name_the_kernel_that_failed", &variables, || {
        let driver = open();
        let to = driver.alloc(64).unwrap();
        store(&driver, &STORE, to, 1, 1).unwrap();
        let sentence = store(&driver, &STORE_B, to, 1, 1).unwrap_err().to_string();
        let wanted =
            "cuStreamSynchronize answered CUDA_ERROR_ILLEGAL_ADDRESS (700: its text) after the launch of store_b";
        assert_eq!(sentence, wanted);
    });
}

#[test]
fn a_refused_launch_names_its_kernel() {
    with("a_refused_launch_names_its_kernel", &[("FAKE_LIBCUDA", "cuLaunchKernel:2=1")], || {
        let driver = open();
        let to = driver.alloc(64).unwrap();
        store(&driver, &STORE, to, 1, 1).unwrap();
        let sentence = store(&driver, &STORE_B, to, 1, 1).unwrap_err().to_string();
        let start = "cuLaunchKernel answered CUDA_ERROR_INVALID_VALUE (1: its text) to a launch of store_b with 4×1×1 \
                     blocks of 32×1×1 threads";
        assert!(sentence.starts_with(start), "{sentence}");
        let sentence = store(&driver, &ABSENT, to, 1, 1).unwrap_err().to_string();
        let start = "cuModuleGetFunction answered CUDA_ERROR_NOT_FOUND (500: its text) for kernel absent";
        assert!(sentence.starts_with(start), "{sentence}");
        // SAFETY: the driver's memory.
        let view = unsafe { GlobalMut::<u32>::from_raw(to, 1) };
        // SAFETY: the kernel's parameters as it is declared; that is not what the PTX says.
        let launch = unsafe { Launch::new(&STORE_LESS, Geometry::linear(1, 32), &view) }.unwrap();
        let sentence = driver.launch(&launch).unwrap_err().to_string();
        let start = "kernel store_wide takes 24 bytes of parameters in the PTX, this program gives it 16 bytes: run";
        assert!(sentence.starts_with(start), "{sentence}");
    });
}

#[test]
fn memory_is_asked_for_again_once_what_was_freed_is_back() {
    const TEST: &str = "memory_is_asked_for_again_once_what_was_freed_is_back";
    fn body() {
        let driver = open();
        let end = driver.alloc(64);
        match std::env::var("FAKE_LIBCUDA").unwrap().as_str() {
            "cuMemAllocAsync:1-1=2" => assert!(end.is_ok()),
            _ => assert!(matches!(end, Err(Failure::Memory { bytes: 64 })), "{end:?}"),
        }
        assert_eq!((calls(c"cuStreamSynchronize"), calls(c"cuMemPoolTrimTo"), calls(c"cuMemAllocAsync")), (1, 1, 2));
    }
    if std::env::var_os("KILN_TEST_CHILD").is_some() {
        return body();
    }
    for wish in ["cuMemAllocAsync:1-1=2", "cuMemAllocAsync=2"] {
        with(TEST, &[("FAKE_LIBCUDA", wish)], body);
    }
}

#[test]
fn memory_that_was_given_back_is_the_next_ones() {
    with("memory_that_was_given_back_is_the_next_ones", &[], || {
        let driver = open();
        let (first, other) = (driver.alloc(5000).unwrap(), driver.alloc(256).unwrap());
        driver.free(first, 5000);
        driver.free(other, 256);
        assert_eq!(driver.kept(), 5120 + 256);
        // A little more or less makes no difference; much more does.
        assert_eq!([driver.alloc(256), driver.alloc(5120)].map(Result::unwrap), [other, first]);
        assert!(driver.alloc(10_000).is_ok());
        assert_eq!((driver.kept(), calls(c"cuMemAllocAsync"), calls(c"cuMemFreeAsync")), (0, 3, 0));
        driver.free(first, 5000);
        driver.trim();
        driver.synchronize().unwrap();
        assert_eq!((driver.kept(), calls(c"cuMemFreeAsync"), calls(c"cuMemPoolTrimTo")), (0, 1, 1));
    });
}

#[test]
fn refused_ptx_comes_with_the_compilers_words() {
    with("refused_ptx_comes_with_the_compilers_words", &[], || {
        let sentence = open_with(0, "wrong").err().unwrap().to_string();
        let wanted = "cuda:0: cuModuleLoadDataEx answered CUDA_ERROR_INVALID_PTX (218: its text); the driver's compiler says: \
                      ptxas application ptx input, line 2; error: wrong";
        assert_eq!(sentence, wanted);
        assert_eq!(open_with(0, "a\0b").err().unwrap().to_string(), "cuda:0: the kernels' PTX holds a NUL");
    });
}
