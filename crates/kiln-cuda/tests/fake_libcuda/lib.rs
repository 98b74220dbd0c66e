//! A driver for tests: one card whose memory is the host's, whose one kernel is `store`, and whose calls fail on
//! request.
//!
//! `FAKE_LIBCUDA` says which: `cuInit=803,cuLaunchKernel:3=700,cuMemAllocAsync:1-1=2` is every call of the first, the
//! second from its third call on, and the third's first call alone.
//!
//! Queued work is done when the stream is waited for and not before, as a card may leave it, so that what is not waited
//! for shows.

#![allow(non_snake_case, reason = "the driver's names")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Mutex;

type Work = Box<dyn FnOnce() + Send>;

static CALLS: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);
static QUEUE: Mutex<Vec<Work>> = Mutex::new(Vec::new());
/// The texts of the modules, whose handles are 8, 9, …
static PTX: Mutex<Vec<String>> = Mutex::new(Vec::new());
static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Counts a call, and says what it is to answer.
fn called(name: &str) -> u32 {
    let mut calls = CALLS.lock().unwrap();
    let count = calls.get_or_insert_default().entry(name.into()).or_insert(0);
    *count += 1;
    let wishes = std::env::var("FAKE_LIBCUDA").unwrap_or_default();
    for wish in wishes.split(',').filter(|wish| !wish.is_empty()) {
        let (call, status) = wish.split_once('=').unwrap();
        let (call, range) = call.split_once(':').unwrap_or((call, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, "1000000"));
        if call == name && (first.parse().unwrap()..=last.parse().unwrap()).contains(count) {
            return status.parse().unwrap();
        }
    }
    0
}

/// How often a function has been called.
#[unsafe(no_mangle)]
unsafe extern "C" fn fake_calls(name: *const c_char) -> usize {
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap();
    CALLS.lock().unwrap().as_ref().and_then(|calls| calls.get(name).copied()).unwrap_or(0)
}

fn queue(work: impl FnOnce() + Send + 'static) {
    QUEUE.lock().unwrap().push(Box::new(work));
}

fn finish() {
    let work = std::mem::take(&mut *QUEUE.lock().unwrap());
    work.into_iter().for_each(|work| work());
}

/// Functions whose body runs only if they are not to fail.
macro_rules! driver {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $body:block)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
                match called(stringify!($name)) {
                    #[allow(unused_unsafe)]
                    0 => unsafe { $body },
                    status => status,
                }
            }
        )*
    };
}

