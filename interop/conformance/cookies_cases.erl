%% Cookies that differ: no connection, and both sides as good as before.
-module(cookies_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {ours_is_wrong, fun ours/1},
        {that_of_the_subject_is_wrong, fun theirs/1},
        {another_cookie_for_one_peer, fun another/1},
        {a_digest_of_the_wrong_text, fun digest/1},
        {a_peer_that_does_not_know_it, fun acknowledged/1}
    ].

ours(_) ->
    {Node, _} = launcher:start(cookie, [{setuptime, 120}]),
    true = erlang:set_cookie(Node, 'not the cookie'),
    [?is(false, net_kernel:connect_node(Node)) || _ <- [1, 2, 3]],
    ?is(pang, net_adm:ping(Node)),
    true = erlang:set_cookie(Node, erlang:get_cookie()),
    ?is(true, net_kernel:connect_node(Node)),
    ?is(alive, puppet:ask({subject, Node}, {echo, alive})),
    true = erlang:disconnect_node(Node).

theirs(_) ->
    {Node, Id} = launcher:start(cookie, [{setuptime, 120}, {cookie, wrong}, {dial, node()}]),
    launcher:until_output(Id, "dial false"),
    ?is(false, lists:member(Node, nodes(connected))),
    %% It lives, and knows its own.
    true = erlang:set_cookie(Node, wrong),
    ?is(true, net_kernel:connect_node(Node)),
    ?is(alive, puppet:ask({subject, Node}, {echo, alive})),
    true = erlang:disconnect_node(Node).

another(_) ->
    {Node, _} = launcher:start(cookie, [{cookie, "of_its_own"}]),
    ?is(false, net_kernel:connect_node(Node)),
    true = erlang:set_cookie(Node, of_its_own),
    ?is(pong, net_adm:ping(Node)),
    true = erlang:disconnect_node(Node).

%% Closed without a word.
digest(Node) ->
    [wire:before_time(Node, fun() ->
        Socket = wire:connect(Node),
        {_, Challenge} = wire:greet(Socket, wire:name(launcher:name(raw))),
        ok = wire:send(Socket, wire:frame(<<$r, 99:32, (Digest(Challenge))/binary>>)),
        ?is({error, closed}, wire:recv(Socket))
    end) || Digest <- [
        fun(_) -> <<0:128>> end,
        fun(Challenge) -> wire:digest(wire:cookie(), Challenge + 1) end,
        fun(Challenge) -> wire:digest(<<"wrong">>, Challenge) end
    ]],
    ?is(alive, puppet:ask({subject, Node}, {echo, alive})).

%% The subject dials; the peer takes its digest and sends one of its own that proves nothing.
acknowledged(_) ->
    {Node, _} = launcher:start(cookie, [{setuptime, 120}]),
    Me = launcher:name(raw),
    Listener = wire:listen(Me),
    Asked = puppet:begin_(puppet:new(Node), {connect, Me}),
    Socket = wire:accept(Listener),
    {ok, <<$N, _/binary>>} = wire:recv(Socket),
    ok = wire:send(Socket, [wire:status(<<"ok">>), wire:challenge(Me, 77)]),
    {ok, <<$r, Theirs:32, _:16/binary>>} = wire:recv(Socket),
    ok = wire:send(Socket, wire:frame(<<$a, (wire:digest(<<"wrong">>, Theirs))/binary>>)),
    ?is(false, puppet:answer(Asked)),
    wire:closed(Socket),
    wire:close(Listener),
    ?is(alive, puppet:ask({subject, Node}, {echo, alive})),
    true = erlang:disconnect_node(Node).
