//! The driver's functions: each looks its namesake up in the driver's library when it is first called.

use crate::library::{missing_driver, symbol};
use crate::status::{Cause, answer};
use std::ffi::c_void;
use std::sync::OnceLock;

/// A pointer or a handle. To a function's caller all of them are alike.
type Ptr = *mut c_void;

/// Defines each function under its own name, as the linker looks for it.
macro_rules! forward {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        $(
            /// # Safety
            /// As of the driver's function of that name.
            #[allow(non_snake_case, reason = "the driver's name")]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
                type Entry = unsafe extern "C" fn($($type),*) -> u32;
                static ENTRY: OnceLock<Option<Entry>> = OnceLock::new();
                // SAFETY: the driver's function takes these arguments and returns its status.
                let entry = ENTRY.get_or_init(|| unsafe { symbol(stringify!($name)) });
                let end = match entry {
                    // SAFETY: as the caller promises.
                    Some(entry) => Ok(unsafe { entry($($argument),*) }),
                    None if missing_driver().is_some() => Err(Cause::NoDriver),
                    None => Err(Cause::NoFunction),
                };
                answer(stringify!($name), end)
            }
        )*

        #[cfg(test)]
        mod tests {
            use super::*;

            #[test]
            fn parameters_are_as_large_as_those_that_cust_passes() {
                $(
                    let own = super::shape::sizes($name as unsafe extern "C" fn($($type),*) -> u32);
                    let wanted = cust_raw::$name as unsafe extern "C" fn($(forward!(any $argument)),*) -> _;
                    assert_eq!(own, super::shape::sizes(wanted), stringify!($name));
                )*
            }

            #[test]
            #[ignore = "needs NVIDIA's driver"]
            fn the_driver_has_each_function() {
                // SAFETY: every symbol's address is a pointer, and it is not followed.
                let has = |name: &&str| unsafe { symbol::<Ptr>(name) }.is_some();
                let missing: Vec<_> = [$(stringify!($name)),*].into_iter().filter(|name| !has(name)).collect();
                assert!(missing.is_empty(), "{:?} {missing:?}", missing_driver());
            }
        }
    };
    (any $argument:ident) => { _ };
}

