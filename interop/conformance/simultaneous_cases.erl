%% Both sides dial at once.
-module(simultaneous_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {forced_a_hundred_times_with_the_greater_name, fun(Node) -> forced(Node, 'zzz', 50) end},
        {forced_a_hundred_times_with_the_lesser_name, fun(Node) -> forced(Node, 'aaa', 50) end},
        {a_hundred_times_with_a_node, fun both/1}
    ].

%% The subject has dialled and waits for a status; before it gets one, it is dialled itself. The one with the greater name
%% goes on as the dialler.
forced(Node, Prefix, Rounds) ->
    Me = launcher:name(Prefix),
    Listener = wire:listen(Me),
    Pid = puppet:new(Node),
    check:each(Rounds, fun(_) ->
        Asked = puppet:begin_(Pid, {connect, Me}),
        Theirs = wire:accept(Listener),
        {ok, <<$N, _/binary>>} = wire:recv(Theirs),
        Ours = wire:connect(Node),
        ok = wire:send(Ours, wire:name(Me)),
        Stays = case atom_to_binary(Me) > atom_to_binary(Node) of
            true ->
                ?is({ok, <<"sok_simultaneous">>}, wire:recv(Ours)),
                {ok, <<$N, _:64, Challenge:32, _/binary>>} = wire:recv(Ours),
                ok = wire:send(Ours, wire:reply(Challenge, 5)),
                {ok, <<$a, _/binary>>} = wire:recv(Ours),
                wire:send(Theirs, wire:status(<<"nok">>)),
                wire:closed(Theirs),
                Ours;
            false ->
                ?is({ok, <<"snok">>}, wire:recv(Ours)),
                wire:close(Ours),
                ok = wire:send(Theirs, [wire:status(<<"ok_simultaneous">>), wire:challenge(Me, 77)]),
                {ok, <<$r, Challenge:32, _/binary>>} = wire:recv(Theirs),
                ok = wire:send(Theirs, wire:ack(Challenge)),
                Theirs
        end,
        ?is(true, puppet:answer(Asked)),
        ?is(true, lists:member(Me, puppet:ask(Pid, nodes))),
        wire:close(Stays),
        check:until(gone, fun() -> not lists:member(Me, puppet:ask(Pid, nodes)) end)
    end),
    wire:close(Listener).

%% Two that follow the protocol always agree on one connection.
both(Node) ->
    Pid = puppet:new(Node),
    [begin
        Me = launcher:name(Prefix),
        Peer = peers:start(Me),
        check:each(50, fun(Round) ->
            Asked = puppet:begin_(Pid, {connect, Me}),
            [erlang:yield() || _ <- lists:seq(1, Round rem 10 * 20)],
            ?is(true, peer:call(Peer, net_kernel, connect_node, [Node])),
            ?is(true, puppet:answer(Asked)),
            ?is([Node], peer:call(Peer, erlang, nodes, [connected])),
            ?is(Round, peer:call(Peer, puppet, ask, [{subject, Node}, {echo, Round}])),
            true = peer:call(Peer, erlang, disconnect_node, [Node]),
            check:until(gone, fun() -> not lists:member(Me, puppet:ask(Pid, nodes)) end)
        end),
        peer:stop(Peer)
    end || Prefix <- [aaa, zzz]].
