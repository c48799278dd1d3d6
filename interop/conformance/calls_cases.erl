%% Calls, aliases and requests to spawn, from both sides.
-module(calls_cases).
-export([cases/0, sum/2, fail/2]).
-include("check.hrl").

cases() ->
    [
        {gen_server_call_of_ours, fun call/1},
        {fifty_callers, fun callers/1},
        {a_late_reply_is_lost, fun late/1},
        {calls_that_end_otherwise, fun otherwise/1},
        {requests_without_waiting, fun requests/1},
        {gen_server_call_of_the_subject, fun call_theirs/1},
        {a_late_reply_of_ours_is_lost, fun late_theirs/1},
        {erpc_of_the_subject, fun erpc_theirs/1},
        {erpc_of_the_subject_that_times_out, fun erpc_late/1},
        {erpc_of_ours_ends, fun erpc/1},
        {the_subject_spawns_here, fun spawns/1},
        {spawn_request_to_an_unknown_function, fun spawn_unknown/1},
        {aliases_of_the_subject, fun aliases_theirs/1},
        {aliases_of_ours, fun aliases/1},
        {monitors_with_an_alias_by_the_subject, fun monitor_aliases/1}
    ].

server(Node) ->
    Pid = puppet:new(Node),
    ok = puppet:ask(Pid, {serve, true}),
    Pid.

call(Node) ->
    Pid = server(Node),
    Name = list_to_atom("server" ++ integer_to_list(erlang:unique_integer([positive]))),
    true = puppet:ask(Pid, {register, Name}),
    [begin
        ?is({N, x}, gen_server:call(Pid, {echo, {N, x}})),
        ?is(N, gen_server:call({Name, Node}, {echo, N}, infinity))
    end || N <- lists:seq(1, 200)],
    ?is({[{Node, all}], []}, gen_server:multi_call([Node], Name, {echo, all}, 20000)),
    ?is([{ok, 1}], erpc:multicall([node()], gen_server, call, [Pid, {echo, 1}])),
    Large = rand:bytes(3000000),
    ?is(Large, gen_server:call(Pid, {echo, Large}, 20000)),
    ?nothing().

callers(Node) ->
    Pid = server(Node),
    Callers = [spawn_monitor(fun() ->
        [?is({I, N}, gen_server:call(Pid, {echo, {I, N}}, 20000)) || N <- lists:seq(1, 40)],
        ?nothing()
    end) || I <- lists:seq(1, 50)],
    [?is(normal, ?get({'DOWN', Ref, _, One, Why}, Why)) || {One, Ref} <- Callers].

%% The alias is given up with the call: what comes later comes to nobody.
late(Node) ->
    Pid = server(Node),
    [begin
        {timeout, _} = ?like({timeout, _}, catch_exit(fun() -> gen_server:call(Pid, {late, 400, N}, 20) end)),
        ?is(N, gen_server:call(Pid, {echo, N}))
    end || N <- lists:seq(1, 10)],
    timer:sleep(500),
    puppet:settled(Node),
    ?nothing().

catch_exit(Fun) -> try Fun() catch exit:Reason -> Reason end.

otherwise(Node) ->
    Pid = server(Node),
    ?like({{shutdown, why}, {gen_server, call, _}}, catch_exit(fun() -> gen_server:call(Pid, {die, {shutdown, why}}) end)),
    ?like({noproc, {gen_server, call, _}}, catch_exit(fun() -> gen_server:call(Pid, {echo, 1}) end)),
    ?like({noproc, _}, catch_exit(fun() -> gen_server:call({'nobody there', Node}, {echo, 1}) end)),
    ?like({timeout, _}, catch_exit(fun() -> gen_server:call(server(Node), silent, 30) end)),
    puppet:settled(Node),
    ?nothing().

requests(Node) ->
    Pid = server(Node),
    Ids = [{N, gen_server:send_request(Pid, {echo, N})} || N <- lists:seq(1, 20)],
    [?is({reply, N}, gen_server:receive_response(Id, 20000)) || {N, Id} <- lists:reverse(Ids)],
    Lost = gen_server:send_request(Pid, {late, 400, lost}),
    ?is(timeout, gen_server:receive_response(Lost, 20)),
    Set = lists:foldl(fun(N, Set) -> gen_server:send_request(Pid, {echo, N}, N, Set) end,
        gen_server:reqids_new(), lists:seq(1, 10)),
    ?is(lists:seq(1, 10), lists:sort(responses(Set))),
    timer:sleep(500),
    ?nothing().

responses(Set) ->
    case gen_server:receive_response(Set, 20000, true) of
        {{reply, N}, N, Rest} -> [N | responses(Rest)];
        no_request -> []
    end.

%% A server here, as far as calls go.
serve() ->
    receive
        {'$gen_call', From, {echo, Term}} -> gen:reply(From, Term), serve();
        {'$gen_call', From, {late, Ms, Term}} -> timer:sleep(Ms), gen:reply(From, Term), serve();
        {'$gen_call', _, {die, Reason}} -> exit(Reason)
    end.

