%% More nodes of this release, steered without distribution.
-module(peers).
-export([start/1, start/2, start_nameless/0, call/4, call/5, kill/1, signal/2]).

%% A busy machine starts many nodes at once.
-define(BOOT, 120000).

start(Node) -> start(Node, []).
start(Node, Args) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    {ok, Peer, Node} = peer:start_link(#{
        name => Name, host => Host, longnames => true, connection => standard_io, wait_boot => ?BOOT,
        args => common() ++ ["-hidden" | Args]
    }),
    Peer.

%% It gets a name from the first node that it dials.
start_nameless() ->
    {ok, Peer, _} = peer:start_link(#{
        connection => standard_io, wait_boot => ?BOOT, args => ["-name", "undefined@127.0.0.1" | common()]
    }),
    Peer.

%% As `peer:call`, which gives up after 5 s.
call(Peer, Module, Function, Args) -> call(Peer, Module, Function, Args, 60000).
call(Peer, Module, Function, Args, Ms) -> peer:call(Peer, Module, Function, Args, Ms).

common() ->
    ["-start_epmd", "false", "-connect_all", "false", "-setcookie", atom_to_list(erlang:get_cookie()),
     "-pa", filename:dirname(code:which(?MODULE))].

%% At once, as a machine that loses its power.
kill(Peer) ->
    unlink(Peer),
    signal(Peer, "KILL").

signal(Peer, Signal) ->
    OsPid = call(Peer, os, getpid, []),
    os:cmd("kill -" ++ Signal ++ " " ++ OsPid),
    OsPid.
