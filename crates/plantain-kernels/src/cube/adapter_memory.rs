//! How much memory a graphics processor has, which wgpu does not tell.

use burn::tensor::wgpu::wgpu;

/// Bytes of the memory that is the adapter's own, or its share of the system's where it has none; `None` where its
/// interface is not Vulkan.
#[cfg(any(target_os = "linux", target_os = "windows"))]
pub fn adapter_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    // VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    const DEVICE_LOCAL: u32 = 1;

    // SAFETY: the guard keeps the adapter alive, and nothing of it is destroyed here.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::vulkan::Api>() }?;
    let instance = adapter.shared_instance().raw_instance();
    // SAFETY: the physical device is one of this instance, which the guard keeps alive.
    let memory =
        unsafe { instance.get_physical_device_memory_properties(adapter.raw_physical_device()) };
    let heaps = &memory.memory_heaps[..memory.memory_heap_count as usize];
    let own = heaps
        .iter()
        .filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0);
    Some(own.map(|heap| heap.size).sum())
}

/// Bytes of the adapter's memory; unknown on this system.
#[cfg(not(any(target_os = "linux", target_os = "windows")))]
pub fn adapter_memory(_adapter: &wgpu::Adapter) -> Option<u64> {
    None
}