call_theirs(Node) ->
    Name = list_to_atom("ours" ++ integer_to_list(erlang:unique_integer([positive]))),
    Server = spawn(fun() -> register(Name, self()), serve() end),
    check:until(registered, fun() -> whereis(Name) =:= Server end),
    Pid = puppet:new(Node),
    [?is({ok, N}, puppet:ask(Pid, {call, To, {echo, N}, 20000})) || N <- lists:seq(1, 50), To <- [Server, {Name, node()}]],
    Large = rand:bytes(3000000),
    ?is({ok, Large}, puppet:ask(Pid, {call, Server, {echo, Large}, 20000})),
    ?is({error, {shutdown, x}}, puppet:ask(Pid, {call, Server, {die, {shutdown, x}}, 20000})),
    ?is({error, noproc}, puppet:ask(Pid, {call, Server, {echo, 1}, 20000})),
    ?is({error, noproc}, puppet:ask(Pid, {call, {Name, node()}, {echo, 1}, 20000})),
    ?is({error, {nodedown, 'nobody@127.0.0.1'}}, puppet:ask(Pid, {call, {x, 'nobody@127.0.0.1'}, x, 20000})),
    ?is([], puppet:ask(Pid, {take, 1, 0})).

late_theirs(Node) ->
    Server = spawn(fun serve/0),
    Pid = puppet:new(Node),
    ?is({error, timeout}, puppet:ask(Pid, {call, Server, {late, 400, lost}, 10})),
    ?is({ok, found}, puppet:ask(Pid, {call, Server, {echo, found}, 20000})),
    ?is([], puppet:ask(Pid, {take, 1, 0})).

sum(A, B) -> A + B.
fail(throw, Term) -> throw(Term);
fail(exit, Term) -> exit(Term);
fail(error, Term) -> error(Term).

erpc_theirs(Node) ->
    Pid = puppet:new(Node),
    Call = fun(M, F, Args) -> puppet:ask(Pid, {erpc, node(), M, F, Args, 20000}) end,
    ?is({return, 5}, Call(?MODULE, sum, [2, 3])),
    ?is({throw, ball}, Call(?MODULE, fail, [throw, ball])),
    ?is({exit, ball}, Call(?MODULE, fail, [exit, ball])),
    ?is({error, ball}, Call(?MODULE, fail, [error, ball])),
    ?is({error, undef}, Call(?MODULE, no_such_function, [])),
    ?is({error, undef}, Call(no_such_module, f, [1])),
    Large = rand:bytes(2000000),
    ?is({return, [Large]}, Call(lists, duplicate, [1, Large])),
    ?is({return, node()}, Call(erlang, node, [])),
    ?is({erpc, noconnection}, puppet:ask(Pid, {erpc, 'nobody@127.0.0.1', erlang, node, [], 20000})),
    ?is([], puppet:ask(Pid, {take, 1, 0})).

%% The function goes on, its answer is for nobody.
erpc_late(Node) ->
    Pid = puppet:new(Node),
    [begin
        ?is({erpc, timeout}, puppet:ask(Pid, {erpc, node(), timer, sleep, [400], 10})),
        ?is({return, ok}, puppet:ask(Pid, {erpc, node(), timer, sleep, [1], 20000}))
    end || _ <- lists:seq(1, 5)],
    timer:sleep(500),
    puppet:settled(Node),
    ?is([], puppet:ask(Pid, {take, 1, 0})).

%% A node that runs code returns, one that runs none says so; both at once, and nothing is left over.
erpc(Node) ->
    Outcome = try erpc:call(Node, erlang, node, [], 20000) catch error:{erpc, Why} -> Why end,
    ?is(true, lists:member(Outcome, [Node, notsup])),
    Late = try erpc:call(Node, timer, sleep, [400], 10) catch error:{erpc, How} -> How end,
    ?is(true, lists:member(Late, [timeout, notsup])),
    ?is(true, lists:member(rpc:call(Node, erlang, node, []), [Node, {badrpc, notsup}])),
    timer:sleep(500),
    puppet:settled(Node),
    ?nothing().

spawns(Node) ->
    Pid = puppet:new(Node, [trap]),
    Spawn = fun(M, F, Args, Options) -> puppet:ask(Pid, {spawn, node(), M, F, Args, Options}) end,
    Take = fun(N) -> puppet:ask(Pid, {take, N, 20000}) end,
    {ok, One, Ref} = Spawn(erlang, exit, [because], [monitor]),
    ?is([{'DOWN', Ref, process, One, because}], Take(1)),
    {ok, Two, _} = Spawn(erlang, exit, [because], [link]),
    ?is([{'EXIT', Two, because}], Take(1)),
    {ok, Three, _} = Spawn(timer, sleep, [10], [link]),
    ?is([{'EXIT', Three, normal}], Take(1)),
    {ok, Four, Fourth} = Spawn(no_such_module, f, [], [monitor]),
    ?like([{'DOWN', Fourth, process, Four, {undef, _}}], Take(1)),
    {ok, Five, _} = Spawn(erlang, send, [self(), {sent, by, spawned}], [monitor]),
    ?get({sent, by, spawned}),
    ?like([{'DOWN', _, process, Five, normal}], Take(1)),
    ?is(node(), node(Five)),
    {ok, Six, _} = Spawn(timer, sleep, [infinity], [link]),
    true = is_process_alive(Six),
    puppet:die(Pid, done),
    check:until(linked_one_ends, fun() -> not is_process_alive(Six) end).

