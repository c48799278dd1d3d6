//! The example of two nodes runs to its end. (The other one wants an Erlang node: `interop`.)

#[path = "../examples/two_nodes.rs"]
mod two_nodes;

#[test]
fn two_nodes_talk() {
    two_nodes::main().expect("it runs to its end");
}
