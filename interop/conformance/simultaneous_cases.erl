%% Both sides dial at once.
-module(simultaneous_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {forced_a_hundred_times_with_the_greater_name, fun(Node) -> forced(Node, 'zzz', 100) end},
        {forced_a_hundred_times_with_the_lesser_name, fun(Node) -> forced(Node, 'aaa', 100) end},
        {forced_a_hundred_times_with_a_node_of_the_greater_name, fun(_) -> relayed('zzz', 100) end},
        {forced_a_hundred_times_with_a_node_of_the_lesser_name, fun(_) -> relayed('aaa', 100) end},
        {a_hundred_races_with_a_node, fun races/1}
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

%% The other is a node of OTP. What the subject says to it is held by a relay until the node dials, too; so both have begun,
%% and neither has heard of the other's attempt. The node's answer to what was held tells which of the two goes on.
relayed(Prefix, Rounds) ->
    {Node, _} = launcher:start(subject, [{setuptime, 120}]),
    true = net_kernel:connect_node(Node),
    Relay = relay:start(),
    Me = launcher:name(Prefix),
    Peer = peers:start(Me, ["-epmd_module", "relayed", "-relay", integer_to_list(relay:port(Relay)), "-kernel", "net_setuptime", "120"]),
    Port = peers:call(Peer, relayed, port, []),
    Pid = puppet:new(Node),
    Greater = atom_to_binary(Me) > atom_to_binary(Node),
    check:each(Rounds, fun(Round) ->
        check:until(forgotten, fun() -> [] =:= peers:call(Peer, ets, lookup, [sys_dist, Node]) end),
        Asked = puppet:begin_(Pid, {connect, Me}),
        Held = relay:held(Relay),
        {Dialling, Monitor} = spawn_monitor(fun() -> exit({dialled, peers:call(Peer, net_kernel, connect_node, [Node], 60000)}) end),
        check:until(begun, fun() -> begun(Peer, Node) end),
        Status = relay:release(Held, Port),
        %% `alive`: the node's own attempt is through already. `closed`: the subject has given its own up for it.
        ?is({Status, true}, {Status, lists:member(Status, case Greater of
            true -> [<<"nok">>, <<"alive">>, closed];
            false -> [<<"ok_simultaneous">>]
        end)}),
        ?is({dialled, true}, ?get({'DOWN', Monitor, _, Dialling, Why}, Why)),
        ?is(true, puppet:answer(Asked)),
        ?is([Node], peers:call(Peer, erlang, nodes, [connected])),
        check:until(listed, fun() -> lists:member(Me, puppet:ask(Pid, nodes)) end),
        ?is(Round, peers:call(Peer, puppet, ask, [{subject, Node}, {echo, Round}], 60000)),
        true = peers:call(Peer, erlang, disconnect_node, [Node]),
        check:until(gone, fun() -> not lists:member(Me, puppet:ask(Pid, nodes)) end)
    end),
    peer:stop(Peer),
    relay:stop(Relay),
    true = erlang:disconnect_node(Node).

%% The node has an attempt or a connection of its own, as its net_kernel notes it.
begun(Peer, Node) ->
    case peers:call(Peer, ets, lookup, [sys_dist, Node]) of
        [Connection] -> lists:member(element(4, Connection), [pending, up]);
        [] -> false
    end.

%% Two that follow the protocol always agree on one connection. Whether they meet is left to luck here.
races(Node) ->
    Pid = puppet:new(Node),
    [begin
        Me = launcher:name(Prefix),
        Peer = peers:start(Me),
        check:each(50, fun(Round) ->
            Asked = puppet:begin_(Pid, {connect, Me}),
            [erlang:yield() || _ <- lists:seq(1, Round rem 10 * 20)],
            ?is(true, peers:call(Peer, net_kernel, connect_node, [Node])),
            ?is(true, puppet:answer(Asked)),
            ?is([Node], peers:call(Peer, erlang, nodes, [connected])),
            ?is(Round, peers:call(Peer, puppet, ask, [{subject, Node}, {echo, Round}])),
            true = peers:call(Peer, erlang, disconnect_node, [Node]),
            check:until(gone, fun() -> not lists:member(Me, puppet:ask(Pid, nodes)) end)
        end),
        peer:stop(Peer)
    end || Prefix <- [aaa, zzz]].
