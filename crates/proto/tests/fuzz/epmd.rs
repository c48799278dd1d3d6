//! Bytes as questions to EPMD and as its answers.

use trunkline_proto::epmd::{
    Access, AliveResponse, NamesResponse, PortResponse, Registry, Request, Then,
};

/// What decodes encodes to the same bytes; whatever is asked, the table of names stays one that
/// clients can read.
pub(crate) fn run(input: &[u8]) {
    responses(input);
    let mut registry = Registry::new(1);
    let mut held = Vec::new();
    let mut rest = input;
    while let Ok(Some((request, used))) = Request::decode_prefix(rest) {
        assert_eq!(request.encode().ok().as_deref(), rest.get(..used));
        rest = rest.get(used..).unwrap_or_default();
        let access = Access {
            epmd_port: 4369,
            loopback: used % 2 == 0,
            relaxed: used % 3 == 0,
        };
        if let Then::Hold(registered) = registry.answer(request, access).then {
            held.push(registered.id);
        }
        if held.len() > 8 {
            registry.unregister(held.swap_remove(used % 8));
        }
        let listed = registry.names(4369);
        assert_eq!(NamesResponse::decode(&listed.encode()), Ok(listed));
    }
}

fn responses(input: &[u8]) {
    if let Ok(Some((answer, used))) = PortResponse::decode_prefix(input) {
        assert_eq!(answer.encode().ok().as_deref(), input.get(..used));
    }
    if let Ok(Some((answer, used))) = AliveResponse::decode_prefix(input) {
        assert_eq!(Some(&answer.encode()[..]), input.get(..used));
    }
    if let Ok(names) = NamesResponse::decode(input) {
        assert_eq!(NamesResponse::decode(&names.encode()), Ok(names));
    }
}
