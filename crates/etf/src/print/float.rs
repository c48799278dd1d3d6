//! Floats as OTP 25 and newer print them.

use alloc::{format, string::String};
use core::fmt;

/// The shortest digits that read back as the value; plain, or with an exponent where that is shorter or the value is
/// 2^53 and more.
pub(super) fn float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_sign_negative() {
        f.write_str("-")?;
    }
    let value = value.abs();
    let scientific = shortest(value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (lead, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let length = [lead, ".", fraction, "e", exponent]
        .map(str::len)
        .iter()
        .sum::<usize>();
    if value < EXACT {
        let plain = plain(value, mantissa);
        if plain.len() <= length {
            return f.write_str(&plain);
        }
    }
    write!(f, "{lead}.{fraction}e{exponent}")
}

/// Without an exponent, with the last digit of `mantissa` where there is a fraction.
fn plain(value: f64, mantissa: &str) -> String {
    let mut plain = format!("{value}");
    if !plain.contains('.') {
        plain.push_str(".0");
    } else if let Some(last) = mantissa.chars().next_back() {
        plain.pop();
        plain.push(last);
    }
    plain
}

/// As `{:e}`, but where the value is exactly between two texts of this length, both of which read back as it, the
/// last digit is even, as OTP has it (it prints with Ryu).
fn shortest(value: f64) -> String {
    let short = format!("{value:e}");
    let Some((mantissa, exponent)) = short.split_once('e') else {
        return short;
    };
    let more = mantissa.len().saturating_sub(1);
    if more == 0 {
        // One digit: no float is halfway between two of those that both read back.
        return short;
    }
    if !format!("{value:.more$e}")
        .split('e')
        .next()
        .is_some_and(|digits| digits.ends_with('5'))
    {
        return short;
    }
    // A text of 18 digits that is not the value differs from it long before that many.
    let exact = format!("{value:.80e}");
    let Some((kept, rest)) = exact.split_at_checked(more.saturating_add(1)) else {
        return short;
    };
    let rest = rest
        .split('e')
        .next()
        .and_then(|rest| rest.strip_prefix('5'));
    if !rest.is_some_and(|rest| rest.bytes().all(|digit| digit == b'0')) {
        return short;
    }
    let mut digits = String::from(kept);
    match digits.pop() {
        Some(odd @ ('1' | '3' | '5' | '7')) => digits.extend(char::from_digit(
            odd.to_digit(10).unwrap_or(0).saturating_add(1),
            10,
        )),
        Some(even) => digits.push(even),
        None => return short,
    }
    let even = format!("{digits}e{exponent}");
    if even.parse() == Ok(value) {
        even
    } else {
        short
    }
}

/// From here on not every integer is a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use crate::Term;
    use alloc::string::ToString;

    /// As OTP 25 printed them.
    #[test]
    fn floats_print_as_in_erlang() {
        for (value, text) in [
            (0.0001, "0.0001"),
            (0.0002, "0.0002"),
            (7.0e-5, "7.0e-5"),
            (0.00015, "1.5e-4"),
            (1000.0, "1.0e3"),
            (123_456.0, "123456.0"),
            (100_000.0, "1.0e5"),
            (-1_396_543_925_263_485.2, "-1396543925263485.2"),
            (9_007_199_254_740_992.0, "9.007199254740992e15"),
            (-0.0, "-0.0"),
            (5e-324, "5.0e-324"),
        ] {
            assert_eq!(
                Term::float(value).map(|term| term.to_string()).as_deref(),
                Some(text)
            );
        }
    }
}
