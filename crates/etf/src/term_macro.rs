//! `term!`: terms as Erlang writes them.

use crate::{Atom, Term};

/// A [`Term`](crate::Term) as Erlang writes it.
///
/// | written | is |
/// |---|---|
/// | `ok`, `(atom!("Elixir.App"))` | an atom; one that is no identifier of Rust goes in as a value |
/// | `42`, `-1`, `2.5`, `5_000_000_000_i64` | a number; a literal without a type is an `i32` or an `f64` |
/// | `"text"`, `b"bytes"` | a binary, as in Elixir |
/// | `{a, b}` | a tuple |
/// | `[1, 2]`, `[1, 2 \| (rest)]` | a list |
/// | `#{key => value}` | a map |
/// | `(expression)` | the value of a Rust expression, whatever a term can be made `From` |
///
/// ```
/// use trunkline_etf::{Term, atom, term};
///
/// let count = 3;
/// let module = atom!("Elixir.Enum");
/// let call = term!({call, (module), sum, [1, 2, (count)], #{"retries" => 3, timeout => infinity}, -1});
/// assert_eq!(
///     call.to_string(),
///     "{call,'Elixir.Enum',sum,[1,2,3],#{<<114,101,116,114,105,101,115>> => 3,timeout => infinity},-1}"
/// );
/// assert_eq!(term!({ok, (call.clone())}), Term::tuple([Term::atom("ok"), call]));
/// ```
///
/// # Panics
/// For a float literal that is not finite, which the compiler warns of.
#[macro_export]
macro_rules! term {
    ({ $($items:tt)* }) => {
        $crate::Term::tuple::<$crate::Term>($crate::__term_items!([] [] $($items)*))
    };
    ([]) => {
        $crate::Term::nil()
    };
    ([ $($items:tt)+ ]) => {
        $crate::__term_list!([] [] $($items)+)
    };
    (# { $($pairs:tt)* }) => {
        $crate::Term::map::<$crate::Term, $crate::Term>($crate::__term_pairs!([] [] $($pairs)*))
    };
    (( $value:expr )) => {
        $crate::Term::from($value)
    };
    (- $number:literal) => {
        $crate::__literal_term(-$number)
    };
    ($atom:ident) => {
        $crate::Term::from($crate::atom!(stringify!($atom)))
    };
    ($literal:literal) => {
        $crate::__literal_term($literal)
    };
}

/// The elements, one behind the other: those that are done, the tokens of the one that is not.
#[doc(hidden)]
#[macro_export]
macro_rules! __term_items {
    ([$($done:expr,)*] []) => { [$($done),*] };
    ([$($done:expr,)*] [] $one:tt, $($rest:tt)*) => {
        $crate::__term_items!([$($done,)* $crate::term!($one),] [] $($rest)*)
    };
    ([$($done:expr,)*] [$($one:tt)+]) => { [$($done,)* $crate::term!($($one)+)] };
    ([$($done:expr,)*] [$($one:tt)+], $($rest:tt)*) => {
        $crate::__term_items!([$($done,)* $crate::term!($($one)+),] [] $($rest)*)
    };
    ([$($done:expr,)*] [$($one:tt)*] $next:tt $($rest:tt)*) => {
        $crate::__term_items!([$($done,)*] [$($one)* $next] $($rest)*)
    };
}

/// The same, and `| Tail`.
#[doc(hidden)]
#[macro_export]
macro_rules! __term_list {
    ([$($done:expr,)*] []) => { $crate::Term::list::<$crate::Term>([$($done),*]) };
    ([$($done:expr,)*] [] $one:tt, $($rest:tt)*) => {
        $crate::__term_list!([$($done,)* $crate::term!($one),] [] $($rest)*)
    };
    ([$($done:expr,)*] [$($one:tt)+]) => {
        $crate::Term::list::<$crate::Term>([$($done,)* $crate::term!($($one)+)])
    };
    ([$($done:expr,)*] [$($one:tt)+] | $($tail:tt)+) => {
        $crate::Term::list_with_tail::<$crate::Term>(
            [$($done,)* $crate::term!($($one)+)],
            $crate::term!($($tail)+),
        )
    };
    ([$($done:expr,)*] [$($one:tt)+], $($rest:tt)*) => {
        $crate::__term_list!([$($done,)* $crate::term!($($one)+),] [] $($rest)*)
    };
    ([$($done:expr,)*] [$($one:tt)*] $next:tt $($rest:tt)*) => {
        $crate::__term_list!([$($done,)*] [$($one)* $next] $($rest)*)
    };
}