driver! {
    fn cuInit(_flags: u32) { 0 }
    fn cuDeviceGetCount(count: *mut i32) { *count = 1; 0 }
    fn cuDeviceGet(device: *mut i32, _ordinal: i32) { *device = 0; 0 }
    fn cuDeviceGetName(name: *mut c_char, _len: i32, _device: i32) {
        name.copy_from(c"Fake Card".as_ptr(), 10);
        0
    }
    fn cuDeviceTotalMem_v2(bytes: *mut usize, _device: i32) { *bytes = 1 << 34; 0 }
    fn cuDeviceGetAttribute(value: *mut i32, attribute: u32, _device: i32) {
        *value = match attribute { 16 => 132, 75 => 9, 76 => 0, 115 => 1, _ => return 1 };
        0
    }
    fn cuDeviceGetDefaultMemPool(pool: *mut usize, _device: i32) { *pool = 7; 0 }
    fn cuMemPoolSetAttribute(_pool: usize, attribute: u32, value: *const u64) {
        u32::from(attribute != 4 || *value != u64::MAX)
    }
    fn cuMemPoolTrimTo(_pool: usize, _keep: usize) { 0 }
    fn cuDevicePrimaryCtxRetain(context: *mut usize, _device: i32) { *context = 5; 0 }
    fn cuDevicePrimaryCtxRelease_v2(_device: i32) { 0 }
    fn cuCtxSetCurrent(context: usize) { if context == 5 { 0 } else { 201 } }
    fn cuStreamCreateWithPriority(stream: *mut usize, _flags: u32, _priority: i32) { *stream = 6; 0 }
    fn cuStreamDestroy_v2(_stream: usize) { 0 }
    fn cuStreamSynchronize(_stream: usize) { finish(); 0 }
    fn cuModuleUnload(_module: usize) { 0 }
    fn cuModuleGetFunction(function: *mut usize, module: usize, name: *const c_char) {
        let name = CStr::from_ptr(name).to_str().unwrap();
        if !PTX.lock().unwrap()[module - 8].contains(&format!(".entry {name}(")) {
            return 500;
        }
        let mut names = NAMES.lock().unwrap();
        names.push(name.into());
        *function = names.len();
        0
    }
    fn cuFuncSetAttribute(_function: usize, attribute: u32, _value: i32) { u32::from(attribute != 8) }
    fn cuLaunchKernel(
        function: usize, x: u32, _y: u32, _z: u32, threads: u32, _j: u32, _k: u32, _shared: u32, _stream: usize,
        arguments: *const *const c_void, _extra: *const c_void
    ) {
        if NAMES.lock().unwrap()[function - 1].starts_with("store") {
            let parameters = (*arguments).cast::<u64>();
            let (address, len) = (parameters.read() as usize, parameters.add(1).read() as usize);
            let value = parameters.add(2).cast::<u32>().read();
            let len = len.min((x * threads) as usize);
            queue(move || unsafe { std::slice::from_raw_parts_mut(address as *mut u32, len) }.fill(value));
        }
        0
    }
    fn cuMemAllocAsync(address: *mut u64, bytes: usize, _stream: usize) {
        *address = Box::leak(vec![0xAAu8; bytes + 256].into_boxed_slice()).as_ptr().addr().next_multiple_of(256) as u64;
        0
    }
    fn cuMemFreeAsync(_address: u64, _stream: usize) { 0 }
    fn cuMemAllocHost_v2(address: *mut *mut u8, bytes: usize) {
        *address = Box::leak(vec![0xBBu8; bytes].into_boxed_slice()).as_mut_ptr();
        0
    }
    fn cuMemFreeHost(_address: usize) { 0 }
    fn cuMemcpyHtoDAsync_v2(to: usize, from: usize, bytes: usize, _stream: usize) {
        queue(move || unsafe { (to as *mut u8).copy_from(from as *const u8, bytes) });
        0
    }
    fn cuMemcpyDtoHAsync_v2(to: usize, from: usize, bytes: usize, _stream: usize) {
        queue(move || unsafe { (to as *mut u8).copy_from(from as *const u8, bytes) });
        0
    }
    fn cuMemsetD8Async(to: usize, value: u8, bytes: usize, _stream: usize) {
        queue(move || unsafe { (to as *mut u8).write_bytes(value, bytes) });
        0
    }
}

/// Refuses PTX that holds the word `wrong`, and says so in the log.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut usize,
    image: *const c_char,
    options: u32,
    option: *const u32,
    value: *const *mut u8,
) -> u32 {
    let ptx = unsafe { CStr::from_ptr(image) }.to_str().unwrap();
    let status = called("cuModuleLoadDataEx");
    if status != 0 || ptx.contains("wrong") {
        for i in 0..options as usize {
            if unsafe { *option.add(i) } == 5 {
                let text = b"ptxas application ptx input, line 2;\n  error: wrong\0";
                unsafe { (*value.add(i)).copy_from(text.as_ptr(), text.len()) };
            }
        }
        return if status == 0 { 218 } else { status };
    }
    let mut texts = PTX.lock().unwrap();
    texts.push(ptx.into());
    unsafe { *module = 7 + texts.len() };
    0
}

/// The names that the tests look for.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorName(status: u32, name: *mut *const c_char) -> u32 {
    let text = match status {
        1 => c"CUDA_ERROR_INVALID_VALUE",
        100 => c"CUDA_ERROR_NO_DEVICE",
        218 => c"CUDA_ERROR_INVALID_PTX",
        500 => c"CUDA_ERROR_NOT_FOUND",
        700 => c"CUDA_ERROR_ILLEGAL_ADDRESS",
        803 => c"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        _ => return 1,
    };
    unsafe { *name = text.as_ptr() };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(_status: u32, text: *mut *const c_char) -> u32 {
    unsafe { *text = c"its text".as_ptr() };
    0
}
