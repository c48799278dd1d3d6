//! The Erlangs and settings that a story runs in.

/// Makes four tests of a story `fn story(otp: Otp, connect_all: bool)`: OTP 25 and 27, each with OTP's defaults and with
/// `connect_all false`, where each edge is Trunkline's own.
#[macro_export]
macro_rules! in_every_world {
    ($story:ident) => {
        #[test]
        fn otp_25() {
            let _took = $crate::wait::Took::new(concat!(stringify!($story), ", OTP 25"));
            $story($crate::release::Otp::System, true);
        }

        #[test]
        fn otp_25_every_edge_ours() {
            let _took =
                $crate::wait::Took::new(concat!(stringify!($story), ", OTP 25, connect_all false"));
            $story($crate::release::Otp::System, false);
        }

        #[test]
        fn otp_27() {
            let _took = $crate::wait::Took::new(concat!(stringify!($story), ", OTP 27"));
            $story($crate::release::Otp::Otp27, true);
        }

        #[test]
        fn otp_27_every_edge_ours() {
            let _took =
                $crate::wait::Took::new(concat!(stringify!($story), ", OTP 27, connect_all false"));
            $story($crate::release::Otp::Otp27, false);
        }
    };
}