/// `Key => Value`: the tokens of the key, then those of the value in a second bracket.
#[doc(hidden)]
#[macro_export]
macro_rules! __term_pairs {
    ([$($done:expr,)*] []) => { [$($done),*] };
    ([$($done:expr,)*] [$($key:tt)+] => $($rest:tt)+) => {
        $crate::__term_pairs!(@value [$($done,)*] [$($key)+] [] $($rest)+)
    };
    ([$($done:expr,)*] [$($key:tt)*] $next:tt $($rest:tt)*) => {
        $crate::__term_pairs!([$($done,)*] [$($key)* $next] $($rest)*)
    };
    (@value [$($done:expr,)*] [$($key:tt)+] [$($value:tt)+]) => {
        [$($done,)* ($crate::term!($($key)+), $crate::term!($($value)+))]
    };
    (@value [$($done:expr,)*] [$($key:tt)+] [$($value:tt)+], $($rest:tt)*) => {
        $crate::__term_pairs!(
            [$($done,)* ($crate::term!($($key)+), $crate::term!($($value)+)),] [] $($rest)*
        )
    };
    (@value [$($done:expr,)*] [$($key:tt)+] [$($value:tt)*] $next:tt $($rest:tt)*) => {
        $crate::__term_pairs!(@value [$($done,)*] [$($key)+] [$($value)* $next] $($rest)*)
    };
}

/// What a literal of Rust is as a term.
#[doc(hidden)]
pub trait Literal {
    fn term(self) -> Term;
}

#[doc(hidden)]
pub fn __literal_term(literal: impl Literal) -> Term {
    literal.term()
}

macro_rules! literals {
    ($($type:ty)*) => {$(
        impl Literal for $type {
            fn term(self) -> Term {
                Term::from(self)
            }
        }
    )*};
}

literals!(i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 usize &str);

impl Literal for bool {
    fn term(self) -> Term {
        Atom::from(self).into()
    }
}

impl Literal for char {
    /// `$x`: its number.
    fn term(self) -> Term {
        u32::from(self).into()
    }
}

impl Literal for f64 {
    fn term(self) -> Term {
        Term::float(self).expect("a float literal is finite")
    }
}

impl<const N: usize> Literal for &'static [u8; N] {
    fn term(self) -> Term {
        Term::binary(bytes::Bytes::from_static(self))
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use crate::{Term, atom};

    #[test]
    fn as_erlang_writes_it() {
        let tail = term!([3]);
        let n = 7_u64;
        for (term, text) in [
            (term!(ok), "ok"),
            (term!(true), "true"),
            (term!(self), "self"),
            (term!(42), "42"),
            (term!(-42), "-42"),
            (term!(5_000_000_000_i64), "5000000000"),
            (term!(2.5), "2.5"),
            (term!('a'), "97"),
            (term!("hi"), "<<104,105>>"),
            (term!(b"hi"), "<<104,105>>"),
            (term!({}), "{}"),
            (term!([]), "[]"),
            (term!({ a }), "{a}"),
            (term!({a,}), "{a}"),
            (term!({-1, {b, -2}, -3,}), "{-1,{b,-2},-3}"),
            (term!([a, [b], { c }]), "[a,[b],{c}]"),
            (term!([1, 2 | (tail.clone())]), "[1,2,3]"),
            (term!([1 | 2]), "[1|2]"),
            (term!(#{}), "#{}"),
            (
                term!(#{a => 1, "b" => [x], -3 => #{c => {d}},}),
                "#{a => 1,<<98>> => [x],-3 => #{c => {d}}}",
            ),
            (term!((n + 1)), "8"),
            (
                term!({reply, (atom!("Elixir.A")), (tail.clone() == tail)}),
                "{reply,'Elixir.A',true}",
            ),
        ] {
            assert_eq!(term.to_string(), text);
        }
        let many = term!([
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
            24, 25, 26, 27, 28, 29, 30, 31
        ]);
        assert_eq!(many, Term::list(0..32));
    }
}
