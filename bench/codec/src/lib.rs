//! The data of the codec's bench, each shape exactly once, as the bytes that OTP writes for it.
//!
//! Every peer reads these bytes, from files that [`write_all`] makes. What is random comes from a seed that never changes.

mod walk;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use writer::{Random, Writer};

pub use walk::{visit, walk};

/// One kind of term.
pub struct Shape {
    /// How tables and files call it.
    pub name: &'static str,
    /// What times are divided by.
    pub elements: usize,
    /// What one of them is.
    pub element: &'static str,
    /// With the version byte.
    pub bytes: Vec<u8>,
}

/// All shapes, in the order of the table.
#[must_use]
pub fn shapes() -> Vec<Shape> {
    vec![
        shape("integers", 10_000, "integer", integers),
        shape("rows", 500, "row", rows),
        shape("nested", 600 * TREE, "tuple", nested),
        shape("short_binaries", 5_000, "binary", short_binaries),
        shape("bignums", 2_000, "integer", bignums),
        shape("long_binaries", 64, "binary", long_binaries),
        shape("atoms", 5_000, "atom", atoms),
        shape("strings", 500, "string", strings),
        shape("maps", 200, "map", maps),
        shape("calls", 500, "call", calls),
        shape("message", 1, "message", message),
    ]
}

/// Writes each shape to a file of its own, which is what the peers in other languages read.
///
/// # Errors
/// When a file cannot be written.
pub fn write_all(folder: &Path) -> Result<Vec<(Shape, PathBuf)>> {
    fs::create_dir_all(folder)?;
    let written = |shape: Shape| {
        let file = folder.join(format!("{}.etf", shape.name));
        fs::write(&file, &shape.bytes)?;
        Ok((shape, file))
    };
    shapes().into_iter().map(written).collect()
}

fn shape(
    name: &'static str,
    elements: usize,
    element: &'static str,
    fill: fn(&mut Writer, &mut Random, usize),
) -> Shape {
    let mut writer = Writer::versioned();
    fill(&mut writer, &mut Random::seeded(name), elements);
    Shape {
        name,
        elements,
        element,
        bytes: writer.bytes,
    }
}

/// Of all sizes up to 64 bits: counters, ids, times in microseconds, hashes, some negative. Runs of a column's
/// length have about the same size, as columns of a table or samples of a series have.
fn integers(out: &mut Writer, random: &mut Random, count: usize) {
    out.list(count);
    let mut bits = 0;
    for index in 0..count {
        if index % 50 == 0 {
            bits = *random.of(&[8, 8, 16, 24, 31, 31, 50, 63]);
        }
        let value = i64::try_from(random.next() >> (64 - bits)).unwrap_or(0);
        out.integer(if bits > 8 && random.below(8) == 0 {
            -value
        } else {
            value
        });
    }
    out.nil();
}

/// What a database answers: a list of maps with the same ten keys.
fn rows(out: &mut Writer, random: &mut Random, count: usize) {
    out.list(count);
    for id in 0..count {
        out.map(10);
        out.atom("id");
        out.integer(1_000_000 + id as i64);
        out.atom("name");
        out.text(random, 6, 20);
        out.atom("email");
        out.text(random, 14, 30);
        out.atom("active");
        out.atom(random.of(&["true", "false"]));
        out.atom("role");
        out.atom(random.of(&["admin", "member", "guest"]));
        out.atom("balance");
        out.float(random.below(1_000_000) as f64 / 100.0);
        out.atom("logins");
        out.integer(random.below(2_000) as i64);
        out.atom("score");
        out.float(random.below(1_000) as f64 / 1_000.0);
        out.atom("inserted_at");
        out.tuple(2);
        out.tuple(3);
        out.integers([2024, 1 + random.below(12), 1 + random.below(28)]);
        out.tuple(3);
        out.integers([random.below(24), random.below(60), random.below(60)]);
        out.atom("deleted_at");
        out.atom("nil");
    }
    out.nil();
}

/// Tuples in the tree that [`tree`] makes.
const TREE: usize = 15;

/// Trees of pairs, four levels deep, with small integers as leaves.
fn nested(out: &mut Writer, random: &mut Random, tuples: usize) {
    out.list(tuples / TREE);
    for _ in 0..tuples / TREE {
        tree(out, random, 4);
    }
    out.nil();
}

fn tree(out: &mut Writer, random: &mut Random, levels: usize) {
    if levels == 0 {
        return out.integer(random.below(200) as i64);
    }
    out.tuple(2);
    tree(out, random, levels - 1);
    tree(out, random, levels - 1);
}

/// Words, ids, keys.
fn short_binaries(out: &mut Writer, random: &mut Random, count: usize) {
    out.list(count);
    for _ in 0..count {
        out.text(random, 4, 24);
    }
    out.nil();
}

/// More than 64 bits, up to 160.
fn bignums(out: &mut Writer, random: &mut Random, count: usize) {
    out.list(count);
    for _ in 0..count {
        let length = 9 + random.below(12);
        let magnitude: Vec<u8> = (0..length).map(|_| random.below(255) as u8 + 1).collect();
        out.big(random.below(2) == 0, &magnitude);
    }
    out.nil();
}

fn long_binaries(out: &mut Writer, random: &mut Random, count: usize) {
    out.list(count);
    for _ in 0..count {
        out.text(random, 1_000, 16_000);
    }
    out.nil();
}

/// Of 200 different ones.
fn atoms(out: &mut Writer, random: &mut Random, count: usize) {
    let names: Vec<String> = (0..200).map(|_| random.word(2, 24)).collect();
    out.list(count);
    for _ in 0..count {
        out.atom(random.of(&names));
    }
    out.nil();
}

/// Lists of characters.
fn strings(out: &mut Writer, random: &mut Random, count: usize) {
    out.list(count);
    for _ in 0..count {
        let text = random.word(20, 60);
        out.string(&text);
    }
    out.nil();
}

/// From binaries to integers, 40 pairs: large maps of OTP.
fn maps(out: &mut Writer, random: &mut Random, count: usize) {
    out.list(count);
    for _ in 0..count {
        out.map(40);
        for pair in 0..40 {
            let key = format!("{}-{pair}", random.word(4, 16));
            out.binary(key.as_bytes());
            out.integer(random.below(100_000) as i64);
        }
    }
    out.nil();
}

/// What `gen_server:call` sends.
fn calls(out: &mut Writer, random: &mut Random, count: usize) {
    out.list(count);
    for _ in 0..count {
        out.tuple(3);
        out.atom("$gen_call");
        out.tuple(2);
        out.pid("app@10.0.0.5", random);
        out.list(1);
        out.atom("alias");
        out.reference("app@10.0.0.5", random);
        out.tuple(3);
        out.atom("get");
        out.atom("session");
        out.text(random, 16, 16);
    }
    out.nil();
}

/// One small message, as processes send them to each other: what a call of the codec costs by itself.
fn message(out: &mut Writer, random: &mut Random, _: usize) {
    out.tuple(3);
    out.atom("msg");
    out.pid("app@10.0.0.5", random);
    out.integer(1_000_000);
}
