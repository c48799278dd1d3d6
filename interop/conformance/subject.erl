%% The node under test, where it is an OTP node. Every command here has the same meaning in the Rust
%% program that takes its place; README.md has the list.
-module(subject).
-export([start/0, puppet/2]).

%% `erl ... -s subject start [-dial NODE]`
start() ->
    true = register(subject, do(puppet)),
    dial(init:get_argument(dial)),
    io:format("ready~n").

dial({ok, [[Node]]}) ->
    io:format("dial ~w~n", [net_kernel:connect_node(list_to_atom(Node))]);
dial(error) ->
    ok.

%% A process that does what it is told. What it receives besides commands is kept in order.
puppet(Parent, Options) ->
    [process_flag(trap_exit, true) || lists:member(trap, Options)],
    [link(Pid) || {link, Pid} <- Options],
    Parent ! {self(), started},
    loop(#{box => queue:new(), serve => false}).

loop(S) ->
    receive
        {ask, From, Tag, Command} -> loop(asked(From, Tag, Command, S));
        {run, Command} -> {_, Next} = run(Command, S), loop(Next);
        {'$gen_call', From, Request} when map_get(serve, S) -> serve(From, Request), loop(S);
        Message -> loop(keep(Message, S))
    end.

asked(From, Tag, Command, S) ->
    {Result, Next} =
        try run(Command, S)
        catch throw:{final, How} -> How();
              Class:Reason:Stack -> {{failed, {Class, Reason, Stack}}, S}
        end,
    From ! {answer, Tag, Result},
    Next.

keep(Message, #{box := Box} = S) ->
    S#{box := queue:in(Message, Box)}.

%% -- commands: {Result, NextState} --

run({all, Commands}, S) ->
    lists:mapfoldl(fun run/2, S, Commands);
run({'after', Ms, Command}, S) ->
    erlang:send_after(Ms, self(), {run, Command}),
    {ok, S};
run({serve, Bool}, S) ->
    {ok, S#{serve := Bool}};
run({take, N, Ms}, S) ->
    {Messages, Next} = take(N, deadline(Ms), [], S),
    {lists:reverse(Messages), Next};
run({tally, N, Ms}, S) ->
    tally(N, deadline(Ms), {0, #{}, 1, true}, S);
run({demonitor_flush, Ref}, #{box := Box} = S) ->
    demonitor(Ref, [flush]),
    Down = fun(Message) -> is_tuple(Message) andalso element(1, Message) =:= 'DOWN' andalso element(2, Message) =:= Ref end,
    {ok, S#{box := queue:filter(fun(Message) -> not Down(Message) end, Box)}};
run({exit, Reason}, _) ->
    throw({final, fun() -> exit(Reason) end});
run(crash, _) ->
    throw({final, fun() -> error(crash) end});
run(Command, S) ->
    {do(Command), S}.

%% -- processes --
do(puppet) -> do({puppet, []});
do({puppet, Options}) ->
    Pid = spawn(?MODULE, puppet, [self(), Options]),
    receive {Pid, started} -> Pid end;
do({puppets, N}) -> [do(puppet) || _ <- lists:seq(1, N)];
do(pid) -> self();
do({trap, Bool}) -> process_flag(trap_exit, Bool), ok;
do({exit, Pid, Reason}) -> exit(Pid, Reason), ok;
do({link, Pid}) -> link(Pid), ok;
do({unlink, Pid}) -> unlink(Pid), ok;
do({monitor, Whom}) -> monitor(process, Whom);
do({monitor, Whom, {alias, Mode}}) -> monitor(process, Whom, [{alias, Mode}]);
do({demonitor, Ref}) -> demonitor(Ref), ok;
do({register, Name}) -> yes(fun() -> register(Name, self()) end);
do({unregister, Name}) -> yes(fun() -> unregister(Name) end);
do({whereis, Name}) -> whereis(Name);
%% -- messages --
do({echo, Term}) -> Term;
do({send, To, Term}) -> To ! Term, ok;
do({stream, To, Tag, First, Last, Bytes}) ->
    [To ! {Tag, N, <<N:32, 0:(Bytes * 8)>>} || N <- lists:seq(First, Last)],
    ok;
do({bulk, To, Tag, Count, Where, Bytes}) ->
    Big = binary:copy(<<"0123456789abcdef">>, Bytes div 16),
    lists:foreach(fun(N) ->
        To ! {Tag, N, <<N:32>>},
        [To ! {Tag, big, Big} || N =:= Where]
    end, lists:seq(1, Count));
do(alias) -> alias();
do({alias, reply}) -> alias([reply]);
do({unalias, Ref}) -> unalias(Ref);
%% -- calls --
do({call, To, Request, Ms}) ->
    try {ok, gen_server:call(To, Request, Ms)}
    catch exit:{Reason, {gen_server, call, _}} -> {error, Reason}
    end;
do({erpc, Node, M, F, Args, Ms}) ->
    try {return, erpc:call(Node, M, F, Args, Ms)}
    catch error:{exception, Reason, _} -> {error, Reason};
          error:{erpc, Reason} -> {erpc, Reason};
          exit:{exception, Reason} -> {exit, Reason};
          throw:Reason -> {throw, Reason}
    end;
do({spawn, Node, M, F, Args, Options}) ->
    Request = spawn_request(Node, M, F, Args, Options),
    receive
        {spawn_reply, Request, ok, Pid} -> {ok, Pid, Request};
        {spawn_reply, Request, error, Reason} -> {error, Reason}
    end;
%% -- the node --
do({connect, Node}) -> net_kernel:connect_node(Node) =:= true;
do({disconnect, Node}) -> erlang:disconnect_node(Node) =:= true;
do(nodes) -> lists:sort(nodes(connected));
do({monitor_node, Node, Bool}) -> monitor_node(Node, Bool), ok;
do({monitor_nodes, Bool}) ->
    net_kernel:monitor_nodes(Bool, [nodedown_reason, {node_type, all}]);
do(stop) -> spawn(fun() -> init:stop() end), ok;
do(halt) -> spawn(fun() -> timer:sleep(20), halt(0) end), ok.

yes(Fun) ->
    try Fun() catch error:badarg -> false end.

serve(From, {echo, Term}) -> gen:reply(From, Term);
serve(From, {late, Ms, Term}) -> spawn(fun() -> timer:sleep(Ms), gen:reply(From, Term) end);
serve(_, silent) -> ok;
serve(_, {die, Reason}) -> exit(Reason).

%% -- the kept messages --

deadline(Ms) -> erlang:monotonic_time(millisecond) + Ms.

take(0, _, Taken, S) -> {Taken, S};
take(N, Deadline, Taken, S) ->
    case next(Deadline, S) of
        {Message, Next} -> take(N - 1, Deadline, [tidy(Message) | Taken], Next);
        none -> {Taken, S}
    end.

%% Of `{Tag, N, Binary}`: how many, whether each Tag counts up from its first, the Adler-32 of all binaries.
tally(0, _, {Count, _, Sum, Order}, S) -> {{Count, Sum, Order}, S};
tally(N, Deadline, {Count, Last, Sum, Order}, S) ->
    case next(Deadline, S) of
        {{Tag, Number, Binary}, Next} ->
            New = erlang:adler32(Sum, Binary),
            {Known, Fine} = follows(Tag, Number, Last),
            tally(N - 1, Deadline, {Count + 1, Known, New, Order andalso Fine}, Next);
        {_, Next} ->
            tally(N, Deadline, {Count, Last, Sum, Order}, Next);
        none ->
            {{Count, Sum, Order}, S}
    end.

follows(Tag, N, Last) ->
    Expected = maps:get(Tag, Last, N - 1) + 1,
    {Last#{Tag => N}, N =:= Expected}.

next(Deadline, #{box := Box} = S) ->
    case queue:out(Box) of
        {{value, Message}, Rest} -> {Message, S#{box := Rest}};
        {empty, _} -> arriving(Deadline, S)
    end.

%% Commands wait until this one is done.
arriving(Deadline, S) ->
    Left = max(0, Deadline - erlang:monotonic_time(millisecond)),
    receive
        Message when not is_tuple(Message); element(1, Message) =/= ask, element(1, Message) =/= run ->
            {Message, S}
    after Left -> none
    end.

%% What a node says of its connections, in the words that both kinds of subject have.
tidy({nodeup, Node, _}) -> {nodeup, Node};
tidy({nodedown, Node, Info}) -> {nodedown, Node, proplists:get_value(nodedown_reason, Info)};
tidy(Message) -> Message.
