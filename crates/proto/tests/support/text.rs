//! Terms as the decoder of the recordings writes them.

use std::fmt::Write as _;

use trunkline_etf::{Fun, Pid, Reference, Term, View};

/// The text of `term`.
pub(crate) fn text(term: &Term) -> String {
    match term.view() {
        // That decoder leaves ASCII only without quotes, Erlang other letters too.
        View::Atom(atom) if !atom.as_str().is_ascii() => format!("'{}'", atom.as_str()),
        View::Tuple(items) => format!("{{{}}}", joined(items)),
        View::List(items) => list(items),
        View::Improper(items, tail) => format!("[{}|{}]", joined(items), text(tail)),
        View::Map(map) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(k, v)| format!("{}=>{}", text(k), text(v)))
                .collect();
            format!("#{{{}}}", pairs.join(","))
        }
        View::Binary(bytes) => binary(bytes),
        View::Bits(bits) => {
            let whole = bits.bytes().len() - 1;
            let count = whole * 8 + usize::from(bits.bits_of_last());
            format!("<<bits:{count} {}>>", hex(bits.bytes()))
        }
        View::Float(value) => format!("{value:?}"),
        View::Pid(value) => pid(value),
        View::Port(port) => {
            format!(
                "#Port<{} {} c={}>",
                port.node.as_str(),
                port.id,
                port.creation
            )
        }
        View::Reference(value) => reference(value),
        View::Fun(value) => fun(value),
        View::Export(export) => format!(
            "fun {}:{}/{}",
            Term::from(export.module.clone()),
            Term::from(export.function.clone()),
            export.arity
        ),
        _ => term.to_string(),
    }
}

fn joined(items: &[Term]) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(",")
}

fn list(items: &[Term]) -> String {
    let printable = |term: &Term| {
        let byte = term.as_u64().and_then(|number| u8::try_from(number).ok())?;
        is_printable(byte).then_some(byte)
    };
    match items.iter().map(printable).collect::<Option<Vec<u8>>>() {
        Some(bytes) if !bytes.is_empty() => format!("\"{}\"", escaped(&bytes)),
        _ => format!("[{}]", joined(items)),
    }
}

fn binary(bytes: &[u8]) -> String {
    if bytes.len() > 200 {
        format!("<<{} bytes {}...>>", bytes.len(), hex(&bytes[..8]))
    } else if bytes.iter().all(|byte| is_printable(*byte)) {
        format!("<<\"{}\">>", escaped(bytes))
    } else {
        let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
        format!("<<{}>>", numbers.join(","))
    }
}

fn is_printable(byte: u8) -> bool {
    (32..127).contains(&byte)
}

fn escaped(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a string takes all");
        out
    })
}

fn pid(pid: &Pid) -> String {
    format!(
        "#Pid<{} {}.{} c={}>",
        pid.node.as_str(),
        pid.id,
        pid.serial,
        pid.creation
    )
}

fn reference(reference: &Reference) -> String {
    let words: Vec<_> = reference.words().iter().map(u32::to_string).collect();
    let node = reference.node().as_str();
    format!(
        "#Ref<{node} {} c={}>",
        words.join("."),
        reference.creation()
    )
}

fn fun(fun: &Fun) -> String {
    let module = Term::from(fun.module.clone());
    let uniq = hex(&fun.uniq);
    format!(
        "#Fun<{module}.{}.{}/{} uniq={uniq} idx={} pid={} free=[{}]>",
        fun.old_index,
        fun.old_uniq,
        fun.arity,
        fun.index,
        pid(&fun.pid),
        joined(fun.free())
    )
}
