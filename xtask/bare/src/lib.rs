//! The cores in a program without `std`: with an allocator and a panic handler of its own, as on a machine without an operating
//! system. That a core, or anything that it links, reached for `std` would be an error here: there can be one panic handler only.

#![no_std]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use core::panic::PanicInfo;
use core::ptr::null_mut;

/// There is no memory. This is built, not run.
struct Nothing;

// SAFETY: null is what an allocator gives that has nothing.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Something of each core, so that it is linked.
#[unsafe(no_mangle)]
pub extern "C" fn trunkline_bare() {
    black_box(trunkline_etf::Term::from(1));
    black_box("a@b".parse::<trunkline_proto::NodeName>().is_ok());
    black_box(core::mem::size_of::<trunkline_reconcile::Engine>());
}
