//! IPv6: the metadata service writes addresses in capitals and at full length, the API in canonical form; one host is named
//! by the script that libcluster-droplet's users have.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use trunkline_interop::fleet::{Fleet, Naming, Settings};
use trunkline_interop::in_every_world;
use trunkline_interop::release::{Event, Otp};

in_every_world!(over_ipv6);

fn over_ipv6(otp: Otp, connect_all: bool) {
    let mut fleet = Fleet::new(Settings {
        otp,
        connect_all,
        ipv6: true,
        polling: Some("500ms"),
        ..Settings::default()
    })
    .unwrap();
    for n in 1..=4 {
        fleet.create(n, Naming::Trunkline).unwrap();
    }
    fleet.create(5, Naming::Seed).unwrap();
    assert_eq!(
        fleet.member(1).node,
        "web-1-example-com@2001:db8:0:1010::18a:a001"
    );
    assert_eq!(
        fleet.member(5).node,
        "web-5@2001:0DB8:0000:1010:0000:0000:018A:A005"
    );
    fleet.boot_all(&[1, 2, 3, 4, 5]).unwrap();
    fleet.until_whole(&[1, 2, 3, 4, 5]);
    fleet.recorded("all five up", |n| {
        (1..=5)
            .filter(|other| *other != n)
            .map(|other| (Event::Up, other))
            .collect()
    });
}
