//! A second, plain reader of the format: rewrites what any release sent in the one form that the crate writes.

/// `bytes` with version byte: inflated, atoms in UTF-8, floats as eight bytes, ports with 64-bit ids.
pub(crate) fn modern(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![131];
    match bytes {
        [131, 80, _, _, _, _, stream @ ..] => {
            let inflated = miniz_oxide::inflate::decompress_to_vec_zlib(stream).unwrap();
            term(&mut &*inflated, &mut out);
        }
        [131, rest @ ..] => term(&mut &*rest, &mut out),
        _ => panic!("no version byte"),
    }
    out
}

fn term(input: &mut &[u8], out: &mut Vec<u8>) {
    let tag = take(input, 1)[0];
    match tag {
        100 | 115 | 118 | 119 => return atom(tag, input, out),
        99 => {
            let text = str::from_utf8(take(input, 31))
                .unwrap()
                .trim_end_matches('\0');
            out.push(70);
            return out.extend(text.parse::<f64>().unwrap().to_be_bytes());
        }
        89 | 120 => {
            out.push(120);
            term(input, out);
            if tag == 89 {
                out.extend([0; 4]);
            }
            return out.extend(take(input, if tag == 89 { 8 } else { 12 }));
        }
        112 => return fun(input, out),
        _ => out.push(tag),
    }
    match tag {
        97 => copy(input, out, 1),
        98 => copy(input, out, 4),
        70 => copy(input, out, 8),
        104 => {
            let arity = counted(input, out, 1);
            terms(input, out, arity);
        }
        105 => {
            let arity = counted(input, out, 4);
            terms(input, out, arity);
        }
        106 => {}
        107 => {
            let length = counted(input, out, 2);
            copy(input, out, length);
        }
        108 => {
            let length = counted(input, out, 4);
            terms(input, out, length + 1);
        }
        109 => {
            let length = counted(input, out, 4);
            copy(input, out, length);
        }
        77 | 111 => {
            let length = counted(input, out, 4);
            copy(input, out, length + 1);
        }
        110 => {
            let length = counted(input, out, 1);
            copy(input, out, length + 1);
        }
        116 => {
            let pairs = counted(input, out, 4);
            terms(input, out, pairs * 2);
        }
        88 => {
            term(input, out);
            copy(input, out, 12);
        }
        90 => {
            let words = counted(input, out, 2);
            term(input, out);
            copy(input, out, 4 + 4 * words);
        }
        113 => terms(input, out, 3),
        67 => {
            let fields = counted(input, out, 4);
            copy(input, out, 1);
            terms(input, out, 2 + 2 * fields);
        }
        121 => copy(input, out, input.len()),
        other => panic!("tag {other}"),
    }
}

fn atom(tag: u8, input: &mut &[u8], out: &mut Vec<u8>) {
    let length = if matches!(tag, 115 | 119) {
        number(take(input, 1))
    } else {
        number(take(input, 2))
    };
    let text = take(input, length);
    let text = match tag {
        100 | 115 => text.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8(text.to_vec()).unwrap(),
    };
    match u8::try_from(text.len()) {
        Ok(length) => out.extend([119, length]),
        Err(_) => {
            out.push(118);
            out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    out.extend(text.as_bytes());
}

fn fun(input: &mut &[u8], out: &mut Vec<u8>) {
    let end = input.len() - number(&input[..4]);
    take(input, 4);
    let mut body = take(input, 1 + 16 + 4 + 4).to_vec();
    let variables = number(&body[21..]);
    terms(input, &mut body, 4 + variables);
    assert_eq!(input.len(), end, "the size of a fun");
    out.push(112);
    out.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend(body);
}

fn terms(input: &mut &[u8], out: &mut Vec<u8>, count: usize) {
    (0..count).for_each(|_| term(input, out));
}

fn counted(input: &mut &[u8], out: &mut Vec<u8>, width: usize) -> usize {
    let bytes = take(input, width);
    out.extend(bytes);
    number(bytes)
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | usize::from(*byte))
}

fn copy(input: &mut &[u8], out: &mut Vec<u8>, length: usize) {
    out.extend(take(input, length));
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}