forward! {
    // What cust 0.3.2 calls:
    fn cuArray3DCreate_v2(p_handle: Ptr, p_allocate_array: Ptr);
    fn cuArray3DGetDescriptor_v2(p_array_descriptor: Ptr, h_array: Ptr);
    fn cuArrayDestroy(h_array: Ptr);
    fn cuCtxCreate_v2(pctx: Ptr, flags: u32, dev: i32);
    fn cuCtxDestroy_v2(ctx: Ptr);
    fn cuCtxGetApiVersion(ctx: Ptr, version: Ptr);
    fn cuCtxGetCacheConfig(pconfig: Ptr);
    fn cuCtxGetCurrent(pctx: Ptr);
    fn cuCtxGetDevice(device: Ptr);
    fn cuCtxGetFlags(flags: Ptr);
    fn cuCtxGetLimit(pvalue: Ptr, limit: u32);
    fn cuCtxGetSharedMemConfig(p_config: Ptr);
    fn cuCtxGetStreamPriorityRange(least_priority: Ptr, greatest_priority: Ptr);
    fn cuCtxPopCurrent_v2(pctx: Ptr);
    fn cuCtxPushCurrent_v2(ctx: Ptr);
    fn cuCtxSetCacheConfig(config: u32);
    fn cuCtxSetCurrent(ctx: Ptr);
    fn cuCtxSetLimit(limit: u32, value: usize);
    fn cuCtxSetSharedMemConfig(config: u32);
    fn cuCtxSynchronize();
    fn cuDestroyExternalMemory(ext_mem: Ptr);
    fn cuDeviceGet(device: Ptr, ordinal: i32);
    fn cuDeviceGetAttribute(pi: Ptr, attrib: u32, dev: i32);
    fn cuDeviceGetCount(count: Ptr);
    fn cuDeviceGetName(name: Ptr, len: i32, dev: i32);
    fn cuDevicePrimaryCtxRelease_v2(dev: i32);
    fn cuDevicePrimaryCtxReset_v2(dev: i32);
    fn cuDevicePrimaryCtxRetain(pctx: Ptr, dev: i32);
    fn cuDevicePrimaryCtxSetFlags_v2(dev: i32, flags: u32);
    fn cuDeviceTotalMem_v2(bytes: Ptr, dev: i32);
    fn cuDriverGetVersion(driver_version: Ptr);
    fn cuEventCreate(ph_event: Ptr, flags: u32);
    fn cuEventDestroy_v2(h_event: Ptr);
    fn cuEventElapsedTime(p_milliseconds: Ptr, h_start: Ptr, h_end: Ptr);
    fn cuEventQuery(h_event: Ptr);
    fn cuEventRecord(h_event: Ptr, h_stream: Ptr);
    fn cuEventSynchronize(h_event: Ptr);
    fn cuExternalMemoryGetMappedBuffer(dev_ptr: Ptr, ext_mem: Ptr, buffer_desc: Ptr);
    fn cuFuncGetAttribute(pi: Ptr, attrib: u32, hfunc: Ptr);
    fn cuFuncSetCacheConfig(hfunc: Ptr, config: u32);
    fn cuFuncSetSharedMemConfig(hfunc: Ptr, config: u32);
    fn cuGetErrorString(error: u32, p_str: Ptr);
    fn cuGraphAddKernelNode(
        ph_graph_node: Ptr, h_graph: Ptr, dependencies: Ptr, num_dependencies: usize, node_params: Ptr,
    );
    fn cuGraphCreate(ph_graph: Ptr, flags: u32);
    fn cuGraphDebugDotPrint(h_graph: Ptr, path: Ptr, flags: u32);
    fn cuGraphDestroy(h_graph: Ptr);
    fn cuGraphGetEdges(h_graph: Ptr, from: Ptr, to: Ptr, num_edges: Ptr);
    fn cuGraphGetNodes(h_graph: Ptr, nodes: Ptr, num_nodes: Ptr);
    fn cuGraphKernelNodeGetParams(h_node: Ptr, node_params: Ptr);
    fn cuGraphNodeGetType(h_node: Ptr, kind: Ptr);
    fn cuImportExternalMemory(ext_mem_out: Ptr, mem_handle_desc: Ptr);
    fn cuInit(flags: u32);
    fn cuLaunchHostFunc(h_stream: Ptr, callback: Ptr, user_data: Ptr);
    fn cuLaunchKernel(
        f: Ptr, grid_dim_x: u32, grid_dim_y: u32, grid_dim_z: u32, block_dim_x: u32, block_dim_y: u32,
        block_dim_z: u32, shared_mem_bytes: u32, h_stream: Ptr, kernel_params: Ptr, extra: Ptr,
    );
    fn cuLinkAddData_v2(
        state: Ptr, kind: u32, data: Ptr, size: usize, name: Ptr, num_options: u32, options: Ptr, option_values: Ptr,
    );
    fn cuLinkComplete(state: Ptr, cubin_out: Ptr, size_out: Ptr);
    fn cuLinkCreate_v2(num_options: u32, options: Ptr, option_values: Ptr, state_out: Ptr);
    fn cuLinkDestroy(state: Ptr);
    fn cuMemAdvise(dev_ptr: u64, count: usize, advice: u32, device: i32);
    fn cuMemAllocAsync(dptr: Ptr, bytesize: usize, h_stream: Ptr);
    fn cuMemAllocHost_v2(pp: Ptr, bytesize: usize);
    fn cuMemAllocManaged(dptr: Ptr, bytesize: usize, flags: u32);
    fn cuMemAlloc_v2(dptr: Ptr, bytesize: usize);
    fn cuMemFreeAsync(dptr: u64, h_stream: Ptr);
    fn cuMemFreeHost(p: Ptr);
    fn cuMemFree_v2(dptr: u64);
    fn cuMemGetInfo_v2(free: Ptr, total: Ptr);
    fn cuMemPrefetchAsync(dev_ptr: u64, count: usize, dst_device: i32, h_stream: Ptr);
    fn cuMemcpy2D_v2(p_copy: Ptr);
    fn cuMemcpyAtoH_v2(dst_host: Ptr, src_array: Ptr, src_offset: usize, byte_count: usize);
    fn cuMemcpyDtoDAsync_v2(dst_device: u64, src_device: u64, byte_count: usize, h_stream: Ptr);
    fn cuMemcpyDtoD_v2(dst_device: u64, src_device: u64, byte_count: usize);
    fn cuMemcpyDtoHAsync_v2(dst_host: Ptr, src_device: u64, byte_count: usize, h_stream: Ptr);
    fn cuMemcpyDtoH_v2(dst_host: Ptr, src_device: u64, byte_count: usize);
    fn cuMemcpyHtoA_v2(dst_array: Ptr, dst_offset: usize, src_host: Ptr, byte_count: usize);
    fn cuMemcpyHtoDAsync_v2(dst_device: u64, src_host: Ptr, byte_count: usize, h_stream: Ptr);
    fn cuMemcpyHtoD_v2(dst_device: u64, src_host: Ptr, byte_count: usize);
    fn cuMemsetD16Async(dst_device: u64, us: u16, n: usize, h_stream: Ptr);
    fn cuMemsetD16_v2(dst_device: u64, us: u16, n: usize);
    fn cuMemsetD32Async(dst_device: u64, ui: u32, n: usize, h_stream: Ptr);
    fn cuMemsetD32_v2(dst_device: u64, ui: u32, n: usize);
    fn cuMemsetD8Async(dst_device: u64, uc: u8, n: usize, h_stream: Ptr);
    fn cuMemsetD8_v2(dst_device: u64, uc: u8, n: usize);
    fn cuModuleGetFunction(hfunc: Ptr, hmod: Ptr, name: Ptr);
    fn cuModuleGetGlobal_v2(dptr: Ptr, bytes: Ptr, hmod: Ptr, name: Ptr);
    fn cuModuleLoad(module: Ptr, fname: Ptr);
    fn cuModuleLoadData(module: Ptr, image: Ptr);
    fn cuModuleLoadDataEx(module: Ptr, image: Ptr, num_options: u32, options: Ptr, option_values: Ptr);
    fn cuModuleUnload(hmod: Ptr);
    fn cuOccupancyAvailableDynamicSMemPerBlock(dynamic_smem_size: Ptr, func: Ptr, num_blocks: i32, block_size: i32);
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        num_blocks: Ptr, func: Ptr, block_size: i32, dynamic_smem_size: usize,
    );
    fn cuOccupancyMaxPotentialBlockSize(
        min_grid_size: Ptr, block_size: Ptr, func: Ptr, block_size_to_dynamic_smem_size: Ptr,
        dynamic_smem_size: usize, block_size_limit: i32,
    );
    fn cuStreamCreateWithPriority(ph_stream: Ptr, flags: u32, priority: i32);
    fn cuStreamDestroy_v2(h_stream: Ptr);
    fn cuStreamGetFlags(h_stream: Ptr, flags: Ptr);
    fn cuStreamGetPriority(h_stream: Ptr, priority: Ptr);
    fn cuStreamSynchronize(h_stream: Ptr);
    fn cuStreamWaitEvent(h_stream: Ptr, h_event: Ptr, flags: u32);
    fn cuSurfObjectCreate(p_surf_object: Ptr, p_res_desc: Ptr);
    fn cuSurfObjectDestroy(surf_object: u64);
    fn cuSurfObjectGetResourceDesc(p_res_desc: Ptr, surf_object: u64);
    fn cuTexObjectCreate(p_tex_object: Ptr, p_res_desc: Ptr, p_tex_desc: Ptr, p_res_view_desc: Ptr);
    fn cuTexObjectDestroy(tex_object: u64);
    fn cuTexObjectGetResourceDesc(p_res_desc: Ptr, tex_object: u64);
    // Beyond cust:
    fn cuDeviceGetDefaultMemPool(pool_out: Ptr, dev: i32);
    fn cuFuncSetAttribute(hfunc: Ptr, attrib: u32, value: i32);
    fn cuMemPoolSetAttribute(pool: Ptr, attr: u32, value: Ptr);
    fn cuMemPoolTrimTo(pool: Ptr, min_bytes_to_keep: usize);
}

/// The parameters' sizes of a function pointer.
#[cfg(test)]
mod shape {
    pub(super) trait Shape {
        fn sizes() -> Vec<usize>;
    }

    pub(super) fn sizes<F: Shape>(_: F) -> Vec<usize> {
        F::sizes()
    }

    macro_rules! shapes {
        ($first:ident $($rest:ident)*) => {
            impl<R, $first, $($rest),*> Shape for unsafe extern "C" fn($first, $($rest),*) -> R {
                fn sizes() -> Vec<usize> {
                    vec![size_of::<R>(), size_of::<$first>(), $(size_of::<$rest>()),*]
                }
            }
            shapes!($($rest)*);
        };
        () => {
            impl<R> Shape for unsafe extern "C" fn() -> R {
                fn sizes() -> Vec<usize> {
                    vec![size_of::<R>()]
                }
            }
        };
    }
    shapes!(A B C D E F G H I J K);
}
