//! What a release needs in its environment: shared by `env`, which prints it, and `exec`, which
//! sets it.

mod args;
pub(crate) mod doubts;
mod exports;
mod file;
mod flags;
mod format;
pub(crate) mod image;
mod other_name;
mod shell;
mod vm_args;

pub(crate) use args::{ReleaseArgs, Tool, WhoArgs};
pub(crate) use exports::{Exports, Plan};
pub(crate) use file::ExportsFile;
pub(crate) use format::Format;
pub(crate) use other_name::refuse_other_name;
pub(crate) use shell::GUARD;