%% One answer: either no process and a word why, or a process that ends at once for want of the function.
spawn_unknown(Node) ->
    process_flag(trap_exit, true),
    [begin
        Request = spawn_request(Node, no_such_module, no_such_function, [1, 2], Options),
        case ?get({spawn_reply, Request, How, What}, {How, What}) of
            {error, notsup} ->
                ok;
            {ok, Pid} ->
                [?get({'DOWN', Request, process, Pid, {undef, _}}) || lists:member(monitor, Options)],
                [?get({'EXIT', Pid, {undef, _}}) || lists:member(link, Options)]
        end
    end || Options <- [[], [monitor], [link], [link, monitor], [{reply, yes}, monitor], [{reply_tag, spawn_reply}]]],
    %% Nobody is told where nobody asked for it.
    spawn_request(Node, no_such_module, f, [], [{reply, no}]),
    spawn_request_abandon(spawn_request(Node, no_such_module, f, [], [{reply, error_only}])),
    timer:sleep(50),
    puppet:settled(Node),
    ?nothing().

aliases_theirs(Node) ->
    Pid = puppet:new(Node),
    Alias = puppet:ask(Pid, alias),
    Alias ! {one, 1}, Alias ! {two, 2},
    ?is([{one, 1}, {two, 2}], puppet:ask(Pid, {take, 2, 20000})),
    ?is(true, puppet:ask(Pid, {unalias, Alias})),
    ?is(false, puppet:ask(Pid, {unalias, Alias})),
    Alias ! lost,
    ?is([], puppet:ask(Pid, {take, 1, 20})),
    %% one message only
    Reply = puppet:ask(Pid, {alias, reply}),
    [Reply ! {n, N} || N <- lists:seq(1, 3)],
    ?is([{n, 1}], puppet:ask(Pid, {take, 3, 50})),
    ?is(false, puppet:ask(Pid, {unalias, Reply})),
    %% of a process that is no more
    Last = puppet:ask(Pid, alias),
    puppet:die(Pid, done),
    Last ! lost,
    puppet:settled(Node),
    ?nothing().

aliases(Node) ->
    Pid = puppet:new(Node),
    Alias = alias(),
    ok = puppet:ask(Pid, {all, [{send, Alias, {n, 1}}, {send, Alias, {n, 2}}]}) == [ok, ok] andalso ok,
    ?get({n, 1}), ?get({n, 2}),
    true = unalias(Alias),
    ok = puppet:ask(Pid, {send, Alias, lost}),
    Reply = alias([reply]),
    [ok, ok] = puppet:ask(Pid, {all, [{send, Reply, {n, 3}}, {send, Reply, {n, 4}}]}),
    ?get({n, 3}),
    ?nothing(),
    %% large ones too
    Fresh = alias(),
    ok = puppet:ask(Pid, {stream, Fresh, tag, 1, 5, 300000}),
    [?get({tag, N, _}) || N <- lists:seq(1, 5)],
    ok.

monitor_aliases(Node) ->
    Pid = puppet:new(Node),
    Mine = spawn(fun() -> receive go -> ok end end),
    Modes = [explicit_unalias, demonitor, reply_demonitor],
    [Explicit, Demonitor, Reply] = Refs = puppet:ask(Pid, {all, [{monitor, Mine, {alias, Mode}} || Mode <- Modes]}),
    [Ref ! {through, N} || Ref <- Refs, N <- [1, 2]],
    %% The last one is given up with the first reply, monitor and all.
    ?is([{through, 1}, {through, 2}, {through, 1}, {through, 2}, {through, 1}], puppet:ask(Pid, {take, 6, 100})),
    ok = puppet:ask(Pid, {demonitor, Demonitor}),
    [Ref ! {again, Ref} || Ref <- Refs],
    ?is([{again, Explicit}], puppet:ask(Pid, {take, 3, 50})),
    Mine ! go,
    ?is([{'DOWN', Explicit, process, Mine, normal}], puppet:ask(Pid, {take, 3, 100})),
    %% This one outlives its monitor until it is given up.
    Explicit ! still,
    ?is([still], puppet:ask(Pid, {take, 1, 20000})),
    ?is(true, puppet:ask(Pid, {unalias, Explicit})),
    [Ref ! lost || Ref <- [Explicit, Demonitor, Reply]],
    ?is([], puppet:ask(Pid, {take, 1, 50})).
