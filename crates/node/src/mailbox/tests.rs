use trunkline_etf::atom;

use super::*;
use crate::budget::Budget;

fn raw(len: usize) -> RawTerm {
    RawTerm::new(Bytes::from(vec![7; len]))
}

fn sizes(queue: &mut Queue) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let Some(next) = queue.pop() {
        sizes.push(match next {
            Incoming::Small(bytes, _) => bytes.len(),
            Incoming::Large(raw) => raw.bytes().len(),
            Incoming::Local(_) => 0,
            Incoming::Event(_) => 1,
        });
    }
    sizes
}

/// What two nodes and this one sent is paid back to whom it is due, however it leaves.
#[test]
fn all_that_is_charged_is_paid_back() {
    let budget = Budget::new(1 << 20);
    let [a, b] = ["a@h", "b@h"].map(|node| budget.account(&Atom::new(node).unwrap()));
    let atoms: Arc<[Atom]> = [atom!("some_atom"), atom!("another")].into();
    let fill = |mailbox: &mut Queue| {
        for account in [&a, &b, &b, &a] {
            let mut batch = Queue::default();
            batch.push_raw(raw(100));
            batch.push_raw(RawTerm::with_atoms(vec![1; 50].into(), Arc::clone(&atoms)));
            batch.push_raw(raw(10_000));
            batch.push_raw(raw(100_000));
            batch.charge(account);
            mailbox.append(&mut batch);
            mailbox.push_local(Term::nil());
            mailbox.push_body(Body::came(raw(20), account));
            mailbox.push_body(Body::came(raw(5000), account));
            let reason = Body::came(raw(200), account);
            mailbox.push_event(Event::Exit {
                from: Pid {
                    node: atom!("a@h"),
                    id: 1,
                    serial: 0,
                    creation: 1,
                },
                reason,
            });
        }
    };
    let one = [100, 50, 10_000, 100_000, 0, 20, 5000, 1];
    let mut mailbox = Queue::default();
    fill(&mut mailbox);
    let held = [a.held(), b.held()];
    assert_eq!(held[0], held[1]);
    assert!(held[0] > 2 * 115_370 && held[0] < 2 * 117_000, "{held:?}");
    assert_eq!(sizes(&mut mailbox), [one, one, one, one].concat());
    // The place in the queue is empty, and nothing is charged, before anybody asks for the next one.
    assert_eq!([a.held(), b.held()], [0, 0]);

    fill(&mut mailbox);
    drop(mailbox);
    assert_eq!([a.held(), b.held()], [0, 0]);

    // Some of it fits only.
    let (mut mailbox, mut some) = (Queue::default(), Queue::default());
    fill(&mut mailbox);
    let dropped = some.append_some(&mut mailbox, 5, 20_000);
    assert!(mailbox.is_empty());
    // Events come besides.
    assert_eq!(sizes(&mut some), [100, 50, 10_000, 0, 20, 1, 1, 1, 1]);
    assert_eq!(dropped, 23);
    assert_eq!([a.held(), b.held()], [0, 0]);
}

/// Taken out in pieces it is what it was, in its order, while more comes behind it; and what is not taken out is charged where it
/// is.
#[test]
fn what_is_taken_out_in_pieces() {
    let budget = Budget::new(1 << 20);
    let account = budget.account(&atom!("a@h"));
    let atoms: Arc<[Atom]> = [atom!("some_atom"), atom!("another")].into();
    for piece in [1, 100, 5000, 20_000, 1 << 20] {
        let (mut mailbox, mut taken) = (Queue::default(), Queue::default());
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for round in 0..50 {
            let mut batch = Queue::default();
            for n in 0..round % 7 {
                batch.push_small(&vec![7; round * 10 + n]);
                batch.push_raw(RawTerm::with_atoms(vec![1; 50].into(), Arc::clone(&atoms)));
                batch.push_raw(raw(5000));
                expected.extend([round * 10 + n, 50, 5000]);
            }
            batch.charge(&account);
            mailbox.append(&mut batch);
            mailbox.push_local(Term::nil());
            expected.push(0);
            for _ in 0..round % 5 {
                mailbox.refill(&mut taken, piece);
                let of = |queue: &Queue| queue.places.iter().map(Place::size).sum::<usize>();
                assert_eq!((of(&mailbox), of(&taken)), (mailbox.size(), taken.size()));
                assert!(taken.len() == 1 || taken.size() <= piece);
                got.extend(sizes(&mut taken));
                taken.clear();
                let held: usize = mailbox.places.iter().map(Place::owed).sum();
                assert_eq!(account.held(), held);
            }
        }
        while !mailbox.is_empty() {
            mailbox.refill(&mut taken, piece);
            got.extend(sizes(&mut taken));
            taken.clear();
        }
        assert_eq!(got, expected);
        assert_eq!((account.held(), mailbox.own, mailbox.size()), (0, 0, 0));
    }
}

