//! Answers that leave at once, beside what leaves by way of the task that writes: in order all the same.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_etf::{Pid, Term, atom};
use trunkline_node::{Message, Node, Process, Target};
use trunkline_proto::Cookie;

const SOON: Duration = Duration::from_secs(60);

async fn node(name: &str) -> Node {
    Node::builder(name.parse().expect("a node name"))
        .cookie(Cookie::new("monster").expect("a cookie"))
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .start()
        .await
        .expect("it starts")
}

async fn pair() -> (Node, Node) {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    one.connect(&there).await.expect("it connects");
    (one, two)
}

async fn next(process: &mut Process) -> Term {
    match timeout(SOON, process.recv()).await.expect("a message") {
        Some(Message::Term(term)) => term,
        other => panic!("{other:?} is no message"),
    }
}

fn numbered(from: &Pid, number: u64, size: usize) -> Term {
    let size = Term::binary(vec![7; size]);
    Term::tuple([Term::from(from), Term::from(number), size])
}

fn number(message: &Term) -> u64 {
    let parts = message.as_tuple().expect("a tuple");
    parts[1].as_u64().expect("a number")
}

/// Every question is answered with a burst: its first message leaves at once, what follows does not, some of it is too
/// large for that, and another process sends meanwhile.
async fn bursts() {
    let (one, two) = pair().await;
    let mut asker = one.process();
    let mut answerer = two.process();
    let (asked, to) = (answerer.pid(), asker.pid());
    let bystander = two.process();
    let (noise, nobody) = (one.process(), one.process().pid());
    let quiet = noise.pid();
    let answers = tokio::spawn(async move {
        for _ in 0..ROUNDS {
            let question = number(&next(&mut answerer).await);
            for answer in 0..BURST {
                let size = if answer % 5 == 3 { 300 << 10 } else { 8 };
                let me = answerer.pid();
                let answer = numbered(&me, question * BURST + answer, size);
                answerer.send(&to, answer).await.expect("it is sent");
                bystander
                    .send(&quiet, Term::atom("noise"))
                    .await
                    .expect("it is sent");
                bystander
                    .send(&nobody, Term::atom("noise"))
                    .await
                    .expect("it is sent");
            }
        }
    });
    for question in 0..ROUNDS {
        let me = asker.pid();
        asker
            .send(&asked, numbered(&me, question, 8))
            .await
            .expect("it is sent");
        for answer in 0..BURST {
            assert_eq!(number(&next(&mut asker).await), question * BURST + answer);
        }
    }
    answers.await.expect("it ends");
    drop(noise);
}

const ROUNDS: u64 = 100;
const BURST: u64 = 9;

#[tokio::test]
async fn bursts_of_answers_keep_their_order() {
    bursts().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn bursts_of_answers_keep_their_order_on_many_threads() {
    bursts().await;
}

/// The receiver of the last message is remembered from one read to the next. It may be gone by then, and somebody else
/// may have its name.
#[tokio::test]
async fn whoever_takes_a_name_gets_what_comes_for_it() {
    let (one, two) = pair().await;
    let sender = one.process();
    let name = atom!("name");
    for round in 0..20 {
        let mut receiver = two.process();
        assert!(receiver.register(&name));
        for number in 0..3 {
            let message = numbered(&sender.pid(), 3 * round + number, 8);
            let to = (&name, two.name());
            sender.send(to, message.clone()).await.expect("it is sent");
            assert_eq!(next(&mut receiver).await, message);
            sender
                .send(&receiver.pid(), message.clone())
                .await
                .expect("it is sent");
            assert_eq!(next(&mut receiver).await, message);
        }
        let gone = receiver.pid();
        drop(receiver);
        // Nobody gets it, and nobody minds.
        sender
            .send(&gone, Term::atom("late"))
            .await
            .expect("it is sent");
    }
}
