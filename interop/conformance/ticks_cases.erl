%% Silence, from either side. The subjects have a short `net_ticktime`.
-module(ticks_cases).
-export([cases/0, watch/1, seen/1, back/1]).
-include("check.hrl").

-define(TICKTIME, 4).

cases() ->
    [
        {a_silent_peer_is_given_up_and_one_that_ticks_is_not, fun silent/1},
        {a_frozen_subject_is_given_up_and_comes_back, fun frozen/1},
        {a_frozen_node_is_given_up_by_the_subject, fun frozen_node/1}
    ].

%% Three peers of the same subject: one says nothing, one only ticks, one only answers ticks.
silent(_) ->
    {Node, _} = launcher:start(ticks, [{ticktime, ?TICKTIME}]),
    [Silent, Ticking, Answering] = Peers = [wire:dial(Node, launcher:name(raw)) || _ <- [1, 2, 3]],
    Me = self(),
    Loops = [spawn_link(fun() -> receive go -> Loop(Me, Socket) end end)
        || {Socket, Loop} <- [{Ticking, fun ticks/2}, {Answering, fun answers/2}]],
    [ok = gen_tcp:controlling_process(Socket, Loop) || {Socket, Loop} <- lists:zip([Ticking, Answering], Loops)],
    [Loop ! go || Loop <- Loops],
    3 = length(Peers),
    Ticks = until_closed(Silent, 0),
    ?is(true, Ticks >= 2),
    %% Longer than the silent one lasted, the others are there.
    timer:sleep(?TICKTIME * 1000),
    ?is([], [Closed || {closed, Closed} <- check:flush()]),
    [begin unlink(Loop), exit(Loop, kill) end || Loop <- Loops].

%% It is ticked to the end.
until_closed(Socket, Ticks) ->
    case wire:next(Socket) of
        tick -> until_closed(Socket, Ticks + 1);
        timeout -> error({still_open, Ticks});
        What when is_tuple(What) -> until_closed(Socket, Ticks);
        _ -> Ticks
    end.

ticks(Me, Socket) ->
    _ = wire:tick(Socket),
    case wire:next(Socket, ?TICKTIME * 250) of
        closed -> Me ! {closed, ticking};
        _ -> ticks(Me, Socket)
    end.

answers(Me, Socket) ->
    case wire:next(Socket) of
        tick -> wire:tick(Socket), answers(Me, Socket);
        closed -> Me ! {closed, answering};
        _ -> answers(Me, Socket)
    end.

%% Its processes are as they were; only the connection is another one.
frozen(_) ->
    {Peer, Me} = ticker(),
    {Node, Id} = launcher:start(ticks, [{ticktime, ?TICKTIME}]),
    Pid = peers:call(Peer, puppet, new, [Node, [trap]]),
    Watch = peers:call(Peer, erlang, spawn, [?MODULE, watch, [Node]]),
    ok = peers:call(Peer, puppet, ask, [Pid, {monitor_nodes, true}]),
    launcher:signal(Id, 'STOP'),
    ?is(net_tick_timeout, seen(Peer, Watch)),
    launcher:signal(Id, 'CONT'),
    ?is(true, peers:call(Peer, ?MODULE, back, [Node])),
    ?is(alive, peers:call(Peer, puppet, ask, [Pid, {echo, alive}])),
    ?like([{nodedown, Me, _}, {nodeup, Me} | _], peers:call(Peer, puppet, ask, [Pid, {take, 2, 30000}], 70000)),
    peer:stop(Peer).

frozen_node(_) ->
    {Peer, Me} = ticker(),
    {Asker, _} = ticker(),
    {Node, _} = launcher:start(ticks, [{ticktime, ?TICKTIME}]),
    Ask = fun(To, Command) -> peers:call(Asker, puppet, ask, [To, Command], 70000) end,
    ?is(true, peers:call(Peer, net_kernel, connect_node, [Node])),
    Pid = peers:call(Asker, puppet, new, [Node, [trap]]),
    ok = Ask(Pid, {monitor_nodes, true}),
    Theirs = peers:call(Peer, erlang, spawn, [timer, sleep, [infinity]]),
    [Ref, ok] = Ask(Pid, {all, [{monitor, Theirs}, {link, Theirs}]}),
    OsPid = peers:signal(Peer, "STOP"),
    Expected = [{'DOWN', Ref, process, Theirs, noconnection}, {'EXIT', Theirs, noconnection}, {nodedown, Me, net_tick_timeout}],
    Seen = but_for_ups(Ask(Pid, {take, 3, 25000})),
    %% That it is up may have been said after that was asked for.
    Rest = but_for_ups(Ask(Pid, {take, 3 - length(Seen), 25000})),
    os:cmd("kill -CONT " ++ OsPid),
    ?is(lists:sort(Expected), lists:sort(Seen ++ Rest)),
    [peer:stop(One) || One <- [Peer, Asker]].

but_for_ups(Seen) -> [One || One <- Seen, element(1, One) =/= nodeup].

ticker() ->
    Me = launcher:name(ticker),
    {peers:start(Me, ["-kernel", "net_ticktime", integer_to_list(?TICKTIME)]), Me}.

%% There: keeps why the connection ended.
watch(Node) ->
    ok = net_kernel:monitor_nodes(true, [nodedown_reason, {node_type, all}]),
    register(watch, self()),
    receive {nodedown, Node, Info} -> asked(proplists:get_value(nodedown_reason, Info)) end.

asked(Reason) -> receive {From, Ref} -> From ! {Ref, Reason}, asked(Reason) end.

seen(Peer, Watch) -> peers:call(Peer, ?MODULE, seen, [Watch], 70000).

seen(Watch) ->
    Ref = make_ref(),
    Watch ! {self(), Ref},
    receive {Ref, Reason} -> Reason after 60000 -> nothing end.

back(Node) ->
    check:until(back, fun() -> net_kernel:connect_node(Node) =:= true end),
    true.