/// What is left in the queue is charged, as it is taken, in steps.
#[test]
fn what_is_taken_is_paid_back_soon() {
    let budget = Budget::new(1 << 20);
    let account = budget.account(&atom!("a@h"));
    let mut queue = Queue::default();
    for _ in 0..1000 {
        queue.push_small(&[7; 1000]);
    }
    queue.charge(&account);
    for _ in 0..1000 {
        let left = account.held() - queue.size();
        assert!(left < STEP, "{left}");
        queue.pop();
        queue.settle();
    }
    assert_eq!(account.held(), 0);
}

/// The news of a monitor are the last that is in it, and are taken out.
#[test]
fn a_mailbox_that_demonitor_empties() {
    let budget = Budget::new(1 << 20);
    let account = budget.account(&atom!("a@h"));
    let mut queue = Queue::default();
    queue.push_raw(raw(100));
    queue.charge(&account);
    let reference = Reference::new(atom!("a@h"), 1, &[1, 2, 3]).unwrap();
    queue.push_event(Event::Down {
        reference: reference.clone(),
        node: atom!("a@h"),
        from: atom!("server").into(),
        reason: Body::came(raw(100), &account),
    });
    queue.pop();
    queue.settle();
    assert!(account.held() > 0);
    assert_eq!(queue.forget_down(&reference), Some(0));
    assert_eq!(account.held(), 0);
}

/// A few slices of a read buffer do not keep it; many do.
#[test]
fn slices_of_read_buffers() {
    let budget = Budget::new(1 << 20);
    let account = budget.account(&atom!("a@h"));
    let buffer = Bytes::from(vec![1; 256 << 10]);
    for (len, count, stays) in [
        (5000, 1, false),
        (60_000, 2, false),
        (60_000, 3, true),
        (70_000, 1, true),
        (5000, 40, true),
    ] {
        let mut queue = Queue::default();
        for n in 0..count {
            let at = n * len;
            queue.push_raw(RawTerm::new(buffer.slice(at..at + len)));
        }
        queue.charge(&account);
        while let Some(Incoming::Large(raw)) = queue.pop() {
            let inside = buffer.as_ptr_range().contains(&raw.bytes().as_ptr());
            assert_eq!((inside, raw.bytes().len()), (stays, len));
        }
    }
    let alone = Body::came(RawTerm::new(buffer.slice(0..100)), &account);
    assert!(
        matches!(alone, Body::Raw(raw, _) if !buffer.as_ptr_range().contains(&raw.bytes().as_ptr()))
    );
}

/// Many came and few of them fit: those do not keep the buffer, which many would have.
#[test]
fn slices_of_read_buffers_in_a_mailbox_with_a_limit() {
    let budget = Budget::new(1 << 20);
    let account = budget.account(&atom!("a@h"));
    let buffer = Bytes::from(vec![1; 256 << 10]);
    for (fit, stays) in [(1, false), (2, false), (3, true)] {
        let (mut batch, mut mailbox) = (Queue::default(), Queue::default());
        for n in 0..4 {
            let at = n * 60_000;
            batch.push_raw(RawTerm::new(buffer.slice(at..at + 60_000)));
        }
        batch.charge(&account);
        assert_eq!(
            mailbox.append_some(&mut batch, fit, 1 << 20),
            4 - fit as u64
        );
        assert_eq!(mailbox.len(), fit);
        while let Some(Incoming::Large(raw)) = mailbox.pop() {
            let inside = buffer.as_ptr_range().contains(&raw.bytes().as_ptr());
            assert_eq!((inside, raw.bytes().len()), (stays, 60_000));
        }
    }
}

/// What a process takes out and keeps unreceived is charged until it is received, with what each node
/// sent, whatever was received in between.
#[test]
fn what_is_kept_is_charged() {
    let budget = Budget::new(1 << 20);
    let [a, b] = ["a@h", "b@h"].map(|node| budget.account(&Atom::new(node).unwrap()));
    let mut queue = Queue::default();
    for (account, len) in [(&a, 100), (&b, 200), (&a, 5000), (&b, 300)] {
        let mut batch = Queue::default();
        batch.push_raw(raw(len));
        batch.push_raw(raw(len + 1));
        batch.charge(account);
        queue.append(&mut batch);
    }
    let (mut kept, mut n) = (Vec::new(), 0);
    while queue.pop().is_some() {
        // The first of each node's two, but of the last.
        if n % 2 == 0 && n < 6 {
            kept.push(queue.keep().expect("it has one"));
        }
        queue.settle();
        n += 1;
    }
    let of = [100 + PLACE, 200 + PLACE, 5000 + PLACE + APART];
    assert_eq!(kept.iter().map(Charge::bytes).collect::<Vec<_>>(), of);
    assert_eq!([a.held(), b.held()], [of[0] + of[2], of[1]]);
    assert!(queue.keep().is_none());
    kept.clear();
    assert_eq!([a.held(), b.held()], [0, 0]);
}

/// Whoever looks at a queue sees how much waits.
#[test]
fn what_waits_is_not_shown() {
    let mut queue = Queue::default();
    queue.push_raw(RawTerm::from(&Term::from("xyzzy")));
    queue.push_local(Term::from("xyzzy"));
    let shown = format!("{queue:?}");
    assert!(shown.contains("waiting: 2"), "{shown}");
    for secret in ["xyzzy", "120, 121"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
