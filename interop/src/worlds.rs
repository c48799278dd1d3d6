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

/// Makes four tests of a story `fn story(settings: fly::Settings)`, so that each of these is met with each other at least once: OTP 25
/// and 27, OTP's defaults and `connect_all false`, the guide's `env.sh` and `trunkline env`, the authoritative name server and unbound.
#[macro_export]
macro_rules! in_every_fly_world {
    ($story:ident) => {
        $crate::in_fly_worlds!($story:
            otp_25_guide: System, true, GUIDE, false;
            otp_25_every_edge_ours_unbound: System, false, TRUNKLINE, true;
            otp_27_unbound: Otp27, true, TRUNKLINE, true;
            otp_27_guide_every_edge_ours: Otp27, false, GUIDE, false;
        );
    };
}

/// Makes a test of each line: its name, OTP, `connect_all`, `env.sh`, whether unbound is in between.
#[macro_export]
macro_rules! in_fly_worlds {
    ($story:ident: $($name:ident: $otp:ident, $connect_all:literal, $env_sh:ident, $unbound:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let _took = $crate::wait::Took::new(concat!(stringify!($story), ", ", stringify!($name)));
                $story($crate::fly::Settings {
                    otp: $crate::release::Otp::$otp,
                    connect_all: $connect_all,
                    env_sh: $crate::fly::$env_sh,
                    unbound: $unbound,
                    ..$crate::fly::Settings::default()
                });
            }
        )+
    };
}
